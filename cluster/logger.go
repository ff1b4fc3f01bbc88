package cluster

import (
	"context"
	"io"
	"log"
	"log/slog"

	"github.com/hashicorp/go-hclog"
)

// raftLogger lets Raft log through slog. Raft's own default is DEBUG.
type raftLogger struct {
	to   *slog.Logger
	name string
	// alone makes Raft's warnings debug messages: they are about elections and
	// peers, and a node without peers elects itself at every start.
	alone bool
}

var _ hclog.Logger = (*raftLogger)(nil)

func newRaftLogger(to *slog.Logger, alone bool) hclog.Logger {
	return &raftLogger{to: to, name: "raft", alone: alone}
}

func (l *raftLogger) levelOf(level hclog.Level) slog.Level {
	switch level {
	case hclog.Trace, hclog.Debug, hclog.NoLevel:
		return slog.LevelDebug
	case hclog.Warn:
		if l.alone {
			return slog.LevelDebug
		}
		return slog.LevelWarn
	case hclog.Error:
		return slog.LevelError
	}
	// What Raft calls INFO is of interest when something is looked into.
	return slog.LevelDebug
}

// repeated are Raft's words about a peer that can't be reached and elections that
// therefore come to nothing, told for every attempt. The peer port says it once.
var repeated = map[string]bool{
	"failed to appendEntries to": true, "failed to heartbeat to": true, "failed to make requestVote RPC": true,
	"failed to send snapshot to": true, "failed to contact": true, "failed to install snapshot": true,
	"Election timeout reached, restarting election": true,
}

func (l *raftLogger) Log(level hclog.Level, msg string, args ...any) {
	at := l.levelOf(level)
	if repeated[msg] {
		at = slog.LevelDebug
	}
	l.to.Log(context.Background(), at, l.name+": "+msg, args...)
}

func (l *raftLogger) on(level hclog.Level) bool {
	return l.to.Enabled(context.Background(), l.levelOf(level))
}

func (l *raftLogger) Trace(msg string, args ...any) { l.Log(hclog.Trace, msg, args...) }
func (l *raftLogger) Debug(msg string, args ...any) { l.Log(hclog.Debug, msg, args...) }
func (l *raftLogger) Info(msg string, args ...any)  { l.Log(hclog.Info, msg, args...) }
func (l *raftLogger) Warn(msg string, args ...any)  { l.Log(hclog.Warn, msg, args...) }
func (l *raftLogger) Error(msg string, args ...any) { l.Log(hclog.Error, msg, args...) }

func (l *raftLogger) IsTrace() bool { return false }
func (l *raftLogger) IsDebug() bool { return l.on(hclog.Debug) }
func (l *raftLogger) IsInfo() bool  { return l.on(hclog.Info) }
func (l *raftLogger) IsWarn() bool  { return l.on(hclog.Warn) }
func (l *raftLogger) IsError() bool { return l.on(hclog.Error) }

func (l *raftLogger) ImpliedArgs() []any { return nil }
func (l *raftLogger) With(args ...any) hclog.Logger {
	return &raftLogger{to: l.to.With(args...), name: l.name, alone: l.alone}
}
func (l *raftLogger) Name() string { return l.name }
func (l *raftLogger) Named(name string) hclog.Logger {
	return &raftLogger{to: l.to, name: l.name + "." + name, alone: l.alone}
}
func (l *raftLogger) ResetNamed(name string) hclog.Logger {
	return &raftLogger{to: l.to, name: name, alone: l.alone}
}
func (l *raftLogger) SetLevel(hclog.Level)  {}
func (l *raftLogger) GetLevel() hclog.Level { return hclog.Info }

func (l *raftLogger) StandardLogger(*hclog.StandardLoggerOptions) *log.Logger {
	return slog.NewLogLogger(l.to.Handler(), slog.LevelDebug)
}

func (l *raftLogger) StandardWriter(*hclog.StandardLoggerOptions) io.Writer {
	return l.StandardLogger(nil).Writer()
}
