package main

import (
	"bufio"
	"encoding/json"
	"fmt"
	"net/http"
	"strings"
	"testing"

	"doorbuster/cmd/doorbuster/nodetest"
	"doorbuster/httpapi/wire"
)

const bargainPlan = `
products:
  - {id: mask, list_price: 4900, currency: CNY}
  - {id: soap, list_price: 900, currency: CNY}
sales:
  - id: sale
    sessions:
      - id: day
        start: now
        duration: 2h
        listings:
          - {sku: mask, price: 4900, stock: 5, play: {kind: bargain, floor: 100, helpers: 5, at_floor: true}}
          - {sku: soap, price: 900, stock: 5}
`

// bargainer asks a node about bargains as a shopper.
type bargainer struct{ *nodetest.Shop }

func (s bargainer) ask(method, path, shopper string, into any, header ...string) nodetest.Reply {
	s.T.Helper()
	if shopper != "" {
		header = append(header, "X-Shopper-Id", shopper)
	}
	a := s.Do(method, s.HTTP+"/v1/"+path, "", header...)
	if err := json.Unmarshal([]byte(a.Body), into); err != nil {
		s.T.Fatalf("%s %s: %s", method, path, a.Body)
	}
	return a
}

func (s bargainer) cut(code, friend, key string) (a wire.BargainAnswer) {
	s.T.Helper()
	s.ask("POST", "bargains/"+code+"/cuts", friend, &a, "Idempotency-Key", key)
	return a
}

// TestBargain goes from a plan with the shipped play to an order paid at the floor, looked
// into by operators.
func TestBargain(t *testing.T) {
	s := bargainer{openShop(t, t.TempDir())}
	s.Apply(bargainPlan)
	var listing wire.Listing
	if s.ask("GET", "sessions/day/skus/mask", "", &listing); listing.Play == nil || listing.Play.Kind != "bargain" ||
		listing.Play.Price != "cut" || listing.Play.Floor != 100 || listing.Play.Friends != 5 ||
		!*listing.Play.AtFloor || listing.Price != 4900 {
		t.Errorf("%+v of %+v", listing.Play, listing)
	}
	if a := s.ask("POST", "sessions/day/skus/soap/bargains", "ann", new(wire.Problem)); a.Status != 404 {
		t.Errorf("a listing without a bargain: %d %s", a.Status, a.Body)
	}

	var begun, again wire.BargainAnswer
	s.ask("POST", "sessions/day/skus/mask/bargains", "ann", &begun)
	s.ask("POST", "sessions/day/skus/mask/bargains", "ann", &again)
	if begun.Code != "started" || again.Code != "started" || begun.Bargain.Code != again.Bargain.Code ||
		!begun.Bargain.Mine {
		t.Fatalf("%+v, then %+v", begun, again)
	}
	code := begun.Bargain.Code
	if a := s.cut(code, "ann", "k"); a.Code != "own_bargain" || a.Bargain.Price != 4900 {
		t.Errorf("one's own: %+v", a)
	}
	if a := s.ask("POST", "bargains/"+code+"/buy", "ann", new(any)); a.Status != 409 ||
		!strings.HasSuffix(a.Type, "not-at-floor") {
		t.Errorf("before the floor: %d %s", a.Status, a.Body)
	}
	if a := s.ask("POST", "bargains/"+code+"/buy", "bob", new(any)); a.Status != 404 {
		t.Errorf("by another's: %d %s", a.Status, a.Body)
	}

	stream, err := http.NewRequest("GET", s.HTTP+"/v1/bargains/"+code, nil)
	if err != nil {
		t.Fatal(err)
	}
	stream.Header.Set("Accept", "text/event-stream")
	told, err := nodetest.Client.Do(stream)
	if err != nil {
		t.Fatal(err)
	}
	defer told.Body.Close()
	lines := bufio.NewScanner(told.Body)
	sees := func(holds func(*wire.Bargain) bool) {
		t.Helper()
		for lines.Scan() {
			var b wire.Bargain
			if data, is := strings.CutPrefix(lines.Text(), "data: "); is &&
				json.Unmarshal([]byte(data), &b) == nil && holds(&b) {
				return
			}
		}
		t.Fatal("the stream ended without it: ", lines.Err())
	}
	sees(func(b *wire.Bargain) bool { return b.Cuts == 0 })

	sum, friends := int64(0), 0
	for price := int64(4900); price > 100; friends++ {
		friend := fmt.Sprint("friend-", friends)
		a := s.cut(code, friend, "k1")
		if sum += a.Amount; a.Code != "cut" || a.Bargain.Price != 4900-sum || a.Bargain.Helped == nil ||
			len(a.Bargain.Recent) != friends+1 {
			t.Fatalf("%s: %+v %+v", friend, a, a.Bargain)
		}
		if same := s.cut(code, friend, "k1"); same.Code != "cut" || same.Amount != a.Amount {
			t.Errorf("by the same key: %+v", same)
		}
		if other := s.cut(code, friend, "k2"); other.Code != "already_helped" || other.Amount != a.Amount {
			t.Errorf("by another key: %+v", other)
		}
		price = a.Bargain.Price
	}
	if a := s.cut(code, "late", "k"); a.Code != "floor_reached" || a.Amount != 0 {
		t.Errorf("below the floor: %+v", a)
	}
	sees(func(b *wire.Bargain) bool { return b.Price == 100 && int(b.Cuts) == friends && !b.Mine })

	bought := s.ask("POST", "bargains/"+code+"/buy", "ann", new(any), "Idempotency-Key", "b")
	if bought.Code != "granted" || bought.Order.Amount != 100 {
		t.Fatalf("%d %s", bought.Status, bought.Body)
	}
	if a := s.Pay(bought.Order, "p"); a.Status != 200 {
		t.Errorf("%d %s", a.Status, a.Body)
	}
	var mine wire.Bargain
	if s.ask("GET", "bargains/"+strings.ToLower(code), "ann", &mine); mine.State != "bought" || mine.Order == nil ||
		mine.Order.OrderNo != bought.Order.OrderNo || mine.Order.State != "paid" {
		t.Errorf("%+v %+v", mine, mine.Order)
	}
	if a := s.cut(code, "later", "k"); a.Code != "bargain_over" {
		t.Errorf("after the purchase: %+v", a)
	}
	sees(func(b *wire.Bargain) bool { return b.State == "bought" })
	s.Expect("day/mask", 4, 0, 1)

	if status, out, errs := runTool(t, "", "bargains", "show", code, "--admin", s.Admin); status != 0 ||
		!strings.Contains(out, "friend-0") || !strings.Contains(out, bought.Order.OrderNo) {
		t.Errorf("%d %s%s", status, out, errs)
	}
}

