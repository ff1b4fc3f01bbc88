//go:build !linux && !darwin

package main

// diskFree: it is not known here.
func diskFree(string) (bytes uint64, known bool) { return 0, false }
