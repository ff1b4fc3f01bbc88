package httpapi

import (
	"context"
	"fmt"
	"net/http/httptest"
	"slices"
	"testing"

	"doorbuster/engine"
	"doorbuster/httpapi/sinks"
	"doorbuster/httpapi/wire"
)

// noted is what has been noted of a sink and of alarms, once for each key.
type noted struct {
	done   map[string]bool
	sinks  []*engine.SinkNote
	alarms []*engine.AlarmNote
}

func (n *noted) Sinks() []*engine.SinkNote       { return n.sinks }
func (n *noted) SinkStatus() []sinks.Status      { return nil }
func (n *noted) AlarmNotes() []*engine.AlarmNote { return n.alarms }

func (n *noted) SetSink(_ context.Context, by engine.By, x engine.SinkChange, _ string) error {
	if !n.done[by.Key] && x.Action == engine.SinkForget {
		n.sinks = nil
	}
	n.done[by.Key] = true
	return nil
}

func (n *noted) NoteAlarm(_ context.Context, by engine.By, x engine.AlarmChange, _ string) error {
	if !n.done[by.Key] {
		n.alarms = []*engine.AlarmNote{{Name: x.Name, Acked: fakeNow, By: by.Operator, Of: slices.Clone(x.Of)}}
	}
	n.done[by.Key] = true
	return nil
}

type tellsSwitches map[string]wire.SwitchValue

func (told tellsSwitches) Report(context.Context, string) (*wire.SessionReport, error) {
	return &wire.SessionReport{Switches: wire.ReportSwitches{Switches: told}}, nil
}

// TestAskedAgain: a request whose answer was lost gets the same one with its key, also where
// what it was about is gone by then.
func TestAskedAgain(t *testing.T) {
	f := &fakeOperator{done: map[string]bool{}}
	all := &noted{done: f.done, sinks: []*engine.SinkNote{{Name: "old"}}}
	trail, cluster := &fakeTrail{first: 10, reached: 100}, &fakeCluster{}
	on := cluster.Status()
	on.Alarms = []engine.Alarm{{Name: "disk_slow", Severity: engine.SeverityWake, Node: "a1"}}
	cluster.status = &on
	s := newTestAdmin(t, f, func(c *AdminConfig) {
		c.Sinks, c.AlarmBook, c.Trail, c.Cluster = all, all, trail, cluster
		c.Reports = tellsSwitches{"rate_limits": "50"}
	})
	ask := func(path, body, key string) *httptest.ResponseRecorder {
		w := askAdmin(s, "POST", "/admin/v1/"+path, body, "Idempotency-Key", key)
		f.done[key] = true
		return w
	}
	for i, c := range []struct {
		path, body string
		then       func() // what becomes of it meanwhile
	}{
		{"alarms/disk_slow/acknowledge", "{}", func() { on.Alarms = []engine.Alarm{} }},
		{"sinks/old/replay", `{"from":"50"}`, func() { trail.first = 80 }},
		{"sinks/old/replay", `{"from":"90"}`, func() { trail.reached = 85 }},
		{"sinks/old/forget", "{}", func() {}},
		{"sessions/day/report/profile", `{"name":"tall"}`, func() { f.profile = "tall" }},
	} {
		key := fmt.Sprint("key-", i)
		first := ask(c.path, c.body, key)
		c.then()
		again := ask(c.path, c.body, key)
		if first.Code != 200 || again.Code != 200 || first.Body.String() != again.Body.String() {
			t.Errorf("%s: %d %s\nagain: %d %s", c.path, first.Code, first.Body, again.Code, again.Body)
		}
		if other := ask(c.path, c.body, key+"-2"); other.Code < 400 {
			t.Errorf("%s with another key: %d %s", c.path, other.Code, other.Body)
		}
	}
}
