package httpapi

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"testing"
	"time"

	"doorbuster/engine"
	"doorbuster/httpapi/wire"
)

func withOperations(f *fakeOperations) func(*AdminConfig) {
	return func(c *AdminConfig) { c.Operations = f }
}

const operationsPath = "/admin/v1/cluster/"

// TestClusterOperations: each reaches the room behind with who asked, and is in the log.
func TestClusterOperations(t *testing.T) {
	const plan = `"zone":"b","node":"b1","generation":1,"next_generation":2,"last_index":9,"applied_index":9,"term":2,"zone_ack":"prefer",` +
		`"leader_heard_ago":"12s","unreachable":["a1","a2"],"will":["Raise the generation."],"cannot_know":[],"refusal":"","token":"t-9"}`
	for name, c := range map[string]struct {
		path, body, asked, want string
	}{
		"join": {"join", `{"id":"a3","zone":"a","peer":"10.0.1.3:8082"}`,
			"join {ID:a3 Zone:a Kind:voter Peer:10.0.1.3:8082}",
			`{"id":"a3","zone":"a","kind":"voter","peer":"10.0.1.3:8082"}`},
		"join a witness": {"join", `{"id":"c1","zone":"c","kind":"witness","peer":"[2001:db8::1]:8082","note":"third site"}`, "join {ID:c1 Zone:c Kind:witness Peer:[2001:db8::1]:8082}", `{"id":"c1","zone":"c","kind":"witness","peer":"[2001:db8::1]:8082"}`},
		"join by name": {"join", `{"id":"e1","zone":"a","kind":"edge","peer":"e1.shop.test:1"}`,
			"join {ID:e1 Zone:a Kind:edge Peer:e1.shop.test:1}",
			`{"id":"e1","zone":"a","kind":"edge","peer":"e1.shop.test:1"}`},
		"remove":      {"remove", `{"node":"a3"}`, "remove a3", `{"removed":"a3"}`},
		"transfer":    {"transfer", `{"to":"b1"}`, `transfer "" "b1"`, `{"leader":"b1"}`},
		"to the best": {"transfer", `{"from":"a1"}`, `transfer "a1" ""`, `{"leader":"b1"}`},
		"snapshot":    {"snapshot", ``, "snapshot", `{"log_index":4711}`},
		"zone ack": {"zone-ack", `{"mode":"require","note":"b is back"}`, `zone-ack require because "b is back"`,
			`{"mode":"require"}`},
		"prefer":         {"prefer", `{"zone":"a"}`, `prefer "a"`, `{"zone":"a"}`},
		"prefer none":    {"prefer", `{"zone":""}`, `prefer ""`, `{"zone":""}`},
		"drain":          {"drain", `{"node":"a1"}`, "drain {Node:a1 Zone: On:true}", `{"node":"a1","drained":true}`},
		"undrain a zone": {"undrain", `{"zone":"a"}`, "drain {Node: Zone:a On:false}", `{"zone":"a","drained":false}`},
		"promote, plan":  {"promote", `{"zone":"b","dry_run":true}`, "", `{"promoted":false,` + plan},
		"promote, read":  {"promote", `{"zone":"b","token":"t-8"}`, "promote b as t-8", `{"promoted":true,` + plan},
		"promote unread": {"promote", `{"zone":"b","confirm":true,"note":"a burns"}`, "promote b as t-9",
			`{"promoted":true,` + plan},
	} {
		t.Run(name, func(t *testing.T) {
			f := &fakeOperations{}
			var log bytes.Buffer
			s := newTestAdmin(t, &fakeOperator{}, withOperations(f),
				func(c *AdminConfig) { c.Logger = slog.New(slog.NewTextHandler(&log, nil)) })
			w := askAdmin(s, "POST", operationsPath+c.path, c.body)
			if got := strings.TrimSuffix(w.Body.String(), "\n"); w.Code != 200 || got != c.want || f.asked != c.asked {
				t.Errorf("status %d, asked %q\n got %s\nwant %s", w.Code, f.asked, got, c.want)
			}
			if c.asked == "" {
				if log.Len() > 0 {
					t.Errorf("the log has %s", &log)
				}
				return
			}
			if f.operator != "dev" {
				t.Errorf("asked by %q", f.operator)
			}
			for _, message := range []string{"cluster operation asked", "cluster operation done"} {
				if want := fmt.Sprintf("msg=%q operation=%s operator=dev", message,
					c.path); !strings.Contains(log.String(), want) {
					t.Errorf("the log lacks %s:\n%s", want, &log)
				}
			}
		})
	}
}

