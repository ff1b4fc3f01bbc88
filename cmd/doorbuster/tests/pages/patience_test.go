package pages

import (
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"strings"
	"sync"
	"testing"
	"time"

	"doorbuster/cmd/doorbuster/nodetest"
	"doorbuster/cmd/doorbuster/tests/browser"
)

// badNetwork is what lies between the page and the node: it notes who asks for what, and
// does to each grab what its turn says.
type badNetwork struct {
	to    *httputil.ReverseProxy
	turns []func(w http.ResponseWriter, r *http.Request) // of grabs; later ones get through

	mu    sync.Mutex
	seen  []asked
	grabs int
	under int // grabs under way
	most  int
	storm bool          // all that is asked for is answered 503
	ahead time.Duration // how much later it is there than here
}

type asked struct {
	what, key string // method and path
	at        time.Time
}

// between opens one in front of a node.
func between(t *testing.T, s *nodetest.Shop) (n *badNetwork, shop string) {
	t.Helper()
	node, err := url.Parse(s.HTTP)
	if err != nil {
		t.Fatal(err)
	}
	n = &badNetwork{to: httputil.NewSingleHostReverseProxy(node)}
	n.to.FlushInterval = -1 // streams
	n.to.ErrorHandler = func(w http.ResponseWriter, _ *http.Request, _ error) { w.WriteHeader(http.StatusBadGateway) }
	server := httptest.NewServer(n)
	t.Cleanup(func() {
		server.CloseClientConnections() // streams among them
		server.Close()
	})
	return n, server.URL
}

func (n *badNetwork) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	n.mu.Lock()
	n.seen = append(n.seen, asked{r.Method + " " + r.URL.Path, r.Header.Get("Idempotency-Key"), time.Now()})
	storm, ahead, turn := n.storm, n.ahead, n.to.ServeHTTP
	if strings.HasSuffix(r.URL.Path, "/grab") {
		if n.grabs++; n.grabs <= len(n.turns) {
			turn = n.turns[n.grabs-1]
		}
		n.under++
		n.most = max(n.most, n.under)
		defer func() {
			n.mu.Lock()
			n.under--
			n.mu.Unlock()
		}()
	}
	n.mu.Unlock()
	switch {
	case storm:
		w.Header().Set("Retry-After", "1")
		w.WriteHeader(http.StatusServiceUnavailable)
	case ahead > 0 && r.URL.Path == "/v1/time":
		fmt.Fprintf(w, `{"unix_ms":%d}`, time.Now().Add(ahead).UnixMilli())
	default:
		turn(w, r)
	}
}

// asked gives what was asked for at paths that end so, the earliest first.
func (n *badNetwork) asked(ending string) (all []asked) {
	n.mu.Lock()
	defer n.mu.Unlock()
	for _, a := range n.seen {
		if strings.HasSuffix(a.what, ending) {
			all = append(all, a)
		}
	}
	return all
}

// lost lets a grab through, and loses its answer.
func (n *badNetwork) lost(_ http.ResponseWriter, r *http.Request) {
	n.to.ServeHTTP(httptest.NewRecorder(), r)
	panic(http.ErrAbortHandler) // cuts the connection
}

