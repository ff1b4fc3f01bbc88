// Package cluster tests who is a member, who leads, and what a cluster says when nodes, rooms and certificates go, on
// nodes that are processes.
package cluster

import (
	"testing"

	"doorbuster/cmd/doorbuster/nodetest"
)

func TestMain(m *testing.M) { nodetest.Main(m) }