// TestZoneAckAsksBeforeItEndsASale: require while no voter of another zone answers
// stops all grants, so that it is done only where that is meant.
func TestZoneAckAsksBeforeItEndsASale(t *testing.T) {
	f := &fakeOperations{}
	nodes := []wire.Node{{ID: "a1", Zone: "a", Kind: wire.KindVoter, Reachable: true},
		{ID: "b1", Zone: "b", Kind: wire.KindVoter},
		{ID: "b2", Zone: "b", Kind: wire.KindEdge, Reachable: true}}
	s := newTestAdmin(t, &fakeOperator{}, withOperations(f), func(c *AdminConfig) {
		c.Cluster = &fakeCluster{status: &wire.Cluster{Leader: "a1", Nodes: nodes}}
	})
	wantAdminProblem(t, askAdmin(s, "POST", operationsPath+"zone-ack", `{"mode":"require"}`), 409, "unsure")
	if f.asked != "" {
		t.Errorf("asked %q", f.asked)
	}
	for _, path := range []string{"zone-ack?sure=true", "zone-ack"} {
		if w := askAdmin(s, "POST", operationsPath+path, `{"mode":"require"}`); w.Code != 200 {
			t.Errorf("%s: %d %s", path, w.Code, w.Body)
		}
		nodes[1].Reachable = true
	}
}

func TestClusterOperationsRefuseBadBodies(t *testing.T) {
	peer := func(peer string) string { return `{"id":"a3","zone":"a","peer":"` + peer + `"}` }
	for name, c := range map[string]struct{ path, body, want string }{
		"join: nothing": {"join", ``, "The id must be there"},
		"join: bad id":  {"join", `{"id":"a 3","zone":"a","peer":"h:1"}`, "The id must be there"},
		"join: long id": {"join", `{"id":"` + strings.Repeat("a", engine.MaxIDBytes+1) +
			`","zone":"a","peer":"h:1"}`, "The id must be there"},
		"join: no zone": {"join", `{"id":"a3","peer":"h:1"}`, "The zone must be there"},
		"join: kind": {"join", `{"id":"a3","zone":"a","kind":"king","peer":"h:1"}`,
			"voter, witness or edge"},
		"join: no peer":     {"join", `{"id":"a3","zone":"a"}`, "The peer must be there"},
		"join: no port":     {"join", peer("10.0.1.3"), "The peer must be there"},
		"join: no host":     {"join", peer(":8082"), "The peer must be there"},
		"join: port 0":      {"join", peer("h:0"), "1 to 65535"},
		"join: large port":  {"join", peer("h:65536"), "1 to 65535"},
		"join: named port":  {"join", peer("h:http"), "1 to 65535"},
		"join: anywhere":    {"join", peer("0.0.0.0:1"), "leads to no one node"},
		"join: anywhere, 6": {"join", peer("[::]:1"), "leads to no one node"},
		"join: to many":     {"join", peer("224.0.0.1:1"), "leads to no one node"},
		"join: bad host":    {"join", peer("a b:1"), "letters, digits"},
		"join: URL":         {"join", peer("http://h:1"), "The peer must be there"},
		"join: long host":   {"join", peer(strings.Repeat("h", 254) + ":1"), "The peer must be there"},
		"join: unknown member": {"join", `{"id":"a3","zone":"a","peer":"h:1","voter":true}`,
			`unknown field \"voter\"`},
		"join: wrong type": {"join", `{"id":3}`, `The member \"id\" can't be a number`},
		"join: long note": {"join", `{"id":"a3","zone":"a","peer":"h:1","note":"` +
			strings.Repeat("x", engine.MaxTextBytes+1) + `"}`, "The note"},
		"join: a list":           {"join", `[]`, "must be a JSON object"},
		"join: cut off":          {"join", `{"id":`, "ends too early"},
		"remove: nothing":        {"remove", ``, "The node must be there"},
		"remove: by id":          {"remove", `{"id":"a3"}`, "unknown field"},
		"transfer: of nobody":    {"transfer", `{}`, "There must be to"},
		"transfer: bad id":       {"transfer", `{"to":"../a"}`, "The to must be there"},
		"snapshot: more":         {"snapshot", `{"node":"a1"}`, "unknown field"},
		"zone ack: nothing":      {"zone-ack", ``, "off, prefer or require"},
		"zone ack: mode":         {"zone-ack", `{"mode":"on"}`, "off, prefer or require"},
		"prefer: nothing":        {"prefer", ``, "The zone must be there"},
		"prefer: bad zone":       {"prefer", `{"zone":"a b"}`, "The zone must be there"},
		"drain: nothing":         {"drain", ``, "Name a node or a zone"},
		"drain: both":            {"drain", `{"node":"a1","zone":"a"}`, "Name a node or a zone"},
		"undrain: bad node":      {"undrain", `{"node":"a/1"}`, "The node must be there"},
		"undrain: bad zone":      {"undrain", `{"zone":"-"}`, "The zone must be there"},
		"drain: turned round":    {"drain", `{"node":"a1","drained":false}`, "unknown field"},
		"promote: nothing":       {"promote", ``, "The zone must be there"},
		"promote: unconfirmed":   {"promote", `{"zone":"b"}`, "Say one of"},
		"promote: not confirmed": {"promote", `{"zone":"b","confirm":false}`, "Say one of"},
		"promote: two ways":      {"promote", `{"zone":"b","dry_run":true,"confirm":true}`, "Say one of"},
		"promote: long token": {"promote", `{"zone":"b","token":"` + strings.Repeat("t", 513) + `"}`,
			"The token is none"},
	} {
		t.Run(name, func(t *testing.T) {
			f := &fakeOperations{}
			w := askAdmin(newTestAdmin(t, &fakeOperator{}, withOperations(f)), "POST", operationsPath+c.path, c.body)
			if wantAdminProblem(t, w, 400, "malformed"); !strings.Contains(w.Body.String(), c.want) || f.asked != "" {
				t.Errorf("asked %q: %s; want %s", f.asked, w.Body, c.want)
			}
		})
	}
}

