// Package ledger tests what is told of later: events, settled orders, reports, on
// nodes that are processes.
package ledger

import (
	"testing"

	"doorbuster/cmd/doorbuster/nodetest"
)

func TestMain(m *testing.M) { nodetest.Main(m) }
