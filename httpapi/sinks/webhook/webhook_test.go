package webhook

import (
	"context"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
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
	"doorbuster/httpapi/sinks"
)

func secret(b byte) string {
	return "whsec_" + base64.StdEncoding.EncodeToString([]byte(strings.Repeat(string(b), 32)))
}

// arrival is what the receiver was posted.
type arrival struct{ id, change, order string }

// receiver takes changes, and checks how they are signed.
type receiver struct {
	*httptest.Server
	t       *testing.T
	signer  *standardwebhooks.Webhook
	mu      sync.Mutex
	taken   []arrival
	posts   int
	answers func(http.ResponseWriter, arrival) bool // true: it has answered with a no
	busy    map[string]bool                         // orders of which one is being taken
	strict  bool                                    // nobody hangs up, so that there is one at most
}

func newReceiver(t *testing.T) *receiver {
	signer, err := standardwebhooks.NewWebhook(secret('a'))
	if err != nil {
		t.Fatal(err)
	}
	r := &receiver{t: t, signer: signer, busy: map[string]bool{}}
	r.Server = httptest.NewServer(r)
	t.Cleanup(r.Close)
	return r
}

func (r *receiver) ServeHTTP(w http.ResponseWriter, q *http.Request) {
	body, err := io.ReadAll(q.Body)
	if err == nil {
		err = r.signer.Verify(body, q.Header)
	}
	var event struct{ Change, Order string }
	if err == nil {
		err = json.Unmarshal(body, &event)
	}
	if err != nil || q.Method != http.MethodPost || q.Header.Get("Content-Type") != "application/json" {
		r.t.Errorf("%s %v with %v: %v", q.Method, q.URL, q.Header, err)
		w.WriteHeader(http.StatusTeapot)
		return
	}
	a := arrival{q.Header.Get("webhook-id"), event.Change, event.Order}
	r.mu.Lock()
	r.posts++
	if r.strict && r.busy[a.order] {
		r.t.Errorf("two changes of %s at once", a.order)
	}
	r.busy[a.order] = true
	answers := r.answers
	r.mu.Unlock()
	no := answers != nil && answers(w, a)
	r.mu.Lock()
	defer r.mu.Unlock()
	delete(r.busy, a.order)
	if !no {
		r.taken = append(r.taken, a)
	}
}

func (r *receiver) answer(how func(http.ResponseWriter, arrival) bool) {
	r.mu.Lock()
	r.answers = how
	r.mu.Unlock()
}

func (r *receiver) has() []arrival {
	r.mu.Lock()
	defer r.mu.Unlock()
	return slices.Clone(r.taken)
}

// grave is where letters are put aside.
type grave struct {
	dead []string
	whys []string
	full bool
}

func (g *grave) bury(_ context.Context, c *sinks.Change, why string) error {
	if g.full {
		return sinks.ErrTooManyLetters
	}
	g.dead, g.whys = append(g.dead, c.ID()), append(g.whys, why)
	return nil
}

func encode(c *sinks.Change) ([]byte, error) {
	return json.Marshal(map[string]string{"change": c.ID(), "order": c.OrderNo})
}

func config(url string, g *grave) Config {
	return Config{URL: url, Encode: encode, Timeout: time.Second, Attempts: 3,
		Signers: func() ([]*standardwebhooks.Webhook, error) {
			return ReadSecrets([]byte(secret('b') + "\n" + secret('a')))
		},
		Allow: []netip.Prefix{netip.MustParsePrefix("127.0.0.0/8")}, Means: sinks.Means{Bury: g.bury}}
}

func newSink(t *testing.T, cfg Config) *Sink {
	t.Helper()
	s, err := New(cfg)
	if err != nil {
		t.Fatal(err)
	}
	if _, known, err := s.Open(t.Context()); known || err != nil {
		t.Fatalf("known %v, %v", known, err)
	}
	t.Cleanup(func() { s.Close() })
	return s
}

func changes(n, orders int) (all []sinks.Change) {
	for i := range n {
		all = append(all, sinks.Change{TrailEvent: engine.TrailEvent{
			TrailPosition: engine.TrailPosition{Index: engine.LogIndex(10 + i)}, Time: 1_790_000_000_000,
			Kind: engine.OrderPaid, OrderNo: fmt.Sprint("o", i%orders)}})
	}
	return all
}

