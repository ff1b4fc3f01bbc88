package nodetest

import (
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

// Tailing is a command of the program in a process of its own.
type Tailing struct {
	Command *exec.Cmd
	Out     *LogBook
	Errs    *LogBook
}

func StartTail(t *testing.T, args ...string) *Tailing {
	t.Helper()
	return StartTool(t, append([]string{"events", "tail"}, args...)...)
}

func StartTool(t *testing.T, args ...string) *Tailing {
	t.Helper()
	w := &Tailing{Command: Command(t, args...), Out: NewLogBook(), Errs: NewLogBook()}
	w.Command.Stdout, w.Command.Stderr = w.Out, w.Errs
	if err := w.Command.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if w.Command.ProcessState == nil {
			w.Command.Process.Kill()
			w.Command.Wait()
		}
	})
	return w
}

// Await waits until one of the tail's streams says something.
func (w *Tailing) Await(t *testing.T, from *LogBook, says string) {
	t.Helper()
	from.Await(t, nil, says)
}

// TrailLine is an event, or a heartbeat, as it is told.
type TrailLine struct {
	Index                        uint64
	N                            uint32
	Kind, Reason, Session, State string
	OrderNo                      string `json:"order_no"`
	Shopper, Operator, Note      string
	Heartbeat                    bool
	Missing                      uint64 `json:"missing_from"`
}

// Told gives what a node tells of events up to now.
func (m *Member) Told(from string) (lines []string) {
	m.T.Helper()
	a := m.Do("GET", "http://"+m.Admin+"/admin/v1/events?follow=false&from="+from, "")
	if a.Status != 200 {
		m.T.Fatalf("%s: %d %s", m.ID, a.Status, a.Body)
	}
	for line := range strings.Lines(string(a.Body)) {
		lines = append(lines, line)
	}
	return lines
}

// MustHaveTold compares what a node tells from the beginning.
func (m *Member) MustHaveTold(want []string) {
	m.T.Helper()
	got := m.Told("0")
	for i, line := range want {
		if i >= len(got) || got[i] != line {
			m.T.Errorf("%s tells %d events, and as the %dth\n%s\ninstead of\n%s", m.ID, len(got), i+1,
				append(got, "nothing")[min(i, len(got))], line)
			return
		}
	}
}

func (m *Member) Settle(session string) {
	m.T.Helper()
	var a Reply
	m.Fleet.Eventually(func() bool {
		a = m.Do("POST", "http://"+m.Admin+"/admin/v1/sessions/"+session+"/settle", `{"note":"books"}`, "Content-Type",
			"application/json")
		return a.Status == 200
	}, "the session is not settled")
	m.Fleet.Eventually(func() bool {
		return strings.Contains(strings.Join(m.Told("0"), ""), `"kind":"session_cleared","session":"`+session)
	}, "its orders do not leave memory")
}

// LedgerFiles are all files of a shop's ledger, by what is in them.
func (s *Shop) LedgerFiles() (files []string) {
	s.T.Helper()
	files, err := filepath.Glob(filepath.Join(s.Dir, "ledger", "*", "*"))
	if err != nil || len(files) == 0 {
		s.T.Fatal("no files of a ledger: ", err)
	}
	return files
}

// AwaitLedgers waits until the ledgers of all nodes that are up reach as far as the
// leader's state.
func (f *Fleet) AwaitLedgers() {
	f.T.Helper()
	f.Eventually(func() bool {
		s, ok := f.Leader().Status()
		if !ok {
			return false
		}
		var most, least uint64 = 0, ^uint64(0)
		for _, n := range s.Nodes {
			most = max(most, n.Applied)
			if n.Reachable {
				least = min(least, n.Ledger)
			}
		}
		return least >= most
	}, "the ledgers don't catch up")
}
