// Package goods tests what is sold beside the rush: the catalogue before it, and the
// parcels after it, on nodes that are processes.
package goods

import (
	"testing"

	"doorbuster/cmd/doorbuster/nodetest"
)

func TestMain(m *testing.M) { nodetest.Main(m) }