// goodOperations is a request of every operation that fits.
var goodOperations = [][3]string{
	{"POST", "join", `{"id":"a3","zone":"a","peer":"10.0.1.3:8082"}`}, {"POST", "remove", `{"node":"a3"}`},
	{"POST", "transfer", `{"to":"b1"}`},
	{"POST", "snapshot", ``}, {"POST", "zone-ack", `{"mode":"off"}`}, {"POST", "prefer", `{"zone":"a"}`},
	{"POST", "drain", `{"zone":"a"}`},
	{"POST", "undrain", `{"zone":"a"}`}, {"POST", "promote", `{"zone":"b","dry_run":true}`},
	{"POST", "promote", `{"zone":"b","token":"t"}`},
	{"POST", "promote", `{"zone":"b","confirm":true}`}, {"GET", "backup", ``},
}

func TestClusterOperationsFail(t *testing.T) {
	for name, c := range map[string]struct {
		err    error
		status int
		slug   string
		want   string
	}{
		"by its state": {&ClusterRefusal{Message: "Two voters are left. Let another join first."}, 409, "conflict",
			"Two voters are left. Let another join first."},
		"as asked": {fmt.Errorf("join: %w", &ClusterRefusal{Invalid: true,
			Message: "a3 was here before. Take a new id."}), 422, "operation", "a3 was here before. Take a new id."},
		"no leader": {engine.ErrNotLeader, 503, "unavailable", "No leader"},
		"not known": {fmt.Errorf("ask: %w", engine.ErrOutcomeUnknown), 503, "unavailable",
			"Look at /admin/v1/cluster"},
		"our fault": {errors.New("secret innards"), 500, "internal", "It was noted"},
	} {
		for _, request := range goodOperations {
			t.Run(request[1]+": "+name, func(t *testing.T) {
				s := newTestAdmin(t, &fakeOperator{}, withOperations(&fakeOperations{err: c.err}))
				w := askAdmin(s, request[0], operationsPath+request[1], request[2])
				wantAdminProblem(t, w, c.status, c.slug)
				if !strings.Contains(w.Body.String(), c.want) || strings.Contains(w.Body.String(), "secret") ||
					w.Header().Get("Content-Disposition") != "" {
					t.Errorf("%s; want %s", w.Body, c.want)
				}
			})
		}
	}
}

// TestLoneNode: what has no cluster says so.
func TestLoneNode(t *testing.T) {
	for _, request := range goodOperations {
		w := askAdmin(newTestAdmin(t, &fakeOperator{}), request[0], operationsPath+request[1], request[2])
		if wantAdminProblem(t, w, 409, "conflict"); !strings.Contains(w.Body.String(), "This node is alone") {
			t.Errorf("%s: %s", request[1], w.Body)
		}
	}
}

