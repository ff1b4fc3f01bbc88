// Package plays sells by the shipped plays, each from its file, and by one that is invented
// in the test, through the doors of a node.
package plays

import (
	"encoding/json"
	"fmt"
	"strings"
	"testing"

	"doorbuster/cmd/doorbuster/nodetest"
)

func TestMain(m *testing.M) { nodetest.Main(m) }

// regulars is a play that nobody has shipped: whoever has bought something today pays
// less for the next one, and the price falls as units sell.
const regulars = `plays:
  - id: regulars
    name: {en: Regulars, zh: 老顾客}
    parameters:
      less: {type: money, says: how much less a second purchase of the day costs}
      floor: {type: money, says: the lowest price}
    price:
      kind: formula
      floor: $floor
      amount: "max(floor, (first_today ? start : start - less) - sold / 2 * 10)"
    who: {when: "quantity <= 2"}
    words:
      missed: {en: "Two at most, please.", zh: "最多两件。"}
`

// plan is a session with a listing that sells by a play.
func plan(more, play, rest string) string {
	return more + `products:
  - {id: mug, name: {en: Mug}, list_price: 5000, currency: CNY}
  - {id: cup, name: {en: Cup}, list_price: 5000, currency: CNY}
sales:
  - id: sale
    sessions:
      - id: day
        start: now
        duration: 2h
        limit_per_shopper: 0
        admission_multiple: 0
        listings:
          - {sku: mug, price: 4900, stock: 60, limit_per_shopper: 0, play: ` + play + rest + `}
          - {sku: cup, price: 300, stock: 9, limit_per_shopper: 0}
`
}

const mug = "day/mug"

// bargain is what the doors tell of one.
type bargain struct {
	Code    string
	Amount  int64
	Bargain struct {
		Code, State  string
		Price, Floor int64
		Cuts         int
	}
}

func read[T any](t *testing.T, a nodetest.Reply) (v T) {
	t.Helper()
	if err := json.Unmarshal([]byte(a.Body), &v); err != nil || a.Status != 200 {
		t.Fatalf("%d %s: %v", a.Status, a.Body, err)
	}
	return v
}

// price is what a unit is shown to cost.
func price(s *nodetest.Shop) int64 {
	s.T.Helper()
	return read[struct{ Price int64 }](s.T, s.Do("GET", s.ListingURL(mug), "")).Price
}

func TestBargainFromItsFile(t *testing.T) {
	s := nodetest.Open(t, t.TempDir())
	s.Apply(plan("", "{kind: bargain, floor: 900, helpers: 10, new_friends: 100, spread: 20}", ""))
	started := read[bargain](t, s.Ask("POST", "ann", mug, "bargains", ""))
	if started.Code != "started" || started.Bargain.Price != 4900 || started.Bargain.Floor != 900 {
		t.Fatalf("%+v", started)
	}
	url := s.HTTP + "/v1/bargains/" + started.Bargain.Code
	friends, sum := 0, int64(0)
	for floor := false; !floor; friends++ {
		cut := read[bargain](t, s.Do("POST", url+"/cuts", "", "X-Shopper-Id", fmt.Sprint("friend-", friends)))
		if sum += cut.Amount; cut.Code != "cut" || cut.Bargain.Price != 4900-sum {
			t.Fatalf("%+v, cuts of %d", cut, sum)
		}
		floor = cut.Bargain.Price == 900
	}
	if friends < 8 || friends > 12 {
		t.Errorf("%d friends, planned were 10", friends)
	}
	for who, want := range map[string]string{"ann": "own_bargain", "friend-1": "already_helped",
		"late": "floor_reached"} {
		if a := read[bargain](t, s.Do("POST", url+"/cuts", "", "X-Shopper-Id", who)); a.Code != want {
			t.Errorf("%s: %+v, want %s", who, a, want)
		}
	}
	if a := s.Do("POST", url+"/buy", "", "X-Shopper-Id", "bob"); a.Status != 404 {
		t.Errorf("another's: %d %s", a.Status, a.Body)
	}
	bought := s.Do("POST", url+"/buy", "", "X-Shopper-Id", "ann")
	if bought.Code != "granted" || bought.Order.Amount != 900 {
		t.Fatalf("%d %s", bought.Status, bought.Body)
	}
	// The same after a restart, from the log.
	s.Stop()
	s = s.Reopen()
	if b := read[struct{ State string }](t, s.Do("GET", s.HTTP+"/v1/bargains/"+started.Bargain.Code,
		"")); b.State != "bought" {
		t.Errorf("%+v", b)
	}
}