// TestOneWishIsOneOrder: the answer to a grab is lost after the shop has granted it, then
// an answer hangs in its middle, then the shop asks to be left alone, then the page is
// loaded anew in the middle of the next try, while a second tab looks on. All of it is one
// intent with one key, never two requests at once, never before its time, and in the end
// one order.
func TestOneWishIsOneOrder(t *testing.T) {
	t.Parallel()
	b := browser.Open(t)
	s := nodetest.Open(t, t.TempDir())
	s.Apply(nodetest.Masks(5))
	n, shop := between(t, s)
	half, held := make(chan struct{}), make(chan struct{})
	n.turns = []func(w http.ResponseWriter, r *http.Request){
		n.lost,
		func(w http.ResponseWriter, r *http.Request) {
			whole := httptest.NewRecorder()
			n.to.ServeHTTP(whole, r)
			w.WriteHeader(whole.Code)
			_, _ = w.Write(whole.Body.Bytes()[:whole.Body.Len()/2])
			w.(http.Flusher).Flush()
			close(half)
			<-r.Context().Done()
		},
		func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Retry-After", "2")
			w.WriteHeader(http.StatusServiceUnavailable)
		},
		func(_ http.ResponseWriter, r *http.Request) {
			_, _ = io.Copy(io.Discard, r.Body) // else nobody sees that who asked has gone
			close(held)
			<-r.Context().Done() // until who asked has gone
		},
	}
	await := func(what <-chan struct{}) {
		t.Helper()
		select {
		case <-what:
		case <-time.After(nodetest.Patience):
			t.Fatalf("only %d grabs are asked for", len(n.asked("/grab")))
		}
	}

	p := b.Profile()
	tab := p.Tab(browser.View{})
	tab.Forgive(`ERR_EMPTY_RESPONSE|status of 503|ERR_ABORTED`)
	enter(tab, shop, "alice")
	// The page waits ten seconds for an answer. Here they are over when the test says so.
	browser.Value[bool](tab, `(() => {
		window.waits = [];
		AbortSignal.timeout = () => (waits.push(new AbortController()), waits.at(-1).signal);
		return true;
	})()`)
	tab.Click("#do-day-mask")
	await(half)
	browser.Value[bool](tab, `(waits.forEach(w => w.abort()), true)`)
	tab.AwaitText("#l-day-mask", "Asking again, for the same")
	await(held)
	second := p.Tab(browser.View{})
	second.Forgive(`ERR_EMPTY_RESPONSE|status of 503|ERR_ABORTED`)
	second.Go(shop + "/shop")
	second.AwaitText("#me", "alice")
	tab.Reload()
	tab.AwaitText("#l-day-mask", "Pay within")
	second.AwaitText("#l-day-mask", "Pay within")

	all := n.asked("/grab")
	for _, a := range all {
		if a.key == "" || a.key != all[0].key {
			t.Errorf("keys differ: %v", all)
		}
	}
	if n.most != 1 || len(all) < 5 {
		t.Fatalf("%d grabs, %d at once", len(all), n.most)
	}
	if wait := all[3].at.Sub(all[2].at); wait < 2*time.Second {
		t.Errorf("asked again after %s, told to wait 2s", wait)
	}
	s.Expect("day/mask", 4, 1, 0)
	if found := len(s.Orders()); found != 1 {
		t.Errorf("%d orders", found)
	}
}

// TestAPageThatSlept asks for the time and for what is its shopper's own when it wakes,
// and shows what happened meanwhile; without a network it says so, and goes on by itself.
func TestAPageThatSlept(t *testing.T) {
	t.Parallel()
	b := browser.Open(t)
	s := nodetest.Open(t, t.TempDir())
	s.Apply(nodetest.Masks(5))
	n, shop := between(t, s)
	tab := b.Profile().Tab(browser.View{Width: 390})
	enter(tab, shop, "alice")
	tab.AwaitText("#do-day-mask", "Grab it")

	tab.Offline(true)
	tab.Await(`!document.querySelector("#offline").hidden`)
	tab.AwaitText("#offline", "You are offline")
	tab.Click("#do-day-mask")
	tab.AwaitText("#l-day-mask", "Asking again, for the same")
	if got := len(n.asked("/grab")); got != 0 {
		t.Errorf("%d grabs went out without a network", got)
	}
	tab.Accessible()
	tab.Screenshot("offline-390-light-en")
	tab.Offline(false)
	tab.AwaitText("#l-day-mask", "Pay within")
	order := s.Grab("alice", nodetest.NewKey(), nodetest.Mask).Order // that she has reached her limit with

	// sleep has an hour go by on the phone's clock of days, in no time that the page runs.
	sleep := func() (asksAnew func()) {
		before := map[string]int{}
		for _, what := range []string{"/v1/time", "/v1/orders", "/v1/events"} {
			before[what] = len(n.asked(what))
		}
		browser.Value[bool](tab, `(() => {
			const was = Date.now;
			Date.now = () => was() + 3600000;
			return true;
		})()`)
		return func() {
			t.Helper()
			for what, had := range before {
				s.Eventually(func() bool { return len(n.asked(what)) > had }, func() string {
					return what + " is not asked for after a sleep"
				})
			}
		}
	}
	// In a pocket.
	browser.Value[bool](tab, `document.dispatchEvent(new Event("freeze"))`)
	s.Eventually(func() bool { return s.Metric("doorbuster_event_readers") == "0" },
		func() string { return "a page that is frozen keeps its stream from other tabs" })
	tab.Hide(true)
	s.Pay(order, "p-1")
	asksAnew := sleep()
	tab.Hide(false)
	tab.AwaitText("#l-day-mask", "Yours")
	asksAnew()
	// As a laptop that is shut: nobody tells the page.
	n.mu.Lock()
	n.ahead = time.Hour
	n.mu.Unlock()
	asksAnew = sleep()
	tab.AwaitText(".session", "Ended")
	asksAnew()
}

