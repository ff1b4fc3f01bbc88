// Package sinks has tests of what flows out of nodes that are processes.
package sinks

import (
	"encoding/base64"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"

	standardwebhooks "github.com/standard-webhooks/standard-webhooks/libraries/go"

	"doorbuster/cmd/doorbuster/nodetest"
	"doorbuster/httpapi/wire"
)

func TestMain(m *testing.M) { nodetest.Main(m) }

// event is what a webhook posts.
type event struct {
	ID, Type, Subject string
	Data              struct {
		wire.TrailEvent
		Order *wire.OpsOrder
	}
}

// receiver takes events, drops those whose id it has had, and checks their signatures.
type receiver struct {
	*httptest.Server
	mu       sync.Mutex
	seen     map[string]bool
	events   []event // in the order of their first arrival
	again    int     // arrivals after the first
	no       func(event) int
	unsigned int
}

func newReceiver(t *testing.T, secret string) *receiver {
	signer, err := standardwebhooks.NewWebhook(secret)
	if err != nil {
		t.Fatal(err)
	}
	r := &receiver{seen: map[string]bool{}}
	r.Server = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, q *http.Request) {
		body, err := io.ReadAll(q.Body)
		if err == nil {
			err = signer.Verify(body, q.Header)
		}
		var e event
		if err == nil {
			err = json.Unmarshal(body, &e)
		}
		r.mu.Lock()
		defer r.mu.Unlock()
		if err != nil {
			r.unsigned++
			w.WriteHeader(http.StatusUnauthorized)
			return
		}
		if r.no != nil {
			if status := r.no(e); status != 0 {
				w.WriteHeader(status)
				return
			}
		}
		if id := q.Header.Get("webhook-id"); r.seen[id] {
			r.again++
		} else {
			r.seen[id], r.events = true, append(r.events, e)
		}
	}))
	t.Cleanup(r.Close)
	return r
}

// of gives the kinds of events of an order, in the order of their arrival.
func (r *receiver) of(orderNo string) (kinds []string) {
	r.mu.Lock()
	defer r.mu.Unlock()
	for _, e := range r.events {
		if e.Data.OrderNo == orderNo {
			kinds = append(kinds, e.Data.Kind)
		}
	}
	return kinds
}

func (r *receiver) refuse(no func(event) int) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.no = no
}

