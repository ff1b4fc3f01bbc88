package httpapi

import (
	"bufio"
	"fmt"
	"io"
	"math/rand/v2"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"time"

	"doorbuster/engine"
	"doorbuster/httpapi/auth"
	"doorbuster/httpapi/ratelimit"
)

// TestShares: whoever comes gets a place as long as somebody has two more, and nobody
// has two fewer than another who was turned away; a place that went is not given back.
func TestShares(t *testing.T) {
	const most = 20
	s := newShares(most)
	type held struct {
		who   string
		leave func()
		gone  bool
	}
	var all []*held
	count := func(who string) (n int) {
		for _, h := range all {
			if !h.gone && (who == "" || h.who == who) {
				n++
			}
		}
		return n
	}
	random := rand.New(rand.NewPCG(1, 2))
	for range 20_000 {
		if random.IntN(3) == 0 && len(all) > 0 {
			h := all[random.IntN(len(all))]
			h.leave()
			h.leave()
			h.gone = true
			continue
		}
		who := fmt.Sprint(random.IntN(1 + random.IntN(30)))
		had, largest, full := count(who), 0, count("") == most
		for _, h := range all {
			largest = max(largest, count(h.who))
		}
		h := &held{who: who}
		if h.leave = s.enter(who, func() { h.gone = true }); h.leave != nil {
			all = append(all, h)
		}
		if got, want := h.leave != nil, !full || had+1 < largest; got != want || count("") > most ||
			s.taken != count("") {
			t.Fatalf("%s had %d, the largest %d of %d: let in: %t; %d are taken", who, had, largest, count(""), got,
				s.taken)
		}
		var left []*held
		for _, h := range all {
			if !h.gone {
				left = append(left, h)
			}
		}
		all = left
	}
	for _, h := range all {
		h.leave()
	}
	if s.taken != 0 || len(s.by) != 0 || len(s.having) != 0 {
		t.Errorf("%d taken, by %v, %v", s.taken, s.by, s.having)
	}
}

// TestViewersStreamsLeaveRoom: a viewer who opens streams of events without end does
// not lock an admin out.
func TestViewersStreamsLeaveRoom(t *testing.T) {
	s := newTestAdmin(t, &fakeOperator{}, func(c *AdminConfig) {
		c.Dev, c.Tokens, c.Trail = false, auth.Keys{Secret: testSecret}, &fakeTrail{reached: 3}
	})
	web := httptest.NewServer(s)
	t.Cleanup(web.Close)
	follow := func(who string, role auth.Role) (status int, lines *bufio.Reader) {
		t.Helper()
		token, err := auth.Claims{Audience: auth.Operators, Subject: who, Role: role, TTL: time.Hour}.Sign(testSecret,
			time.Now())
		if err != nil {
			t.Fatal(err)
		}
		r, err := http.NewRequestWithContext(t.Context(), "GET", web.URL+"/admin/v1/events?from=1", nil)
		if err != nil {
			t.Fatal(err)
		}
		r.Header.Set("Authorization", "Bearer "+token)
		answer, err := web.Client().Do(r)
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { answer.Body.Close() })
		return answer.StatusCode, bufio.NewReader(answer.Body)
	}
	var theirs []*bufio.Reader
	for range eventReaders {
		status, lines := follow("vera", auth.Viewer)
		if status != 200 {
			t.Fatal("a viewer: ", status)
		}
		theirs = append(theirs, lines)
	}
	if status, _ := follow("vera", auth.Viewer); status != 503 {
		t.Errorf("one more than there is room for: %d", status)
	}
	status, lines := follow("olga", auth.Admin)
	if line, err := lines.ReadString('\n'); status != 200 || err != nil || !strings.Contains(line, `"index":1`) {
		t.Fatalf("the admin is locked out: %d %q %v", status, line, err)
	}
	// The newest of the viewer's has ended for it, in good order.
	if _, err := io.Copy(io.Discard, theirs[len(theirs)-1]); err != nil {
		t.Error(err)
	}
	if n := s.readers.count(); n != eventReaders {
		t.Errorf("%d readers", n)
	}
}