func TestGroupPriceFromItsFile(t *testing.T) {
	s := nodetest.Open(t, t.TempDir())
	s.Apply(plan("", "{kind: group-price, first_sold: 2, first_price: 4000, second_sold: 4, second_price: 3000}", ""))
	for i, want := range []int64{4900, 4900, 4000, 4000, 3000, 3000} {
		if shown := price(s); shown != want {
			t.Errorf("unit %d is shown at %d, want %d", i+1, shown, want)
		}
		if a := s.ExpectWith("granted", fmt.Sprint("s", i), "k", mug, ""); a.Order.Amount != want {
			t.Errorf("unit %d costs %d, want %d", i+1, a.Order.Amount, want)
		}
	}
}

func TestFallingPriceFromItsFile(t *testing.T) {
	s := nodetest.Open(t, t.TempDir())
	s.Apply(plan("", "{kind: falling-price, floor: 4600, every: 1s, by: 100}", ""))
	shown := price(s)
	s.Eventually(func() bool { return price(s) < shown },
		func() string { return "the price does not fall" })
	if shown = price(s); shown > 4800 {
		t.Errorf("it fell to %d", shown)
	}
	if a := s.ExpectWith("granted", "ann", "k", mug, ""); a.Order.Amount > shown || a.Order.Amount < 4600 {
		t.Errorf("shown at %d it costs %d", shown, a.Order.Amount)
	}
	s.Eventually(func() bool { return price(s) == 4600 },
		func() string { return "the price does not come to the floor" })
}

func TestFirstOfTheDayFromItsFile(t *testing.T) {
	s := nodetest.Open(t, t.TempDir())
	s.Apply(plan("", "{kind: daily-first}", ""))
	s.ExpectWith("granted", "ann", "k", mug, "")
	a := s.ExpectWith("limit_reached", "ann", "k2", mug, "")
	if a.Order.OrderNo == "" || !strings.Contains(a.Message, "first purchase of the day") {
		t.Errorf("it does not say which order came first, or in the play's words: %s", a.Body)
	}
	s.ExpectWith("granted", "bob", "k", "day/cup", "")
	s.ExpectWith("limit_reached", "bob", "k2", mug, "") // something else of the sale is a purchase, too
}

// A play that is invented here needs no Go.
func TestAPlayOfOnesOwn(t *testing.T) {
	s := nodetest.Open(t, t.TempDir())
	s.Apply(plan(regulars, "{kind: regulars, less: 500, floor: 4000}", ""))
	for i, c := range []struct {
		shopper string
		want    int64
	}{{"ann", 4900}, {"bob", 4900}, {"ann", 4390}, {"cai", 4890}, {"ann", 4380}} {
		if a := s.ExpectWith("granted", c.shopper, fmt.Sprint("k", i), mug, ""); a.Order.Amount != c.want {
			t.Errorf("grab %d by %s costs %d, want %d", i, c.shopper, a.Order.Amount, c.want)
		}
	}
	if a := s.ExpectWith("missed", "dan", "k", mug, `{"quantity":3}`); !strings.Contains(a.Message, "Two at most") {
		t.Errorf("its words: %s", a.Message)
	}
	// What the leader's expressions said stands in the log.
	s.Stop()
	s = s.Reopen()
	if a := s.Do("GET", s.HTTP+"/v1/grabs/k2", "", "X-Shopper-Id", "ann"); a.Order.Amount != 4390 {
		t.Errorf("after a restart: %d %s", a.Status, a.Body)
	}
}
