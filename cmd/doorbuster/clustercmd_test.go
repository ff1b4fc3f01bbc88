package main

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"doorbuster/cmd/doorbuster/cli"
	"doorbuster/engine"
	"doorbuster/httpapi/wire"
)

// clusterNode is a node's admin API as far as the cluster commands see it: the
// real one's routes are tested where they are, so it keeps what it was sent and
// answers as told.
type clusterNode struct {
	*httptest.Server
	mu      sync.Mutex
	answers map[string]string // by "METHOD path"
	then    []string          // the next answers, whatever is asked
	status  int               // of every answer; 200 if 0
	asked   []string          // "METHOD path body"
	token   string
}

func newClusterNode(t *testing.T, answers map[string]string) *clusterNode {
	t.Helper()
	t.Setenv("DOORBUSTER_TOKEN", "")
	n := &clusterNode{answers: answers}
	n.Server = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, err := io.ReadAll(r.Body)
		if err != nil {
			t.Error(err)
		}
		n.mu.Lock()
		defer n.mu.Unlock()
		asked := r.Method + " " + r.URL.Path
		n.asked = append(n.asked, strings.TrimSpace(asked+" "+string(body)))
		n.token = r.Header.Get("Authorization")
		if r.Method == "POST" && r.Header.Get("Content-Type") != "application/json" {
			t.Errorf("%s with content type %q", asked, r.Header.Get("Content-Type"))
		}
		if strings.HasSuffix(asked, "/backup") {
			w.Header().Set("Content-Type", "application/octet-stream")
		}
		if n.status != 0 {
			w.Header().Set("Content-Type", "application/problem+json")
			w.WriteHeader(n.status)
		}
		if len(n.then) > 0 {
			n.answers[asked], n.then = n.then[0], n.then[1:]
		}
		io.WriteString(w, n.answers[asked])
	}))
	t.Cleanup(n.Close)
	return n
}

func (n *clusterNode) requests() []string {
	n.mu.Lock()
	defer n.mu.Unlock()
	return append([]string(nil), n.asked...)
}

// runCluster runs "doorbuster cluster" with args.
func runCluster(ctx context.Context, stdin io.Reader, stdout io.Writer, args ...string) (stderr string, err error) {
	c := newRootCommand()
	var errs bytes.Buffer
	c.SetIn(stdin)
	c.SetOut(stdout)
	c.SetErr(&errs)
	c.SetArgs(append([]string{"cluster"}, args...))
	err = c.ExecuteContext(ctx)
	return errs.String(), err
}

func clusterSays(t *testing.T, stdin string, args ...string) (stdout string, err error) {
	t.Helper()
	var out bytes.Buffer
	_, err = runCluster(t.Context(), strings.NewReader(stdin), &out, args...)
	return out.String(), err
}

// twoRoomStatus is three nodes in two zones, with something to see to.
func twoRoomStatus() *wire.Cluster {
	return &wire.Cluster{Cluster: "shop", Generation: 2, Leader: "a1", Term: 7, Epoch: 41, RulesVersion: 1,
		ZoneAck: wire.ZoneAck{Mode: wire.ZoneAckPrefer, State: wire.ZoneAckDegraded, ZoneIndex: 4700},
		Alarms: []engine.Alarm{{Name: engine.AlarmZoneAck, Detail: "Zone ack is degraded."},
			{Name: engine.AlarmNodeUnreachable, About: "b1", Detail: "Node b1 can't be reached: \x1b[2J."}},
		Nodes: []wire.Node{
			{ID: "b1", Zone: "b", Kind: wire.KindVoter, Role: wire.NodeUnknown, LastIndex: 4700,
				Error: "connection refused"},
			{ID: "a2", Zone: "a", Kind: wire.KindEdge, Role: wire.NodeNonVoter, Reachable: true, AppliedIndex: 4702,
				LastIndex: 4711, Lag: 9,
				DurableIndex: 4710, WALBytes: 900, Generation: 2, ClockOffsetMS: -12.34, Drained: true, Joining: true,
				Version: "1.1"},
			{ID: "a1", Zone: "a", Kind: wire.KindVoter, Role: wire.NodeLeader, Reachable: true, AppliedIndex: 4711,
				LastIndex:    4711,
				DurableIndex: 4711, WALBytes: 3 << 20, Generation: 2, Preferred: true, Version: "1.0"},
		}, Answered: "a1"}
}