// TestPromoteRefused: a plan that can't be carried out is shown, and not carried out.
func TestPromoteRefused(t *testing.T) {
	f := &fakeOperations{refusal: "A quorum lives: a1 leads."}
	s := newTestAdmin(t, &fakeOperator{}, withOperations(f))
	w := askAdmin(s, "POST", operationsPath+"promote", `{"zone":"b","dry_run":true}`)
	if w.Code != 200 || !strings.Contains(w.Body.String(), `"refusal":"A quorum lives: a1 leads."`) {
		t.Errorf("status %d: %s", w.Code, w.Body)
	}
	w = askAdmin(s, "POST", operationsPath+"promote", `{"zone":"b","confirm":true}`)
	if wantAdminProblem(t, w, 409, "conflict"); !strings.Contains(w.Body.String(), "A quorum lives: a1 leads.") ||
		f.asked != "" {
		t.Errorf("asked %q: %s", f.asked, w.Body)
	}
}

func TestBackup(t *testing.T) {
	f := &fakeOperations{text: strings.Repeat("state", 100_000)}
	server := httptest.NewServer(newTestAdmin(t, &fakeOperator{}, withOperations(f)))
	defer server.Close()
	get := func() (*http.Response, []byte, error) {
		r, err := http.Get(server.URL + operationsPath + "backup")
		if err != nil {
			t.Fatal(err)
		}
		defer r.Body.Close()
		body, err := io.ReadAll(r.Body)
		return r, body, err
	}
	r, body, err := get()
	if err != nil || r.StatusCode != 200 || r.Header.Get("Content-Type") != "application/octet-stream" ||
		string(body) != f.text {
		t.Errorf("status %d, %d bytes, %v, %v", r.StatusCode, len(body), r.Header, err)
	}
	f.err = errors.New("the disk is gone")
	if _, body, err := get(); err == nil {
		t.Errorf("a backup that broke off looks whole, with %d bytes", len(body))
	}
	f.err, f.asked = nil, ""
	for query, want := range map[string]struct {
		status int
		asked  string
	}{"?state_only=true": {200, "state only"}, "?state_only=false": {200, "backup"}, "?state_only=perhaps": {400, ""}} {
		f.asked = ""
		if w := askAdmin(newTestAdmin(t, &fakeOperator{}, withOperations(f)), "GET", operationsPath+"backup"+query,
			""); w.Code != want.status || !strings.Contains(f.asked, want.asked) || want.asked == "" && f.asked != "" {
			t.Errorf("%s: status %d, asked %q", query, w.Code, f.asked)
		}
	}
	f.asked = ""
	if r, err := http.Head(server.URL + operationsPath + "backup"); err != nil || r.StatusCode != 200 || f.asked != "" {
		t.Errorf("HEAD: %v, asked %q", err, f.asked)
	}
}

// TestBackupOutlivesTimeouts: those of other requests don't end one.
func TestBackupOutlivesTimeouts(t *testing.T) {
	const short = 500 * time.Millisecond
	f := &fakeOperations{text: strings.Repeat("state", 100_000), hold: func() { time.Sleep(2 * short) }}
	server := httptest.NewUnstartedServer(newTestAdmin(t, &fakeOperator{}, withOperations(f),
		func(c *AdminConfig) { c.RequestTimeout = short }))
	server.Config.ReadTimeout, server.Config.WriteTimeout = short, short
	server.Start()
	defer server.Close()
	r, err := http.Get(server.URL + operationsPath + "backup")
	if err != nil {
		t.Fatal(err)
	}
	defer r.Body.Close()
	if body, err := io.ReadAll(r.Body); err != nil || string(body) != f.text {
		t.Errorf("%d bytes, %v", len(body), err)
	}
}

// TestOneBackupAtATime: the second is refused while the first is being taken.
func TestOneBackupAtATime(t *testing.T) {
	started, finish := make(chan struct{}), make(chan struct{})
	f := &fakeOperations{text: "state", hold: func() {
		close(started)
		<-finish
	}}
	s := newTestAdmin(t, &fakeOperator{}, withOperations(f))
	done := make(chan *httptest.ResponseRecorder)
	go func() { done <- askAdmin(s, "GET", operationsPath+"backup", "") }()
	<-started
	w := askAdmin(s, "GET", operationsPath+"backup", "")
	if wantAdminProblem(t, w, 409, "conflict"); !strings.Contains(w.Body.String(), "Another backup") {
		t.Errorf("%s", w.Body)
	}
	close(finish)
	if w := <-done; w.Code != 200 || w.Body.String() != "state" {
		t.Errorf("the first: status %d, %s", w.Code, w.Body)
	}
	f.hold = nil
	if w := askAdmin(s, "GET", operationsPath+"backup", ""); w.Code != 200 {
		t.Errorf("one after the other: status %d", w.Code)
	}
}

