package pages

import (
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
	grabs []asked
	under int // grabs under way
	most  int
	times int // how often the time was asked for
}

type asked struct {
	key string
	at  time.Time
}

func (n *badNetwork) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	n.mu.Lock()
	if r.URL.Path == "/v1/time" {
		n.times++
	}
	if !strings.HasSuffix(r.URL.Path, "/grab") {
		n.mu.Unlock()
		n.to.ServeHTTP(w, r)
		return
	}
	turn := len(n.grabs)
	n.grabs = append(n.grabs, asked{r.Header.Get("Idempotency-Key"), time.Now()})
	n.under++
	n.most = max(n.most, n.under)
	n.mu.Unlock()
	defer func() {
		n.mu.Lock()
		n.under--
		n.mu.Unlock()
	}()
	if turn < len(n.turns) {
		n.turns[turn](w, r)
		return
	}
	n.to.ServeHTTP(w, r)
}

func (n *badNetwork) asked() []asked {
	n.mu.Lock()
	defer n.mu.Unlock()
	return append([]asked(nil), n.grabs...)
}

// lost lets a grab through, and loses its answer.
func (n *badNetwork) lost(w http.ResponseWriter, r *http.Request) {
	n.to.ServeHTTP(httptest.NewRecorder(), r)
	panic(http.ErrAbortHandler) // cuts the connection
}

// TestOneWishIsOneOrder: the answer to a grab is lost after the shop has granted it, then
// the shop asks to be left alone, then the page is loaded anew in the middle of the next
// try, while a second tab looks on. All of it is one intent with one key, never two
// requests at once, never before its time, and in the end one order.
func TestOneWishIsOneOrder(t *testing.T) {
	b := browser.Open(t)
	s := nodetest.Open(t, t.TempDir())
	s.Apply(nodetest.Masks(5))
	node, err := url.Parse(s.HTTP)
	if err != nil {
		t.Fatal(err)
	}
	n := &badNetwork{to: httputil.NewSingleHostReverseProxy(node)}
	n.to.FlushInterval = -1 // streams
	held := make(chan struct{})
	n.turns = []func(w http.ResponseWriter, r *http.Request){
		n.lost,
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
	between := httptest.NewServer(n)
	t.Cleanup(func() {
		between.CloseClientConnections() // streams among them
		between.Close()
	})

	p := b.Profile()
	tab := p.Tab(browser.View{})
	tab.Forgive(`ERR_EMPTY_RESPONSE|status of 503|ERR_ABORTED`)
	enter(tab, between.URL, "alice")
	tab.Click("#do-day-mask")
	tab.AwaitText("#l-day-mask", "Asking again, for the same")
	select {
	case <-held:
	case <-time.After(nodetest.Patience):
		t.Fatal("the grab is not asked for a third time")
	}
	second := p.Tab(browser.View{})
	second.Forgive(`ERR_EMPTY_RESPONSE|status of 503|ERR_ABORTED`)
	second.Go(between.URL + "/shop")
	second.AwaitText("#me", "alice")
	tab.Reload()
	tab.AwaitText("#l-day-mask", "Pay within")
	second.AwaitText("#l-day-mask", "Pay within")

	all := n.asked()
	for _, a := range all {
		if a.key == "" || a.key != all[0].key {
			t.Errorf("keys differ: %v", all)
		}
	}
	if n.most != 1 || len(all) < 4 {
		t.Errorf("%d grabs, %d at once", len(all), n.most)
	}
	if wait := all[2].at.Sub(all[1].at); wait < 2*time.Second {
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
	b := browser.Open(t)
	s := nodetest.Open(t, t.TempDir())
	s.Apply(nodetest.Masks(5))
	node, err := url.Parse(s.HTTP)
	if err != nil {
		t.Fatal(err)
	}
	n := &badNetwork{to: httputil.NewSingleHostReverseProxy(node)}
	n.to.FlushInterval = -1
	between := httptest.NewServer(n)
	t.Cleanup(func() {
		between.CloseClientConnections() // streams among them
		between.Close()
	})
	tab := b.Profile().Tab(browser.View{Width: 390})
	enter(tab, between.URL, "alice")
	tab.AwaitText("#do-day-mask", "Grab it")

	tab.Offline(true)
	tab.AwaitText("#offline", "You are offline")
	tab.Click("#do-day-mask")
	tab.AwaitText("#l-day-mask", "Asking again, for the same")
	if got := len(n.asked()); got != 0 {
		t.Errorf("%d grabs went out without a network", got)
	}
	tab.Accessible()
	tab.Screenshot("offline-390-light-en")
	tab.Offline(false)
	tab.AwaitText("#l-day-mask", "Pay within")
	order := s.Grab("alice", nodetest.NewKey(), nodetest.Mask).Order // that she has reached her limit with

	// Its clock is believed for some seconds; a phone that sleeps, sleeps longer.
	n.mu.Lock()
	before := n.times
	n.mu.Unlock()
	tab.Hide(true)
	s.Pay(order, "p-1")
	tab.Await("performance.now() > 6000")
	tab.Hide(false)
	tab.AwaitText("#l-day-mask", "Yours")
	s.Eventually(func() bool {
		n.mu.Lock()
		defer n.mu.Unlock()
		return n.times > before
	}, func() string { return "the time is not asked for after a sleep" })
}
