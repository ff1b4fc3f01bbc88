// Package traces sends traces of single grabs to an OpenTelemetry collector: which stage took
// how long, under the trace that the shopper's request came with, if any.
//
// A grab that is traced (Tracer.Sample) takes down moments and nothing else. When it has been
// answered it goes into a queue that never waits: what finds no room is dropped and counted. A
// goroutine makes spans of what is in the queue and sends them, so a collector that hangs,
// fails or answers nonsense costs spans, and no grab anything.
//
// Shoppers can't ask to be traced: the node draws who is, or a crowd could.
package traces
