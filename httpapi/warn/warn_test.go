package warn

import (
	"context"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	standardwebhooks "github.com/standard-webhooks/standard-webhooks/libraries/go"

	"doorbuster/engine"
)

// ear hears warnings, and checks how they are signed.
type ear struct {
	*httptest.Server
	mu     sync.Mutex
	heard  []Message
	ids    []string
	header http.Header
	no     int // status of answers; 0: yes
}

var secret = "whsec_" + base64.StdEncoding.EncodeToString([]byte(strings.Repeat("a", 32)))

func signers(t testing.TB) []*standardwebhooks.Webhook {
	signer, err := standardwebhooks.NewWebhook(secret)
	if err != nil {
		t.Fatal(err)
	}
	return []*standardwebhooks.Webhook{signer}
}

func newEar(t *testing.T) *ear {
	e := &ear{}
	signer := signers(t)[0]
	e.Server = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, err := io.ReadAll(r.Body)
		if err == nil {
			err = signer.Verify(body, r.Header)
		}
		var m Message
		if err == nil {
			err = json.Unmarshal(body, &m)
		}
		if err != nil {
			t.Errorf("%v: %s", err, body)
		}
		e.mu.Lock()
		defer e.mu.Unlock()
		if e.no != 0 {
			w.WriteHeader(e.no)
			return
		}
		e.heard, e.ids, e.header = append(e.heard, m), append(e.ids, r.Header.Get("webhook-id")), r.Header
	}))
	t.Cleanup(e.Close)
	return e
}

func (e *ear) said() string {
	e.mu.Lock()
	defer e.mu.Unlock()
	var all []string
	for _, m := range e.heard {
		all = append(all, strings.TrimSpace(m.Event+" "+m.Alarm+" "+m.By))
	}
	return strings.Join(all, "; ")
}

func (e *ear) answer(status int) {
	e.mu.Lock()
	e.no = status
	e.mu.Unlock()
}

// watch is a Sender whose clock and alarms a test turns.
type watch struct {
	*Sender
	t      *testing.T
	mu     sync.Mutex
	now    time.Time
	alarms []engine.Alarm
	notes  []*engine.AlarmNote
	duty   Duty
}

func newWatch(t *testing.T, receivers ...Receiver) *watch {
	w := &watch{t: t, now: time.Date(2026, 9, 20, 2, 0, 0, 0, time.UTC), duty: Leads}
	s, err := New(Config{Cluster: "shop", Receivers: receivers, Backoff: time.Millisecond,
		Alarms: func() []engine.Alarm { return w.alarms }, Notes: func() []*engine.AlarmNote { return w.notes },
		Duty: func() Duty { return w.duty }, Heal: w.heal, Now: w.clock})
	if err != nil {
		t.Fatal(err)
	}
	w.Sender = s
	for _, l := range s.lines {
		done := make(chan struct{})
		go func() { s.deliver(t.Context(), l); close(done) }()
		t.Cleanup(func() { <-done })
	}
	return w
}

func (e *ear) receiver(t *testing.T, name string, severity engine.Severity) Receiver {
	body, err := ParseBody(DefaultBody, true)
	if err != nil {
		t.Fatal(err)
	}
	return Receiver{Name: name, URL: e.URL, Severity: severity, Body: body, ContentType: "application/json",
		Header:  http.Header{"X-Team": {"ops"}},
		Signers: func() ([]*standardwebhooks.Webhook, error) { return signers(t), nil }, Timeout: 5 * time.Second,
		Allow: []netip.Prefix{netip.MustParsePrefix("127.0.0.0/8")}}
}

// heal takes what is over out of the notes, as the state does.
func (w *watch) heal(_ context.Context, x engine.AlarmChange) error {
	for _, n := range w.notes {
		if n.Name == x.Name {
			n.Of = slices.DeleteFunc(n.Of, func(whose string) bool { return slices.Contains(x.Of, whose) })
		}
	}
	return nil
}

func (w *watch) clock() time.Time {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.now
}

// after turns the clock on, in looks.
func (w *watch) after(d time.Duration) {
	for end := w.now.Add(d); w.now.Before(end); {
		w.look(w.t.Context(), w.now)
		w.mu.Lock()
		w.now = w.now.Add(min(time.Second, end.Sub(w.now)))
		w.mu.Unlock()
	}
	w.look(w.t.Context(), w.now)
}

