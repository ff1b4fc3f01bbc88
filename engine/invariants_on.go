//go:build invariants

package engine

const invariantsPanic = true
