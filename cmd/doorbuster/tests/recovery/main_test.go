// Package recovery tests what a node makes of crashes, damage and lack of room, on
// nodes that are processes.
package recovery

import (
	"testing"

	"doorbuster/cmd/doorbuster/nodetest"
)

func TestMain(m *testing.M) { nodetest.Main(m) }