func (w *watch) hears(e *ear, want string) {
	w.t.Helper()
	for end := time.Now().Add(10 * time.Second); e.said() != want; time.Sleep(time.Millisecond) {
		if time.Now().After(end) {
			w.t.Fatalf("heard %q, want %q", e.said(), want)
		}
	}
}

func wakes(name engine.AlarmName) engine.Alarm {
	return engine.Alarm{Name: name, Severity: engine.SeverityWake, Detail: "It broke."}
}

// TestWakeUntilAcknowledged: an alarm to wake for is repeated, passed on, and quiet once
// somebody has acknowledged it; whoever hears of all hears once.
func TestWakeUntilAcknowledged(t *testing.T) {
	first, second, chat := newEar(t), newEar(t), newEar(t)
	w := newWatch(t, chat.receiver(t, "chat", engine.SeverityTell), first.receiver(t, "first", engine.SeverityWake),
		second.receiver(t, "second", engine.SeverityWake))
	w.alarms = []engine.Alarm{wakes("no_leader")}
	w.after(2 * time.Second)
	w.hears(first, "begins no_leader")
	w.hears(chat, "begins no_leader")
	w.after(5 * time.Minute)
	w.hears(first, "begins no_leader; repeats no_leader")
	w.after(5 * time.Minute)
	w.hears(first, "begins no_leader; repeats no_leader; repeats no_leader")
	w.hears(second, "")
	w.after(5 * time.Minute)
	w.hears(second, "begins no_leader")
	w.hears(first, "begins no_leader; repeats no_leader; repeats no_leader; repeats no_leader")
	w.notes = []*engine.AlarmNote{{Name: "no_leader", Acked: engine.TimeOf(w.now), By: "ann", Of: []string{"/"}}}
	w.after(time.Hour)
	w.hears(second, "begins no_leader; acknowledged no_leader ann")
	w.hears(chat, "begins no_leader; acknowledged no_leader ann")
	w.alarms = nil
	w.after(5 * time.Second)
	w.alarms = []engine.Alarm{wakes("no_leader")} // it flickers
	w.after(5 * time.Second)
	w.alarms = nil
	w.after(11 * time.Second)
	w.hears(second, "begins no_leader; acknowledged no_leader ann; over no_leader")
	w.alarms = []engine.Alarm{wakes("no_leader")} // another one: nobody has acknowledged it
	w.after(2 * time.Second)
	w.hears(second, "begins no_leader; acknowledged no_leader ann; over no_leader")
	w.hears(chat, "begins no_leader; acknowledged no_leader ann; over no_leader; begins no_leader")
	first.mu.Lock()
	defer first.mu.Unlock()
	if first.header.Get("X-Team") != "ops" {
		t.Errorf("%v", first.header)
	}
}

// TestTellIsToldOnce, whatever comes; whoever is woken does not hear of it.
func TestTellIsToldOnce(t *testing.T) {
	chat, phone := newEar(t), newEar(t)
	w := newWatch(t, phone.receiver(t, "phone", engine.SeverityWake), chat.receiver(t, "chat", engine.SeverityTell))
	w.alarms = []engine.Alarm{{Name: "refunds_fail", Severity: engine.SeverityTell, Detail: "One failed."}}
	w.after(time.Hour)
	w.hears(chat, "begins refunds_fail")
	w.alarms = nil
	w.after(time.Minute)
	w.hears(chat, "begins refunds_fail; over refunds_fail")
	w.hears(phone, "")
	w.alarms = []engine.Alarm{{Name: "refunds_fail", Severity: engine.SeverityTell, Detail: "One failed."}}
	w.look(w.t.Context(), w.now)
	w.alarms = nil
	w.after(time.Minute) // one that was on for a look is none
	w.hears(chat, "begins refunds_fail; over refunds_fail")
}