// retry writes until that does, so many times at most.
func retry(t *testing.T, s *Sink, all []sinks.Change, most int) {
	t.Helper()
	for range most {
		err := s.Write(t.Context(), all, engine.TrailPosition{})
		if err == nil {
			return
		}
		t.Log(err)
		all = left(s, all)
	}
	t.Fatalf("not written in %d tries", most)
}

// left gives what of a batch that failed is handed over again.
func left(s *Sink, all []sinks.Change) []sinks.Change {
	return slices.DeleteFunc(slices.Clone(all), func(c sinks.Change) bool { return c.TrailPosition.Before(s.Taken()) })
}

// inOrder checks that of each order, the changes first arrived in order, and each under one id.
func inOrder(t *testing.T, taken []arrival, want int) {
	t.Helper()
	ids, last := map[string]string{}, map[string]string{}
	for _, a := range taken {
		if id, again := ids[a.change]; again {
			if id != a.id {
				t.Errorf("change %s came as %s and as %s", a.change, id, a.id)
			}
			continue
		}
		if ids[a.change] = a.id; len(last[a.order]) == len(a.change) && last[a.order] > a.change {
			t.Errorf("of order %s, %s came before %s", a.order, last[a.order], a.change)
		}
		last[a.order] = a.change
	}
	if len(ids) != want {
		t.Errorf("%d changes arrived, want %d", len(ids), want)
	}
}

func TestAllArriveInOrderOfEachOrder(t *testing.T) {
	r, g := newReceiver(t), &grave{}
	r.strict = true
	s := newSink(t, config(r.URL, g))
	all := changes(300, 7)
	retry(t, s, all, 1)
	inOrder(t, r.has(), 300)
	if got := r.has(); len(got) != 300 || !strings.HasSuffix(got[0].id, ".1790000000000") {
		t.Errorf("%d posts, the first %+v", len(got), got[0])
	}
	if len(s.done)+len(s.tried) != 0 {
		t.Errorf("it remembers %d and %d changes", len(s.done), len(s.tried))
	}
	if err := s.Write(t.Context(), nil, engine.TrailPosition{Index: 999}); err != nil {
		t.Error(err)
	}
}

// TestPartsThatArrivedAreNotPostedAgain while the receiver takes some, fails and comes back.
func TestPartsThatArrivedAreNotPostedAgain(t *testing.T) {
	r, g := newReceiver(t), &grave{}
	r.strict = true
	s := newSink(t, config(r.URL, g))
	all := changes(100, 20)
	var mu sync.Mutex
	n := 0
	r.answer(func(w http.ResponseWriter, a arrival) bool {
		mu.Lock()
		defer mu.Unlock()
		if n++; n%5 != 0 {
			return false
		}
		w.WriteHeader([]int{500, 503, 429, 408}[n/5%4])
		return true
	})
	for rest := all; s.Write(t.Context(), rest, engine.TrailPosition{}) != nil; rest = left(s, rest) {
		s.Close()
		if _, _, err := s.Open(t.Context()); err != nil {
			t.Fatal(err)
		}
		clear(s.tried) // none of them fails for what is in it
	}
	if got := r.has(); len(got) != 100 {
		t.Errorf("%d arrivals of 100 changes", len(got))
	}
	inOrder(t, r.has(), 100)
	if len(g.dead) > 0 {
		t.Errorf("dead: %v", g.dead)
	}
}

