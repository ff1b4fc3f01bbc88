// Package input reads what others send, JSON objects and times, and says what is
// wrong with it: where, and in words for whoever sent it, never in those of Go's
// decoders.
package input
