package cluster

import (
	"context"
	"io"
	"log/slog"

	"github.com/hashicorp/go-hclog"
)

// raftSink lets Raft log through slog. Raft's own default is DEBUG.
type raftSink struct {
	to *slog.Logger
	// alone makes Raft's warnings debug messages: they are about elections and
	// peers, and a node without peers elects itself at every start.
	alone bool
}

func newRaftLogger(to *slog.Logger, alone bool) hclog.Logger {
	l := hclog.NewInterceptLogger(&hclog.LoggerOptions{Name: "raft", Level: hclog.Off, Output: io.Discard})
	l.RegisterSink(raftSink{to, alone})
	return l
}

// repeated are Raft's words about a peer that can't be reached and elections that
// therefore come to nothing, told for every attempt. The peer port says it once.
var repeated = map[string]bool{
	"failed to appendEntries to": true, "failed to heartbeat to": true, "failed to make requestVote RPC": true,
	"failed to send snapshot to": true, "failed to contact": true, "failed to install snapshot": true,
	"Election timeout reached, restarting election": true,
}

// Accept is hclog's. What Raft calls INFO is of interest when something is looked into.
func (s raftSink) Accept(name string, level hclog.Level, msg string, args ...any) {
	at := slog.LevelDebug
	switch {
	case repeated[msg]:
	case level == hclog.Error:
		at = slog.LevelError
	case level == hclog.Warn && !s.alone:
		at = slog.LevelWarn
	}
	s.to.Log(context.Background(), at, name+": "+msg, args...)
}