func TestReceiverThatTakesNothing(t *testing.T) {
	hang := make(chan struct{})
	for name, answer := range map[string]func(http.ResponseWriter, arrival) bool{
		"500":  func(w http.ResponseWriter, _ arrival) bool { w.WriteHeader(500); return true },
		"404":  func(w http.ResponseWriter, _ arrival) bool { w.WriteHeader(404); return true },
		"401":  func(w http.ResponseWriter, _ arrival) bool { w.WriteHeader(401); return true },
		"410":  func(w http.ResponseWriter, _ arrival) bool { w.WriteHeader(410); return true },
		"hang": func(w http.ResponseWriter, _ arrival) bool { <-hang; return true },
		"redirect": func(w http.ResponseWriter, _ arrival) bool {
			w.Header().Set("Location", "http://127.0.0.1:1/inner?secret=1")
			w.WriteHeader(307)
			return true
		},
		"cut": func(w http.ResponseWriter, _ arrival) bool { panic(http.ErrAbortHandler) },
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			r, g := newReceiver(t), &grave{}
			if name == "hang" {
				t.Cleanup(func() { close(hang) })
			}
			cfg := config(r.URL, g)
			cfg.Timeout, cfg.InFlight = 100*time.Millisecond, 2
			s := newSink(t, cfg)
			r.answer(func(http.ResponseWriter, arrival) bool { return false })
			retry(t, s, changes(1, 1), 1)
			r.answer(answer)
			all := changes(200, 100)[1:]
			var err error
			for range 2 * cfg.Attempts {
				if err = s.Write(t.Context(), all, engine.TrailPosition{}); err == nil {
					t.Fatal("it says that all has arrived")
				}
			}
			if strings.Contains(err.Error(), "secret=1") {
				t.Error(err)
			}
			if len(g.dead) > 0 {
				t.Errorf("%d changes were put aside: %v", len(g.dead), g.whys[0])
			}
			r.mu.Lock()
			posts := r.posts
			r.mu.Unlock()
			if most := 2*cfg.Attempts*(2*cfg.InFlight+cfg.InFlight+1) + 1; posts > most {
				t.Errorf("%d posts to one that takes nothing; at most %d", posts, most)
			}
			r.answer(nil)
			retry(t, s, all, 2)
		})
	}
}

// TestPoison: what is refused for what is in it is put aside, and those behind it go on.
func TestPoison(t *testing.T) {
	for _, status := range []int{400, 413, 415, 422, 403, 500} {
		t.Run(fmt.Sprint(status), func(t *testing.T) {
			r, g := newReceiver(t), &grave{}
			r.strict = true
			s := newSink(t, config(r.URL, g))
			all := changes(60, 6)
			bad := []string{all[7].ID(), all[13].ID()} // both of the same order
			r.answer(func(w http.ResponseWriter, a arrival) bool {
				if !slices.Contains(bad, a.change) {
					return false
				}
				w.WriteHeader(status)
				return true
			})
			g.full = true
			rest := all
			for range 3 {
				if err := s.Write(t.Context(), rest, engine.TrailPosition{}); err == nil {
					t.Fatal("it says that all has arrived")
				} else if errors.Is(err, sinks.ErrTooManyLetters) {
					g.full = false
				}
				rest = left(s, rest)
			}
			if g.full {
				t.Fatal("nothing was to be put aside")
			}
			retry(t, s, rest, 10)
			if !slices.Equal(g.dead, bad) || !strings.Contains(g.whys[0], fmt.Sprint(status)) {
				t.Errorf("dead: %v, %v", g.dead, g.whys)
			}
			inOrder(t, r.has(), 58)
			// Once more, as an operator wishes.
			r.answer(nil)
			before := len(r.has())
			retry(t, s, all[7:8], 1)
			inOrder(t, r.has()[:before], 58)
			if len(r.has()) != before+1 || len(s.done)+len(s.tried) > 0 {
				t.Errorf("%d letters were posted again, %d and %d are remembered", len(r.has())-before,
					len(s.done), len(s.tried))
			}
		})
	}
}

func TestAnswersAreBounded(t *testing.T) {
	r, g := newReceiver(t), &grave{}
	r.answer(func(w http.ResponseWriter, _ arrival) bool { // a 200 with garbage, and no end of it
		for range 1 << 20 {
			if _, err := w.Write(make([]byte, 64<<10)); err != nil {
				return false
			}
		}
		return false
	})
	s := newSink(t, config(r.URL, g))
	retry(t, s, changes(3, 1), 1)
}

func TestInnerAddresses(t *testing.T) {
	for addr, want := range map[string]bool{"127.0.0.1": true, "10.1.2.3": true, "172.31.0.1": true,
		"192.168.1.1":     true,
		"169.254.169.254": true, "100.64.0.1": true, "0.0.0.0": true, "224.0.0.1": true, "255.255.255.255": true,
		"::1": true, "::": true, "fd00::1": true, "fe80::1": true, "ff02::1": true, "::ffff:10.0.0.1": true,
		"64:ff9b::a00:1": true, "2002:7f00:1::": true, "2001:0:1::": true, "::7f00:1": true,
		"8.8.8.8": false, "172.32.0.1": false, "100.128.0.1": false, "2606:4700::1111": false,
		"::ffff:8.8.8.8": false} {
		if got := Inner(netip.MustParseAddr(addr)); got != want {
			t.Errorf("%s: %v", addr, got)
		}
	}
	r, g := newReceiver(t), &grave{}
	cfg := config(r.URL, g)
	cfg.Allow = nil
	s := newSink(t, cfg)
	err := s.Write(t.Context(), changes(1, 1), engine.TrailPosition{})
	if !errors.Is(err, errInner) || r.posts != 0 {
		t.Errorf("%v, %d posts", err, r.posts)
	}
}

