//go:build !invariants

package engine

// invariantsPanic makes a broken invariant a panic, and turns on checks that
// read every order.
const invariantsPanic = false