// wellCluster is three nodes in two zones without a complaint.
func wellCluster() wire.Cluster {
	node := func(id, zone, role string) wire.Node {
		return wire.Node{ID: id, Zone: zone, Kind: wire.KindVoter, Role: role, Reachable: true, Generation: 1}
	}
	return wire.Cluster{Cluster: "shop", Generation: 1, Leader: "a1", ZoneAck: wire.ZoneAck{Mode: wire.ZoneAckRequire,
		State: wire.ZoneAckHolding, ZoneIndex: 9},
		Nodes: []wire.Node{node("a1", "a", wire.NodeLeader), node("a2", "a", wire.NodeFollower),
			node("b1", "b", wire.NodeFollower)}, Answered: "a1"}
}

func TestAlarms(t *testing.T) {
	lost := func(n *wire.Node) { n.Reachable, n.Role = false, wire.NodeUnknown }
	for name, c := range map[string]struct {
		change func(*wire.Cluster)
		want   []string
	}{
		"all well":  {func(*wire.Cluster) {}, nil},
		"no leader": {func(c *wire.Cluster) { c.Leader = "" }, []string{"No leader"}},
		"degraded": {func(c *wire.Cluster) { c.ZoneAck.State = wire.ZoneAckDegraded },
			[]string{"Zone ack is degraded"}},
		"blocked":   {func(c *wire.Cluster) { c.ZoneAck.State = wire.ZoneAckBlocked }, []string{"Zone ack is blocked"}},
		"not known": {func(c *wire.Cluster) { c.ZoneAck.State = wire.ZoneAckUnknown }, nil},
		"one zone": {func(c *wire.Cluster) { c.ZoneAck.State = wire.ZoneAckSingleZone },
			[]string{"all voters are of one zone"}},
		"by choice": {func(c *wire.Cluster) {
			c.ZoneAck = wire.ZoneAck{Mode: wire.ZoneAckPrefer, State: wire.ZoneAckSingleZone}
		}, nil},
		"one lost": {func(c *wire.Cluster) { lost(&c.Nodes[2]); c.Nodes[2].Error = "connection refused" },
			[]string{"Node b1 of zone b can't be reached: connection refused."}},
		"two lost": {func(c *wire.Cluster) { lost(&c.Nodes[1]); lost(&c.Nodes[2]) }, []string{"Node a2", "Node b1",
			"Only 1 of 3 voters"}},
		"joining": {func(c *wire.Cluster) {
			c.Nodes[2].Joining = true
			lost(
				&c.Nodes[2])
			c.Nodes[1].Kind = wire.KindEdge
		}, []string{"Node b1"}},
		"clock": {func(c *wire.Cluster) { c.Nodes[1].ClockOffsetMS = 200; c.Nodes[2].ClockOffsetMS = -201 },
			[]string{"The clock of node b1 is -201 ms off"}},
		"one drained": {func(c *wire.Cluster) { c.Nodes[0].Drained = true }, nil},
		"nobody sells": {func(c *wire.Cluster) {
			c.Nodes[0].Drained, c.Nodes[1].Drained, c.Nodes[2].Kind = true, true, wire.KindWitness
		}, []string{"No node takes new shoppers"}},
		"its own": {func(c *wire.Cluster) {
			c.Leader, c.Alarms = "", []engine.Alarm{{Name: engine.AlarmListingFrozen, Detail: "The moon is full."}}
		}, []string{"No leader", "The moon is full."}},
	} {
		t.Run(name, func(t *testing.T) {
			status := wellCluster()
			c.change(&status)
			s := newTestAdmin(t, &fakeOperator{},
				func(cfg *AdminConfig) { cfg.Cluster = &fakeCluster{status: &status} })
			w := askAdmin(s, "GET", "/admin/v1/cluster", "")
			var shown wire.Cluster
			if err := json.Unmarshal(w.Body.Bytes(), &shown); err != nil {
				t.Fatal(err)
			}
			if shown.Alarms == nil || !slices.EqualFunc(shown.Alarms, c.want,
				func(a engine.Alarm, part string) bool { return a.Name != "" && strings.Contains(a.String(), part) }) {
				t.Errorf("%+v; want %q", shown.Alarms, c.want)
			}
		})
	}
}