// TestNamesThatLeadElsewhere: a name is looked up once for each connection, and what is
// dialed is what was checked.
func TestNamesThatLeadElsewhere(t *testing.T) {
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer listener.Close()
	_, port, _ := net.SplitHostPort(listener.Addr().String())
	looked := 0
	answers := [][]netip.Addr{{netip.MustParseAddr("::ffff:127.0.0.1")}, {netip.MustParseAddr("127.0.0.2"),
		netip.MustParseAddr("127.0.0.1")}}
	d := &dialer{lookUp: func(context.Context, string) ([]netip.Addr, error) {
		looked++
		return answers[looked-1], nil
	}}
	if _, err := d.dial(t.Context(), "tcp", "hooks.example:"+port); !errors.Is(err, errInner) || looked != 1 {
		t.Errorf("%v after %d look-ups", err, looked)
	}
	d.allow = []netip.Prefix{netip.MustParsePrefix("127.0.0.1/32")}
	conn, err := d.dial(t.Context(), "tcp", "hooks.example:"+port)
	if err != nil || looked != 2 || !strings.HasPrefix(conn.RemoteAddr().String(), "127.0.0.1:") {
		t.Fatalf("%v after %d look-ups", err, looked)
	}
	conn.Close()
}

func TestSecrets(t *testing.T) {
	long := "whsec_" + base64.StdEncoding.EncodeToString(make([]byte, 65))
	for text, want := range map[string]string{secret('a'): "", secret('a') + "\r\n" + secret('b') + "\n": "",
		"": "line 1", "MTIz": "begin with whsec_", "whsec_***": "not base64", "whsec_MTIz": "3 bytes", long: "65 bytes",
		secret('a') + "\nx": "line 2", strings.Repeat(secret('a')+"\n", 9): "9 secrets"} {
		signers, err := ReadSecrets([]byte(text))
		if (err == nil) != (want == "") || err != nil && !strings.Contains(err.Error(), want) {
			t.Errorf("%q: %v, %v", text, signers, err)
		}
		if err != nil && text != "" && strings.Contains(err.Error(), text) {
			t.Errorf("it quotes the secret: %v", err)
		}
	}
}

func TestConfigIsChecked(t *testing.T) {
	for url, want := range map[string]string{"https://shop.example/hooks?x=1": "", "": "like https",
		"ftp://x":  "like https",
		"https://": "like https", "https://a:b@shop.example/": "no user", "https://x/#y": "no fragment"} {
		if err := CheckURL(url); (err == nil) != (want == "") || err != nil && !strings.Contains(err.Error(), want) {
			t.Errorf("%q: %v", url, err)
		}
	}
	_, err := New(Config{Timeout: time.Hour, InFlight: 99, Attempts: -1})
	for _, want := range []string{"like https", "Signers", "Encode", "Bury", "Timeout", "InFlight", "Attempts"} {
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%v does not tell of %s", err, want)
		}
	}
	for text, want := range map[string]string{"10.0.0.0/8": "10.0.0.0/8", "10.1.2.3/8": "10.0.0.0/8",
		"10.1.2.3": "10.1.2.3/32",
		"fd00::1":  "fd00::1/128", "x": "", "10.0.0.0/33": "", "fe80::1%eth0": ""} {
		all, err := ParseAddresses([]string{text})
		if (err == nil) != (want != "") || err == nil && all[0].String() != want {
			t.Errorf("%q: %v, %v", text, all, err)
		}
	}
}

func TestRetryAfterIsHeard(t *testing.T) {
	r, g := newReceiver(t), &grave{}
	s := newSink(t, config(r.URL, g))
	r.answer(func(w http.ResponseWriter, _ arrival) bool {
		w.Header().Set("Retry-After", "1")
		w.WriteHeader(http.StatusTooManyRequests)
		return true
	})
	began := time.Now()
	if s.Write(t.Context(), changes(1, 1), engine.TrailPosition{}) == nil {
		t.Fatal("it has arrived")
	}
	r.answer(nil)
	retry(t, s, changes(1, 1), 1)
	if waited := time.Since(began); waited < time.Second {
		t.Errorf("asked again after %s", waited)
	}
}
