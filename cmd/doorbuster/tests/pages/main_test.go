// Package pages shows the console and the storefront of nodes that are processes to a
// real browser.
package pages

import (
	"testing"

	"doorbuster/cmd/doorbuster/nodetest"
)

func TestMain(m *testing.M) { nodetest.Main(m) }