// Operators find bargains, and end one that is open.
func TestBargainsCommands(t *testing.T) {
	s := bargainer{openShop(t, t.TempDir())}
	s.Apply(bargainPlan)
	codes := map[string]string{}
	for _, who := range []string{"ann", "bob"} {
		var a wire.BargainAnswer
		s.ask("POST", "sessions/day/skus/mask/bargains", who, &a)
		codes[who] = a.Bargain.Code
	}
	run := func(want int, args ...string) string {
		t.Helper()
		status, out, errs := runTool(t, "", append([]string{"bargains"}, args...)...)
		if status != want {
			t.Errorf("%v: status %d, %s%s", args, status, out, errs)
		}
		return out + errs
	}
	if out := run(0, "list", "--admin", s.Admin); !strings.Contains(out, codes["ann"]) ||
		!strings.Contains(out, codes["bob"]) {
		t.Error(out)
	}
	if out := run(0, "end", codes["bob"], "--note", "bots", "--admin", s.Admin); !strings.Contains(out, "is ended") {
		t.Error(out)
	}
	if a := s.cut(codes["bob"], "cai", "k"); a.Code != "bargain_over" {
		t.Errorf("%+v", a)
	}
	if out := run(0, "list", "--state", "open", "--session", "day", "--admin", s.Admin); strings.Contains(out,
		codes["bob"]) || !strings.Contains(out, codes["ann"]) {
		t.Error(out)
	}
	run(1, "end", strings.Repeat("0", 26), "--admin", s.Admin)
	run(0, "end", codes["bob"], "--admin", s.Admin)
	run(2, "show", "nothing", "--admin", s.Admin)
	run(2, "show", "--admin", s.Admin)
	run(2, "list", "--state", "held", "--admin", s.Admin)
	run(2, "list", "--session", "a b", "--admin", s.Admin)
	said := ""
	s.Eventually(func() bool {
		said = s.Ops("GET", "/admin/v1/audit?session=day", "").Body
		return strings.Contains(said, "bots") && strings.Contains(said, "bargain "+codes["bob"])
	}, func() string { return said })
}
