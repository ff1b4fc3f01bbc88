package cluster

import (
	"github.com/hashicorp/raft"

	"doorbuster/wal"
)

// EntryType tells what Raft keeps in a record of the log: "command", whose Data
// is the engine's; "roster", see DecodeRoster; "noop", "barrier" and
// "configuration" are Raft's own.
func EntryType(r wal.Record) (string, error) {
	var e raft.Log
	if err := decodeEntry(&r, &e); err != nil {
		return "unknown", err
	}
	switch e.Type {
	case raft.LogCommand:
		if isRoster(r.Data) {
			return "roster", nil
		}
		return "command", nil
	case raft.LogNoop:
		return "noop", nil
	case raft.LogBarrier:
		return "barrier", nil
	case raft.LogConfiguration:
		return "configuration", nil
	}
	return e.Type.String(), nil
}
