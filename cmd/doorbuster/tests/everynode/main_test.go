// Package everynode tests what holds at every node of a cluster, whichever is asked, on
// nodes that are processes.
package everynode

import (
	"testing"

	"doorbuster/cmd/doorbuster/nodetest"
)

func TestMain(m *testing.M) { nodetest.Main(m) }
