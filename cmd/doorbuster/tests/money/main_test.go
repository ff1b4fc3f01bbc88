// Package money tests payments, refunds and the cashier, on
// nodes that are processes.
package money

import (
	"testing"

	"doorbuster/cmd/doorbuster/nodetest"
)

func TestMain(m *testing.M) { nodetest.Main(m) }