// hooks is the configuration of a webhook, and the receiver it posts to.
func hooks(t *testing.T, dir, more string) (*receiver, string) {
	t.Helper()
	secret := "whsec_" + base64.StdEncoding.EncodeToString([]byte("0123456789abcdef0123456789abcdef"))
	file := filepath.Join(dir, "hooks.secret")
	if err := os.WriteFile(file, []byte(secret+"\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	r := newReceiver(t, secret)
	return r, fmt.Sprintf("sinks:\n  - {name: hooks, kind: webhook, url: %q, secret_file: %q, "+
		"allow_addresses: [127.0.0.0/8]%s}\n", r.URL, file, more)
}

func status(t *testing.T, s *nodetest.Shop) (hooks wire.Sink) {
	t.Helper()
	var all wire.Sinks
	body := s.Ops("GET", "/admin/v1/sinks", "").Body
	if err := json.Unmarshal([]byte(body), &all); err != nil || len(all.Sinks) != 1 {
		t.Fatalf("%v: %+v", err, all)
	}
	return all.Sinks[0]
}

func told(t *testing.T, s *nodetest.Shop) func() string {
	return func() string { return fmt.Sprintf("%+v", status(t, s)) }
}

func TestWebhookOfOneNode(t *testing.T) {
	dir := t.TempDir()
	r, config := hooks(t, dir, ", attempts: 2")
	file := nodetest.TempFile(t, config)
	s := nodetest.Open(t, filepath.Join(dir, "data"), "--config", file)
	s.Apply(nodetest.DayPlan("", 10))
	ann, bob := s.MustGrant("ann", "", "day/sku-1"), s.MustGrant("bob", "", "day/sku-1")
	s.CancelOrder("bob", bob.OrderNo)
	s.Eventually(func() bool { return slices.Equal(r.of(bob.OrderNo), []string{"hold_placed", "hold_released"}) },
		told(t, s))
	s.Eventually(func() bool { return slices.Equal(r.of(ann.OrderNo), []string{"hold_placed"}) }, told(t, s))
	for _, e := range r.events {
		if o := e.Data.Order; (o == nil) != (e.Data.OrderNo == "") || o != nil && (o.OrderNo != e.Subject ||
			o.Receiver != nil || e.Type != "doorbuster."+e.Data.Kind) {
			t.Errorf("%+v with %+v", e, o)
		}
	}
	out := s.MustRun("sinks", "status", "--admin", s.Admin)
	if !strings.Contains(out, "hooks") || !strings.Contains(out, "flowing") {
		t.Error(out)
	}
	if v := s.Metric(`doorbuster_sink_state{sink="hooks",state="flowing"}`); v != "1" {
		t.Errorf("state %q", v)
	}

	// Paused, nothing arrives; a node that starts again is paused still.
	s.MustRun("sinks", "pause", "hooks", "--note", "why", "--admin", s.Admin)
	s.Eventually(func() bool { return status(t, s).State == "paused" }, told(t, s))
	cai := s.MustGrant("cai", "", "day/sku-1")
	s.Stop()
	s = s.Reopen("--config", file)
	s.Eventually(func() bool { return status(t, s).State == "paused" }, told(t, s))
	if got := r.of(cai.OrderNo); got != nil {
		t.Errorf("while it is paused: %v", got)
	}
	if out := s.MustRun("sinks", "resume", "hooks", "--admin", s.Admin); strings.Contains(out, "paused") {
		t.Errorf("resuming says: %s", out)
	}
	s.Eventually(func() bool { return slices.Equal(r.of(cai.OrderNo), []string{"hold_placed"}) }, told(t, s))

	// A replay posts what was posted, under the ids of then.
	r.mu.Lock()
	before, again := len(r.events), r.again
	r.mu.Unlock()
	s.MustRun("sinks", "replay", "hooks", "--since", "2020-01-01", "--admin", s.Admin)
	s.Eventually(func() bool {
		r.mu.Lock()
		defer r.mu.Unlock()
		return r.again >= again+before && len(r.events) == before
	}, told(t, s))
	if code, _, errs := nodetest.Tool(t, "", "sinks", "replay", "hooks", "--from", "x", "--admin",
		s.Admin); code == 0 || !strings.Contains(errs, "INDEX.N") {
		t.Errorf("%d %s", code, errs)
	}
	// Behind the trail's end is no place to go on from: what happens until then would be left out.
	for _, ahead := range [][]string{{"--from", "99999999999.0"}, {"--since", "2999-01-01"}} {
		args := append([]string{"sinks", "replay", "hooks", "--admin", s.Admin}, ahead...)
		if code, _, errs := nodetest.Tool(t, "", args...); code == 0 || !strings.Contains(errs, "left out") {
			t.Errorf("%s: %d %s", ahead, code, errs)
		}
	}
	if code, _, errs := nodetest.Tool(t, "", "sinks", "pause", "nobody", "--admin", s.Admin); code == 0 ||
		!strings.Contains(errs, "No sink has the name") {
		t.Errorf("%d %s", code, errs)
	}

	// What is refused for good is put aside, looked at, and sent again.
	r.refuse(func(e event) int {
		if e.Data.Shopper == "dov" {
			return http.StatusUnprocessableEntity
		}
		return 0
	})
	dov, eva := s.MustGrant("dov", "", "day/sku-1"), s.MustGrant("eva", "", "day/sku-1")
	s.Eventually(func() bool { return len(r.of(eva.OrderNo)) == 1 && status(t, s).DeadLetters == 1 }, told(t, s))
	out = s.MustRun("sinks", "letters", "hooks", "--admin", s.Admin)
	if !strings.Contains(out, dov.OrderNo) || !strings.Contains(out, "hold_placed") || !strings.Contains(out, "422") {
		t.Error(out)
	}
	s.Raised("sink_letters", "hooks")
	r.refuse(nil)
	s.MustRun("sinks", "send", "hooks", "--all", "--admin", s.Admin)
	s.Eventually(func() bool { return len(r.of(dov.OrderNo)) == 1 && status(t, s).DeadLetters == 0 }, told(t, s))
	s.Healed("sink_letters")

	// All of it is in the audit trail, and no sink is told of itself.
	audit := s.Ops("GET", "/admin/v1/audit?operator=dev", "").Body
	for _, what := range []string{"sink hooks: pause", "sink hooks: resume", "sink hooks: from ", "send again"} {
		if !strings.Contains(audit, what) {
			t.Errorf("no %q in %s", what, audit)
		}
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	for _, e := range r.events {
		if strings.HasPrefix(e.Data.Kind, "sink_") {
			t.Errorf("%+v", e)
		}
	}
	if r.unsigned > 0 {
		t.Errorf("%d posts that are not signed", r.unsigned)
	}
}

// TestWebhookOverFailures: three nodes, of which the leader is killed again and again while
// orders come: of each order all changes arrive, in order.
func TestWebhookOverFailures(t *testing.T) {
	f := nodetest.NewFleet(t, "off", nodetest.Rooms3...)
	r, config := hooks(t, f.Dir, "")
	f.Extra = config
	f.Open()
	f.Plan(nodetest.DayPlan("", 1000))
	var orders []nodetest.Order
	n := 0
	r.refuse(func(event) int { // it fails now and then
		if n++; n%7 == 0 {
			return http.StatusServiceUnavailable
		}
		return 0
	})
	for round := range 4 {
		leader := f.Leader()
		for i := range 20 {
			shopper := fmt.Sprintf("s-%d-%d", round, i)
			o := leader.EventuallyGrants(shopper, "day/sku-1")
			leader.CancelOrder(shopper, o.OrderNo)
			orders = append(orders, o)
		}
		leader.Kill()
		leader.Relaunch()
	}
	leader := f.Leader()
	want := []string{"hold_placed", "hold_released"}
	for _, o := range orders {
		leader.Eventually(func() bool { return len(r.of(o.OrderNo)) >= 2 }, told(t, leader.Shop))
		if got := r.of(o.OrderNo); !slices.Equal(got, want) {
			t.Errorf("order %s: %v", o.OrderNo, got)
		}
	}
	for _, m := range f.Others(leader) {
		if s := status(t, m.Shop); s.State != "elsewhere" || s.Position == "0.0" {
			t.Errorf("%s: %+v", m.ID, s)
		}
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	t.Logf("%d events of %d orders, %d arrivals were repeated", len(r.events), len(orders), r.again)
	if r.unsigned > 0 {
		t.Errorf("%d posts that are not signed", r.unsigned)
	}
}