func encoded(t *testing.T, v any) string {
	t.Helper()
	text, err := json.Marshal(v)
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

func TestClusterStatus(t *testing.T) {
	node := newClusterNode(t, map[string]string{"GET /admin/v1/cluster": encoded(t, twoRoomStatus())})
	out, err := clusterSays(t, "", "status", "--admin", node.URL)
	if err != nil {
		t.Fatal(err)
	}
	const want = `cluster   shop, generation 2, as a1 sees it
leader    a1, term 7, epoch 41
state     rules 1
zone ack  prefer, DEGRADED: another zone has things only up to log index 4700
ALARM     wake zone_ack: Zone ack is degraded.
ALARM     wake "node_unreachable: Node b1 can't be reached: \x1b[2J."

  NODE  ZONE  KIND   ROLE         APPLIED  LAST  LAG  DURABLE  DISK     GEN  CLOCK    NOTES
* a1    a     voter  leader       4711     4711  0    4711     3.0 MiB  2    -        preferred zone; 1.0
  a2    a     edge   non-voter    4702     4711  9    4710     900 B    2    -12.3ms  joining; drained; 1.1
  b1    b     voter  unreachable  -        4700  -    -        -        -    -        connection refused
`
	if out != want {
		t.Errorf("got:\n%s\nwant:\n%s", out, want)
	}
	out, err = clusterSays(t, "", "status", "--admin", node.URL, "--output", "json")
	var status wire.Cluster
	if err != nil || json.Unmarshal([]byte(out), &status) != nil || len(status.Nodes) != 3 ||
		status.ZoneAck.ZoneIndex != 4700 {
		t.Errorf("%v: %s", err, out)
	}
}

func TestClusterStatusOfALoneNode(t *testing.T) {
	node := newClusterNode(t, map[string]string{"GET /admin/v1/cluster": `{"leader":"n1","term":2,"epoch":3,"nodes":[{"id":"n1","zone":"","role":"leader","reachable":true,"applied_index":9,"last_index":9}]}`})
	out, err := clusterSays(t, "", "status", "--admin", node.URL)
	if err != nil || !strings.HasPrefix(out, "cluster   this node is alone\n") || strings.Contains(out, "zone ack") {
		t.Errorf("%v:\n%s", err, out)
	}
}

// signalling keeps what is written, and tells of each piece.
type signalling struct {
	kept   bytes.Buffer
	pieces chan struct{}
}

func (s *signalling) Write(p []byte) (int, error) {
	n, err := s.kept.Write(p)
	s.pieces <- struct{}{}
	return n, err
}

// await waits until two pieces have been written, which must be before done.
func (s *signalling) await(t *testing.T, done <-chan error) {
	t.Helper()
	for range 2 {
		select {
		case <-s.pieces:
		case err := <-done:
			t.Fatalf("it ended: %v", err)
		case <-time.After(30 * time.Second):
			t.Fatal("nothing is written")
		}
	}
}

func TestClusterStatusWatches(t *testing.T) {
	node := newClusterNode(t, map[string]string{"GET /admin/v1/cluster": encoded(t, twoRoomStatus())})
	ctx, interrupt := context.WithCancel(t.Context())
	out := &signalling{pieces: make(chan struct{}, 100)}
	done := make(chan error, 1)
	go func() {
		_, err := runCluster(ctx, strings.NewReader(""), out, "status", "--watch", "--output", "json", "--admin",
			node.URL)
		done <- err
	}()
	out.await(t, done)
	interrupt()
	if err := <-done; err != nil {
		t.Errorf("interrupted: %v", err)
	}
	if lines := strings.Split(strings.TrimSpace(out.kept.String()), "\n"); len(lines) < 2 ||
		!json.Valid([]byte(lines[1])) {
		t.Errorf("%q", lines)
	}
	// A first look that fails ends it.
	node.Close()
	if _, err := clusterSays(t, "", "status", "--watch", "--admin", node.URL); err == nil {
		t.Error("it watches a node that never answered")
	}
}

func TestClusterChanges(t *testing.T) {
	const at = "POST /admin/v1/cluster/"
	for name, c := range map[string]struct {
		args   []string
		answer string
		sent   string
		want   string
	}{
		"join": {[]string{"join", "--id", "a3", "--zone", "a", "--peer", "h:1"},
			`{"id":"a3","zone":"a","kind":"voter","peer":"h:1"}`,
			`join {"id":"a3","zone":"a","kind":"voter","peer":"h:1"}`,
			"a3 of zone a is let in as a voter. It votes once it has caught up."},
		"join, advice": {[]string{"join", "--id", "e1", "--zone", "a", "--peer", "h:1", "--kind", "edge"},
			`{"id":"e1","zone":"a","kind":"edge","peer":"h:1"}`,
			`join {"id":"e1","zone":"a","kind":"edge","peer":"h:1"}`, `         id: shop
         ca: ca.crt
         cert: e1.crt
         key: e1.key
         nodes:
           - {id: a1, zone: a, peer: "h:2"}
           - {id: c1, zone: c, kind: witness, peer: "h:3"}
  3. Start it`},
		"remove": {[]string{"remove", "--node", "a3", "--note", "old iron"}, `{"removed":"a3"}`,
			`remove {"note":"old iron","node":"a3"}`, "a3 is out of the cluster."},
		"transfer": {[]string{"transfer", "--to", "b1"}, `{"leader":"b1"}`, `transfer {"to":"b1"}`,
			"b1 leads.\n"},
		"to the best": {[]string{"transfer", "--from", "a1"}, `{"leader":"a2"}`, `transfer {"from":"a1"}`,
			"a2 leads.\n"},
		"snapshot": {[]string{"snapshot"}, `{"log_index":4711}`, `snapshot {}`, "at log index 4711."},
		"zone ack": {[]string{"zone-ack", "--mode", "require"}, `{"mode":"require"}`,
			`zone-ack {"mode":"require"}`, "Zone ack is require.\n"},
		"prefer": {[]string{"prefer", "--zone", "a"}, `{"zone":"a"}`, `prefer {"zone":"a"}`,
			"Leadership is to be in zone a.\n"},
		"prefer none": {[]string{"prefer", "--none"}, `{"zone":""}`, `prefer {"zone":""}`,
			"Leadership may be in any zone.\n"},
		"drain": {[]string{"drain", "--node", "a1"}, `{"node":"a1","drained":true}`, `drain {"node":"a1"}`,
			"Node a1 takes no new shoppers."},
		"drain a zone": {[]string{"drain", "--zone", "a"}, `{"zone":"a","drained":true}`, `drain {"zone":"a"}`,
			"Zone a takes no new shoppers."},
		"undrain": {[]string{"undrain", "--zone", "a"}, `{"zone":"a","drained":false}`, `undrain {"zone":"a"}`,
			"Zone a takes shoppers again.\n"},
		"JSON": {[]string{"transfer", "--to", "a2", "--output", "json"}, `{"leader":"a2"}`,
			`transfer {"to":"a2"}`, "{\n  \"leader\": \"a2\"\n}\n"},
		"steering codes": {[]string{"transfer", "--to", "a2"}, `{"leader":"\u001b[2J"}`, `transfer {"to":"a2"}`,
			`"\x1b[2J" leads.`},
	} {
		t.Run(name, func(t *testing.T) {
			node := newClusterNode(t,
				map[string]string{at + c.args[0]: c.answer, "GET /admin/v1/cluster": `{"cluster":"shop","nodes":[` +
					`{"id":"a1","zone":"a","kind":"voter","peer":"h:2"},{"id":"c1","zone":"c","kind":"witness","peer":"h:3"},{"id":"e1","zone":"a","kind":"edge","peer":"h:1"}]}`})
			t.Setenv("DOORBUSTER_TOKEN", "s3cret")
			out, err := clusterSays(t, "", append(c.args, "--admin", node.URL)...)
			if err != nil || !strings.Contains(out, c.want) {
				t.Errorf("%v: %s; want %s", err, out, c.want)
			}
			if asked := node.requests(); len(asked) == 0 || asked[0] != at+c.sent || node.token != "Bearer s3cret" {
				t.Errorf("asked %q with %q", asked, node.token)
			}
		})
	}
}

func TestClusterUsage(t *testing.T) {
	const admin = "--admin=127.0.0.1:1"
	for name, c := range map[string]struct {
		args []string
		want string
	}{
		"no node":         {[]string{"status"}, "no node: name its admin API with --admin"},
		"bad address":     {[]string{"status", "--admin", "ftp://x"}, "is not an address"},
		"output":          {[]string{"status", admin, "--output", "xml"}, "neither text nor json"},
		"timeout":         {[]string{"status", admin, "--timeout", "0s"}, "--timeout 0s"},
		"unknown flag":    {[]string{"status", admin, "--wach"}, "unknown flag"},
		"unknown command": {[]string{"stats", admin}, "unknown"},
		"argument":        {[]string{"transfer", "b1", admin}, "unknown command or argument"},
		"join: nothing": {[]string{"join", admin},
			"no --id: the id of the node, such as a3\nno --zone: its failure domain, such as a\nno --peer"},
		"join: kind": {[]string{"join", admin, "--id=a", "--zone=a", "--peer=h:1", "--kind", "king"},
			"none of voter, witness, edge"},
		"transfer: none":  {[]string{"transfer", admin}, "say --to ID"},
		"remove: nothing": {[]string{"remove", admin}, "name the one to take out"},
		"zone ack: none":  {[]string{"zone-ack", admin}, "say --mode"},
		"zone ack: mode":  {[]string{"zone-ack", admin, "--mode", "on"}, "none of off, prefer, require"},
		"prefer: nothing": {[]string{"prefer", admin}, "one of them"},
		"prefer: both":    {[]string{"prefer", admin, "--zone", "a", "--none"}, "one of them"},
		"drain: nothing":  {[]string{"drain", admin}, "one of them"},
		"undrain: both":   {[]string{"undrain", admin, "--node", "a1", "--zone", "a"}, "one of them"},
		"promote: zone":   {[]string{"promote", admin}, "no zone"},
		"promote: ways":   {[]string{"promote", admin, "--zone", "b", "--yes", "--dry-run"}, "contradict"},
		"promote: JSON":   {[]string{"promote", admin, "--zone", "b", "--output", "json"}, "asks nothing"},
		"backup: nowhere": {[]string{"backup", admin}, "no file"},
	} {
		t.Run(name, func(t *testing.T) {
			out, err := clusterSays(t, "", c.args...)
			if !errors.As(err, new(cli.UsageError)) || !strings.Contains(err.Error(), c.want) || out != "" {
				t.Errorf("%v, %q; want %s", err, out, c.want)
			}
		})
	}
}

func TestClusterSaysWhatToDo(t *testing.T) {
	closed, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	free := closed.Addr().String()
	closed.Close()
	answering := func(status int, answer string) string {
		node := newClusterNode(t, map[string]string{"POST /admin/v1/cluster/transfer": answer})
		node.status = status
		return node.URL
	}
	slow := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		io.Copy(io.Discard, r.Body)
		<-r.Context().Done()
	}))
	t.Cleanup(slow.Close)
	for name, c := range map[string]struct{ admin, want string }{
		"nobody listens": {free, "is the node running"},
		"no token": {answering(401, `{"title":"Unauthorized","detail":"No token."}`),
			"(401): No token; name an ops token with --token-file"},
		"another role": {answering(403, `{"detail":"This needs the role admin; the token has viewer."}`),
			"(403): This needs the role admin; the token has viewer"},
		"shoppers' port": {answering(404, `not found`), "is --admin the admin address"},
		"alone": {answering(409, `{"detail":"This node is alone: it has no cluster to change."}`),
			"(409): This node is alone: it has no cluster to change"},
		"no leader":       {answering(503, `{"title":"no leader"}`), "(503): no leader"},
		"another service": {answering(200, `<html>`), "is --admin right?"},
		"redirect":        {answering(302, ``), "(302)"},
		"no answer":       {slow.URL, "it may be done or not: look with 'doorbuster cluster status'"},
	} {
		t.Run(name, func(t *testing.T) {
			patience := "10s"
			if c.admin == slow.URL {
				patience = "300ms"
			}
			_, err := clusterSays(t, "", "transfer", "--to", "b1", "--admin", c.admin, "--timeout", patience)
			if err == nil || !strings.Contains(err.Error(), c.want) || errors.As(err, new(cli.UsageError)) {
				t.Errorf("got %v, want %q", err, c.want)
			}
		})
	}
}