// TestAStormOf503s: while a shop answers nothing but that it is to be left alone for a
// second, nothing is asked for earlier, the page says what it is about, and what was
// wished for is there in the end, once.
func TestAStormOf503s(t *testing.T) {
	t.Parallel()
	b := browser.Open(t)
	s := nodetest.Open(t, t.TempDir())
	s.Apply(nodetest.Masks(5))
	n, shop := between(t, s)
	tab := b.Profile().Tab(browser.View{Width: 390, Language: "zh-CN"})
	tab.Forgive("status of 503")
	enter(tab, shop, "alice")
	tab.AwaitText("#do-day-mask", "立即抢购")
	n.mu.Lock()
	n.storm = true
	began := len(n.seen)
	n.mu.Unlock()
	// A network that comes and goes is no reason either.
	browser.Value[int](tab, `setInterval(() => dispatchEvent(new Event("online")), 300)`)
	tab.Click("#do-day-mask")
	tab.AwaitText("#l-day-mask", "正在用同一请求重试")
	tab.Await(`!document.querySelector("#offline").hidden`)
	tab.AwaitText("#offline", "商店响应较慢")
	s.Eventually(func() bool { return len(n.asked("/grab")) >= 3 }, func() string { return "it gave up" })
	tab.Accessible()
	tab.Screenshot("storm-390-light-zh")
	n.mu.Lock()
	n.storm = false
	last := map[string]time.Time{}
	for _, a := range n.seen[began:] {
		if since := a.at.Sub(last[a.what]); since < time.Second {
			t.Errorf("%s again after %s, told to wait 1s", a.what, since)
		}
		last[a.what] = a.at
	}
	n.mu.Unlock()
	tab.AwaitText("#l-day-mask", "请付款")
	tab.Await(`document.querySelector("#offline").hidden`)
	s.Expect("day/mask", 4, 1, 0)
}

// TestTheLeaderDiesUnderAGrab: the page's node is another of three; a new leader grants
// what was asked for, once.
func TestTheLeaderDiesUnderAGrab(t *testing.T) {
	t.Parallel()
	b := browser.Open(t)
	f := nodetest.OpenFleet(t, "prefer", nodetest.Rooms3...)
	f.Plan(nodetest.Masks(5))
	leader, near := f.Leader(), f.Follower()
	n, shop := between(t, near.Shop)
	n.turns = []func(w http.ResponseWriter, r *http.Request){func(w http.ResponseWriter, r *http.Request) {
		leader.Kill()
		n.to.ServeHTTP(w, r)
	}}
	tab := b.Profile().Tab(browser.View{})
	tab.Forgive("status of 50[0-9]")
	enter(tab, shop, "alice")
	tab.Click("#do-day-mask")
	tab.AwaitText("#l-day-mask", "Pay within")
	f.Eventually(func() bool { return near.Counts(nodetest.Mask).Held == 1 }, "not one unit is held")
	for _, a := range n.asked("/grab") {
		if first := n.asked("/grab")[0].key; a.key != first {
			t.Errorf("asked with %s and %s", first, a.key)
		}
	}
	tab.Click("#pay-day-mask")
	tab.AwaitText("#l-day-mask", "Yours")
}