// TestImagesAreSharedFairly: whoever asks for images from one address without end
// keeps nobody at another from having one.
func TestImagesAreSharedFairly(t *testing.T) {
	f := &imageSeller{}
	proxies, err := ratelimit.ParseTrusted([]string{"127.0.0.0/8"})
	if err != nil {
		t.Fatal(err)
	}
	s, addr := serveShopper(t, ShopperConfig{Seller: selling(f), Dev: true, Guard: GuardConfig{Proxies: proxies},
		Limits: Limits{CommandTimeout: time.Minute}})
	ask := func(c *caller, shopper, from string) int {
		c.send(t, "POST /v1/sessions/fans-day-10/skus/mask-50/challenge HTTP/1.1\r\nHost: shop.test\r\nX-Shopper-Id: "+
			""+shopper+"\r\nX-Forwarded-For: "+from+"\r\n\r\n")
		status, _, body := c.receive(t)
		if status == 200 && !strings.Contains(body, "data:image/png") {
			t.Errorf("no image: %.200s", body)
		}
		return status
	}
	const waiting = 16
	s.guard.images.shares = newShares(waiting)
	// All that draws is taken, and all that waits but for one place is one address's.
	for range imagesAtOnce {
		s.guard.images.drawing <- struct{}{}
	}
	var flood sync.WaitGroup
	turned := make(chan int, waiting+1)
	for i := range waiting {
		c := dial(t, addr)
		flood.Go(func() { turned <- ask(c, fmt.Sprint("bot-", i), "203.0.113.5") })
	}
	within(t, func() bool {
		return s.guard.images.shares.count() == waiting
	})
	if status := ask(dial(t, addr), "bot-x", "203.0.113.5"); status != 503 {
		t.Errorf("one more of the flood: %d", status)
	}
	honest := make(chan int, 1)
	c := dial(t, addr)
	flood.Go(func() { honest <- ask(c, "ada", "198.51.100.7") })
	if status := <-turned; status != 503 { // the one that made room
		t.Errorf("who made room hears %d", status)
	}
	if status := ask(dial(t, addr), "ada", "198.51.100.8"); status != 429 {
		t.Errorf("the same shopper once more: %d", status)
	}
	for range imagesAtOnce {
		<-s.guard.images.drawing
	}
	flood.Wait()
	if status := <-honest; status != 200 {
		t.Errorf("who asked once from another address: %d", status)
	}
	for range waiting - 1 {
		if status := <-turned; status != 200 {
			t.Errorf("who waited: %d", status)
		}
	}
}

// TestStreamsOfOneAddressLeaveRoom: shoppers of one address who take all streams of
// events there are keep those of another from none.
func TestStreamsOfOneAddressLeaveRoom(t *testing.T) {
	proxies, err := ratelimit.ParseTrusted([]string{"127.0.0.0/8"})
	if err != nil {
		t.Fatal(err)
	}
	const most = 6
	_, addr := serveShopper(t, ShopperConfig{Seller: selling(&fakeSeller{order: heldOrder()}), Dev: true, Streams: most,
		Guard: GuardConfig{Proxies: proxies}})
	follow := func(shopper, from string) (*caller, string) {
		c := dial(t, addr)
		c.send(t, "GET /v1/events HTTP/1.1\r\nHost: shop.test\r\nX-Shopper-Id: "+shopper+"\r\nX-Forwarded-For: "+
			""+from+"\r\n\r\n")
		line, err := c.in.ReadString('\n')
		if err != nil {
			t.Fatal(err)
		}
		return c, line
	}
	var newest *caller
	for i := range most {
		c, line := follow(fmt.Sprint("bot-", i), "203.0.113.5")
		if !strings.Contains(line, "200") {
			t.Fatal(line)
		}
		newest = c
	}
	if _, line := follow("bot-x", "203.0.113.5"); !strings.Contains(line, "503") {
		t.Errorf("one more of them: %s", line)
	}
	if _, line := follow("ada", "198.51.100.7"); !strings.Contains(line, "200") {
		t.Errorf("somebody else: %s", line)
	}
	if _, err := io.Copy(io.Discard, newest.in); err != nil {
		t.Error("none made room: ", err)
	}
}

// imageSeller asks for images.
type imageSeller struct{ fakeSeller }

func (f *imageSeller) DoorRules([]byte) engine.DoorRules {
	return engine.DoorRules{Session: 1, Listing: 1, Challenge: engine.ChallengeImage}
}

// within waits until is says yes.
func within(t *testing.T, is func() bool) {
	t.Helper()
	for deadline := time.Now().Add(patience); !is(); time.Sleep(time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatal("not in time")
		}
	}
}
