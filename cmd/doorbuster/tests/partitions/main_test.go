// Package partitions tests clusters whose network is cut, every way and in part, on
// nodes that are processes.
package partitions

import (
	"testing"

	"doorbuster/cmd/doorbuster/nodetest"
)

func TestMain(m *testing.M) { nodetest.Main(m) }