// TestSilence: nobody hears of a silenced alarm until the silence ends.
func TestSilence(t *testing.T) {
	phone := newEar(t)
	w := newWatch(t, phone.receiver(t, "phone", engine.SeverityWake))
	w.notes = []*engine.AlarmNote{{Name: "no_leader", Until: engine.TimeOf(w.now.Add(time.Hour)), SilencedBy: "ann"}}
	w.alarms = []engine.Alarm{wakes("no_leader"), wakes("no_quorum")}
	w.after(59 * time.Second)
	w.hears(phone, "begins no_quorum")
	w.alarms = w.alarms[:1]
	w.after(58 * time.Minute)
	w.after(2 * time.Minute)
	w.hears(phone, "begins no_quorum; over no_quorum; begins no_leader")
}

// TestAnotherLeader: one that comes to lead wakes nobody for what is acknowledged, also
// where it begins anew with the leader, but for what is not, and for what was over meanwhile.
func TestAnotherLeader(t *testing.T) {
	phone := newEar(t)
	w := newWatch(t, phone.receiver(t, "phone", engine.SeverityWake))
	w.duty = Off
	a, b := wakes("node_unreachable"), wakes("node_unreachable")
	a.About, b.About = "a1", "a2"
	a.Since = w.now.Add(30 * time.Second)
	w.alarms = []engine.Alarm{a, b}
	w.notes = []*engine.AlarmNote{{Name: "node_unreachable", Acked: engine.TimeOf(w.now), By: "ann",
		Of: []string{"/a1"}}}
	w.after(time.Minute)
	w.hears(phone, "")
	w.duty = Leads
	w.after(time.Minute)
	w.hears(phone, "begins node_unreachable")
	phone.mu.Lock()
	if phone.heard[0].About != "a2" {
		t.Errorf("%+v", phone.heard)
	}
	phone.mu.Unlock()
	w.alarms = nil
	w.after(9 * time.Second)
	w.duty = Off // what this node has told of ends here, too
	w.after(time.Minute)
	w.hears(phone, "begins node_unreachable; over node_unreachable; over node_unreachable")
	w.duty, w.notes[0].Of = Leads, []string{"/a1"}
	w.after(2 * time.Minute)
	a.Since = time.Time{}
	w.alarms = []engine.Alarm{a}
	w.after(2 * time.Second)
	w.hears(phone, "begins node_unreachable; over node_unreachable; over node_unreachable; begins node_unreachable")
	w.notes[0].Acked = engine.TimeOf(w.now)
	w.after(2 * time.Second)
	w.alarms = nil
	w.after(time.Minute)
	if len(w.notes[0].Of) != 0 {
		t.Errorf("what is over is acknowledged still: %+v", w.notes[0])
	}
}

// TestHealingHoldsUpNobody: where it can't be noted that acknowledged alarms are over, what
// begins is told without delay.
func TestHealingHoldsUpNobody(t *testing.T) {
	phone := newEar(t)
	w := newWatch(t, phone.receiver(t, "phone", engine.SeverityWake))
	tries := 0
	w.cfg.Heal = func(ctx context.Context, _ engine.AlarmChange) error {
		tries++
		<-ctx.Done()
		return ctx.Err()
	}
	for _, name := range []engine.AlarmName{"disk_slow", "clock_offset", "cashier_fails"} {
		w.alarms = append(w.alarms, wakes(name))
		w.notes = append(w.notes, &engine.AlarmNote{Name: name, Acked: engine.TimeOf(w.now.Add(time.Second)), By: "ann",
			Of: []string{"/"}})
	}
	w.after(3 * time.Second)
	w.alarms = nil
	w.after(9 * time.Second)
	began := time.Now()
	w.alarms = []engine.Alarm{wakes("no_quorum")}
	w.after(3 * time.Second)
	if took := time.Since(began); took > 3*time.Second {
		t.Errorf("the looks of 3 seconds took %s", took)
	}
	for end := began.Add(10 * time.Second); !strings.Contains(phone.said(), "begins no_quorum"); {
		if time.Sleep(time.Millisecond); time.Now().After(end) {
			t.Fatalf("heard %q", phone.said())
		}
	}
	if tries != 1 {
		t.Errorf("%d tries, where one fails", tries)
	}
	if w.after(time.Minute); tries < 3 {
		t.Errorf("%d tries within a minute", tries)
	}
}