const (
	promoteAt  = "POST /admin/v1/cluster/promote"
	promoteDry = promoteAt + ` {"zone":"b","dry_run":true}`
	promoteDo  = promoteAt + ` {"zone":"b","token":"t-9"}`
	planText   = `"zone":"b","node":"b1","generation":1,"next_generation":2,"last_index":9,"applied_index":8,"term":2,"zone_ack":"prefer",` +
		`"leader_heard_ago":"12s","unreachable":["a1","a2"],"will":["Raise the generation to 2."],"cannot_know":["Whether zone a still sells."],"refusal":"%s","token":"t-9"}`
)

func TestClusterPromote(t *testing.T) {
	const asked = `Node b1 of zone b, generation 1, term 2, zone ack prefer.
Its log ends at index 9, of which 8 is applied. The leader was last heard 12s ago.
Out of reach: a1, a2.

Promote will:
  - Raise the generation to 2.

It can't know:
  - Whether zone a still sells.
`
	const question, done = "\nType the zone's name to go on, anything else to leave it: ",
		"\nb1 of zone b takes over, in generation 2. Follow it with 'doorbuster cluster status'.\n"
	for name, c := range map[string]struct {
		stdin   string
		args    []string
		refusal string
		out     string
		err     string
		sent    []string
	}{
		"asked, yes": {"b\n", nil, "", asked + question + done, "", []string{promoteDry, promoteDo}},
		"no newline": {"b", nil, "", asked + question + done, "", []string{promoteDry, promoteDo}},
		"asked, no": {"yes\n", nil, "", asked + question, `"yes" is not b; nothing was changed`,
			[]string{promoteDry}},
		"nobody to ask":  {"", nil, "", asked + question, `"" is not b; nothing was changed`, []string{promoteDry}},
		"without asking": {"", []string{"--yes"}, "", asked + done, "", []string{promoteDry, promoteDo}},
		"only the plan":  {"", []string{"--dry-run"}, "", asked, "", []string{promoteDry}},
		"refused":        {"b\n", []string{"--yes"}, "A quorum lives.", asked, "A quorum lives.", []string{promoteDry}},
		"refused, dry": {"", []string{"--dry-run"}, "A quorum lives.", asked, "A quorum lives.",
			[]string{promoteDry}},
	} {
		t.Run(name, func(t *testing.T) {
			node := newClusterNode(t,
				map[string]string{promoteAt: `{"promoted":true,` + fmt.Sprintf(planText, c.refusal)})
			out, err := clusterSays(t, c.stdin,
				append([]string{"promote", "--zone", "b", "--admin", node.URL}, c.args...)...)
			if out != c.out || (err == nil) != (c.err == "") || err != nil && !strings.Contains(err.Error(), c.err) {
				t.Errorf("%v, got:\n%s\nwant %q:\n%s", err, out, c.err, c.out)
			}
			if sent := node.requests(); strings.Join(sent, "\n") != strings.Join(c.sent, "\n") {
				t.Errorf("asked %q; want %q", sent, c.sent)
			}
		})
	}
	node := newClusterNode(t, map[string]string{promoteAt: `{"promoted":true,` + fmt.Sprintf(planText, "")})
	out, err := clusterSays(t, "", "promote", "--zone", "b", "--yes", "--output", "json", "--admin", node.URL)
	var answer wire.Promoted
	if err != nil || json.Unmarshal([]byte(out), &answer) != nil || !answer.Promoted || answer.Node != "b1" {
		t.Errorf("%v: %s", err, out)
	}
}

