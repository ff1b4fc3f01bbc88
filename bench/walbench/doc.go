// Package walbench measures the log beside others that keep the log of hashicorp/raft,
// through the interface that Raft knows them by. It is a module of its own, so that
// what serves neither links them nor asks for what they want. 'make walbench' runs it.
package walbench
