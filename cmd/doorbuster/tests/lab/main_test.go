// Package lab tests short runs of the benches, which hold a verdict, on
// nodes that are processes.
package lab

import (
	"testing"

	"doorbuster/cmd/doorbuster/nodetest"
)

func TestMain(m *testing.M) { nodetest.Main(m) }