// TestStandIn: where no node leads, one says so, and that it is over.
func TestStandIn(t *testing.T) {
	phone := newEar(t)
	w := newWatch(t, phone.receiver(t, "phone", engine.SeverityWake))
	w.duty, w.alarms = StandIn, []engine.Alarm{wakes("no_leader")}
	w.after(2 * time.Second)
	w.hears(phone, "begins no_leader")
	w.duty = Off // another one stands in, for a moment
	w.after(2 * time.Second)
	w.alarms = nil
	w.after(time.Minute)
	w.hears(phone, "begins no_leader; over no_leader")
}

// TestReceiverThatFails: what does not arrive is sent again under the same id, the last word
// about each alarm alone, and that it fails is an alarm.
func TestReceiverThatFails(t *testing.T) {
	phone := newEar(t)
	phone.answer(503)
	w := newWatch(t, phone.receiver(t, "phone", engine.SeverityWake))
	w.alarms = []engine.Alarm{wakes("no_leader")}
	w.after(2 * time.Second)
	for len(w.Alarms()) == 0 {
		time.Sleep(time.Millisecond)
	}
	if a := w.Alarms()[0]; a.Name != engine.AlarmWarningsFail || a.About != "phone" ||
		!strings.Contains(a.Detail, "503") {
		t.Errorf("%+v", a)
	}
	w.alarms = nil
	w.after(time.Minute)
	phone.answer(0)
	for !strings.HasSuffix(phone.said(), "over no_leader") { // what is on its way may come before
		time.Sleep(time.Millisecond)
	}
	for len(w.Alarms()) != 0 {
		time.Sleep(time.Millisecond)
	}
}

// TestInnerAddressIsRefused unless it is allowed: the dialer is that of the sinks.
func TestInnerAddressIsRefused(t *testing.T) {
	phone := newEar(t)
	r := phone.receiver(t, "phone", engine.SeverityWake)
	r.Allow = nil
	w := newWatch(t, r)
	w.alarms = []engine.Alarm{wakes("no_leader")}
	w.after(2 * time.Second)
	for len(w.Alarms()) == 0 {
		time.Sleep(time.Millisecond)
	}
	if a := w.Alarms()[0]; !strings.Contains(a.Detail, "inner address") || strings.Contains(a.Detail, "127.0.0.1") ||
		phone.said() != "" {
		t.Errorf("%+v", a)
	}
}

// TestBodies: a template is checked before anything breaks, with text that breaks JSON, and
// can neither run for long nor grow.
func TestBodies(t *testing.T) {
	for text, want := range map[string]string{
		DefaultBody: "", `{"msg_type":"text","content":{"text":{{json .Text}}}}`: "",
		`{"up":{{if eq .Severity "wake"}}true{{else}}false{{end}}}`: "",
		`{"text":"{{.Detail}}"}`:                                    "no JSON",
		`{{.Nothing}}`:                                              "Nothing",
		`{{`:                                                        "unclosed",
		`{{range $i := 1000000000}}{{end}}`:                         "range",
		`{{printf "%1000000000d" 1}}`:                               "calls printf",
		`{{define "x"}}{{template "x"}}{{end}}{{json .}}`:           "define",
		`{{if true}}{{with .Text}}{{range .}}{{end}}{{end}}{{end}}`: "range",
		`"` + strings.Repeat("x", MaxTemplateBytes) + `"`:           "bytes",
		`"` + strings.Repeat("{{.Means}}", 1400) + `"`:              "over 32768 bytes",
	} {
		_, err := ParseBody(text, true)
		if (err == nil) != (want == "") || err != nil && !strings.Contains(err.Error(), want) {
			t.Errorf("%.80q: %v, want %q", text, err, want)
		}
	}
	if _, err := ParseBody("{{.Text}}", false); err != nil {
		t.Error(err)
	}
}

// TestWhatWaitsIsBounded by the alarms there are, however long a receiver is away.
func TestWhatWaitsIsBounded(t *testing.T) {
	l := &line{wake: make(chan struct{}, 1)}
	for i := range 10_000 {
		l.put(letter{of: fmt.Sprint(i % 40), id: fmt.Sprint(i)})
	}
	if len(l.waiting) != 40 {
		t.Errorf("%d wait", len(l.waiting))
	}
}
