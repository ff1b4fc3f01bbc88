package main

import (
	"testing"

	"doorbuster/cmd/doorbuster/nodetest"
)

// openShop serves dir in this process until the test ends.
func openShop(t *testing.T, dir string, more ...string) *nodetest.Shop {
	t.Helper()
	return nodetest.Program(run).Open(t, dir, more...)
}

// runShop starts the program in this process.
func runShop(t *testing.T, args []string) *nodetest.Shop {
	t.Helper()
	return nodetest.Program(run).Start(t, args)
}

// runTool runs a command of the program to its end, in this process.
func runTool(t *testing.T, stdin string, args ...string) (status int, stdout, stderr string) {
	t.Helper()
	return nodetest.Program(run).Tool(t, stdin, args...)
}