// TestClusterPromoteInterrupted: an operator who leaves has changed nothing.
func TestClusterPromoteInterrupted(t *testing.T) {
	node := newClusterNode(t, map[string]string{promoteAt: `{"promoted":false,` + fmt.Sprintf(planText, "")})
	ctx, interrupt := context.WithCancel(t.Context())
	out := &signalling{pieces: make(chan struct{}, 100)}
	silent, w := io.Pipe()
	defer w.Close()
	done := make(chan error, 1)
	go func() {
		_, err := runCluster(ctx, silent, out, "promote", "--zone", "b", "--admin", node.URL)
		done <- err
	}()
	out.await(t, done) // the plan and the question
	interrupt()
	if err := <-done; err == nil || !strings.Contains(err.Error(), "nothing was changed") || len(node.requests()) != 1 {
		t.Errorf("%v, asked %q", err, node.requests())
	}
}

// TestPromoteWaits: who is refused because a leader was heard a moment ago is told how
// long that takes, and with --wait the command waits; for what waiting does not help it
// does not.
func TestPromoteWaits(t *testing.T) {
	plan := func(refusal, wait string) string {
		return fmt.Sprintf(`{"promoted":true,"zone":"b","node":"b1","refusal":%q,"wait":%q,"token":"t-9"}`, refusal,
			wait)
	}
	heard := plan("a leader was heard 1.8s ago; in 1.2s it is certain", "30ms")
	for name, c := range map[string]struct {
		args  []string
		first string
		asked int
		ok    bool
	}{
		"waits":        {[]string{"--yes", "--wait"}, heard, 4, true},
		"does not":     {[]string{"--yes"}, heard, 1, false},
		"of no use":    {[]string{"--yes", "--wait"}, plan("A quorum lives.", ""), 1, false},
		"not for ever": {[]string{"--yes", "--wait", "--timeout", "1s"}, plan("it takes an hour", "1h"), 1, false},
	} {
		t.Run(name, func(t *testing.T) {
			node := newClusterNode(t, map[string]string{promoteAt: c.first})
			node.then = []string{c.first, c.first, plan("", "")}
			_, err := clusterSays(t, "", append([]string{"promote", "--zone", "b", "--admin", node.URL}, c.args...)...)
			if asked := len(node.requests()); (err == nil) != c.ok || asked != c.asked {
				t.Errorf("%v, after %d questions; want %d", err, asked, c.asked)
			}
		})
	}
}

