// Package rolling tests sales that go on while nodes are replaced, behind load balancers, too, on
// nodes that are processes.
package rolling

import (
	"testing"

	"doorbuster/cmd/doorbuster/nodetest"
)

func TestMain(m *testing.M) { nodetest.Main(m) }