func TestClusterBackup(t *testing.T) {
	const at = "GET /admin/v1/cluster/backup"
	node := newClusterNode(t, map[string]string{at: stateBackup(t)})
	dir := t.TempDir()
	file := filepath.Join(dir, "shop.backup")
	out, err := clusterSays(t, "", "backup", "--out", file, "--admin", node.URL)
	if err != nil || !strings.HasPrefix(out, file+": ") || !strings.HasSuffix(out,
		" B, log index 0, without settled orders\n") {
		t.Fatalf("%v: %s", err, out)
	}
	text, err := os.ReadFile(file)
	info, statErr := os.Stat(file)
	if err != nil || statErr != nil || string(text) != node.answers[at] || info.Mode().Perm() != 0o600 {
		t.Errorf("%d bytes, %v, %v, %v", len(text), info.Mode(), err, statErr)
	}
	if _, err := clusterSays(t, "", "backup", "--out", file, "--admin", node.URL); err == nil ||
		!strings.Contains(err.Error(), "there already") {
		t.Errorf("over an older one: %v", err)
	}
	if len(node.requests()) != 1 {
		t.Errorf("asked %q", node.requests())
	}
	other := filepath.Join(dir, "other")
	if err := os.WriteFile(other+".part", nil, 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := clusterSays(t, "", "backup", "--out", other, "--admin", node.URL); err == nil ||
		!strings.Contains(err.Error(), "another backup is being written") {
		t.Errorf("beside another: %v", err)
	}
}

// stateBackup is a backup of an empty state, and of that only.
func stateBackup(t *testing.T) string {
	t.Helper()
	const info = `{"cluster":"shop","log_index":0,"state_only":true}`
	var b, state bytes.Buffer
	if _, err := engine.NewState().Snapshot().WriteTo(&state); err != nil {
		t.Fatal(err)
	}
	b.WriteString("DBSAVED1")
	b.Write(binary.LittleEndian.AppendUint32(binary.LittleEndian.AppendUint32(nil, 1), uint32(len(info))))
	b.Write(binary.LittleEndian.AppendUint64(nil, uint64(state.Len())))
	b.WriteString(info)
	state.WriteTo(&b)
	sum := sha256.Sum256(b.Bytes())
	return b.String() + string(sum[:])
}

// TestClusterBackupLeavesNothingBehind where it fails.
func TestClusterBackupLeavesNothingBehind(t *testing.T) {
	t.Setenv("DOORBUSTER_TOKEN", "")
	serve := func(h http.HandlerFunc) string {
		s := httptest.NewServer(h)
		t.Cleanup(s.Close)
		return s.URL
	}
	begin := func(w http.ResponseWriter) {
		w.Header().Set("Content-Type", "application/octet-stream")
		io.WriteString(w, "state")
		w.(http.Flusher).Flush()
	}
	for name, c := range map[string]struct {
		node http.HandlerFunc
		want string
	}{
		"refused": {func(w http.ResponseWriter, _ *http.Request) {
			w.WriteHeader(409)
			io.WriteString(w, `{"detail":"Another backup is being taken."}`)
		}, "(409): Another backup is being taken"},
		"broken off": {func(w http.ResponseWriter, _ *http.Request) { begin(w); panic(http.ErrAbortHandler) },
			"broke off"},
		"falls still": {func(w http.ResponseWriter, r *http.Request) { begin(w); <-r.Context().Done() },
			"--timeout waits longer"},
		"never comes": {func(_ http.ResponseWriter, r *http.Request) { <-r.Context().Done() },
			"--timeout waits longer"},
		"spoilt": {func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Content-Type", "application/octet-stream")
			io.WriteString(w, strings.Replace(stateBackup(t), "shop", "show", 1))
		}, "its checksum does not fit"},
		"its ledger is not whole": {func(w http.ResponseWriter, _ *http.Request) {
			w.WriteHeader(409)
			io.WriteString(w, `{"detail":"the backup would lack settled orders: try again"}`)
		}, "would lack settled orders"},
		"a page": {func(w http.ResponseWriter, _ *http.Request) { io.WriteString(w, "<html>") },
			"not with application/octet-stream"},
		"nothing": {func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Content-Type", "application/octet-stream")
		}, "sent nothing"},
	} {
		t.Run(name, func(t *testing.T) {
			dir := t.TempDir()
			_, err := clusterSays(t, "", "backup", "--out", filepath.Join(dir, "f"), "--admin", serve(c.node),
				"--timeout", "500ms")
			if err == nil || !strings.Contains(err.Error(), c.want) || errors.As(err, new(cli.UsageError)) {
				t.Errorf("got %v, want %q", err, c.want)
			}
			if left, err := os.ReadDir(dir); err != nil || len(left) > 0 {
				t.Errorf("left behind: %v, %v", left, err)
			}
		})
	}
	if _, err := clusterSays(t, "", "backup", "--out", filepath.Join(t.TempDir(), "no", "f"), "--admin",
		"127.0.0.1:1"); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("no such folder: %v", err)
	}
}
