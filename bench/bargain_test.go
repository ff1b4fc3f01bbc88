package bench

import (
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"strings"
	"testing"
	"time"

	"doorbuster/engine"
	"doorbuster/httpapi/play"
)

// goodCase is of bargains that a good shop held: most come to their floor, and are bought.
func goodCase(bargains int) *bargainCase {
	cfg := DefaultBargainConfig()
	cfg.Bargains, cfg.Friends, cfg.Seed = bargains, 6, 7
	r := RushConfig{ShopperPrefix: "s-"}
	c := &bargainCase{findings: newFindings(), name: r.shopper, rules: cfg.cutRules(), skus: []string{"plain", "aside"},
		left: []int64{1, 1}, orders: map[string]order{}, started: time.Date(2026, 11, 30, 9, 0, 0, 0, time.UTC)}
	friends := bargains
	for _, h := range newHagglers(newCrowd(&RushConfig{Addrs: []string{""}}), &cfg).all {
		seed := sha256.Sum256([]byte(c.skus[h.sku]))
		commitment := sha256.Sum256(seed[:])
		h.code = fmt.Sprint("code-", h.number)
		b := &bargainRecord{Code: h.code, Session: "day", SKU: c.skus[h.sku], Shopper: c.name(h.owner),
			State: "expired", StartPrice: bargainPrice, Price: bargainPrice, Floor: bargainFloor,
			Seed: hex.EncodeToString(seed[:]), Commitment: hex.EncodeToString(commitment[:])}
		c.records = append(c.records, b)
		c.starts = append(c.starts, start{h, codeStarted, h.code})
		say := func(q help) {
			q.of, q.sent, q.heard = h, time.Second, 2*time.Second
			q.cuts, q.price = b.Cuts, b.Price
			c.helps = append(c.helps, q)
		}
		goal := min(h.goal, toNobody)
		for b.Price > b.Floor && b.Cuts < goal {
			friends++
			t := cutRecord{Number: uint32(b.Cuts + 1), Friend: c.name(friends), Weight: 100, New: b.Cuts%2 == 0,
				At: c.started.Add(time.Second)}
			if h.sku == skuAside && t.New {
				t.Weight = newFriendWeight
			}
			t.Amount = c.rules[b.SKU].Cut(engine.Luck(seed, b.Code, t.Number), b.StartPrice-b.Floor, b.Price-b.Floor,
				t.Weight)
			b.CutsMade = append([]cutRecord{t}, b.CutsMade...)
			b.Cuts++
			b.Price -= t.Amount
			say(help{friend: friends, code: codeCut, amount: t.Amount})
			say(help{friend: friends, key: 1, code: codeHelped, amount: t.Amount})
			say(help{friend: h.owner, code: codeOwnBargain})
			say(help{friend: friends, forged: true, code: codeNoBargain})
		}
		if b.Price == b.Floor {
			say(help{friend: -1, code: codeFloorReached})
		}
		if h.goal == toNobody || h.sku == skuAside && b.Price > b.Floor {
			c.purchases = append(c.purchases, purchase{h, codeNotAtFloor})
			if h.sku == skuPlain {
				c.purchases = c.purchases[:len(c.purchases)-1]
			}
			continue
		}
		h.buyAt = time.Second
		b.OrderNo, b.State = fmt.Sprint("order-", h.number), "bought"
		c.orders[b.OrderNo] = order{OrderNo: b.OrderNo, Shopper: b.Shopper, SKU: b.SKU, Quantity: 1, Amount: b.Price}
		c.purchases = append(c.purchases, purchase{h, codeGranted})
		say(help{friend: -2, code: codeBargainOver})
	}
	return c
}

func (c *bargainCase) offences(t *testing.T) map[string]int {
	t.Helper()
	c.judge()
	found := map[string]int{}
	for _, k := range c.findings.verdict(bargainChecks).Checks {
		if k.Offences > 0 {
			found[k.ID] = k.Offences
			t.Logf("%s: %s", k.ID, k.Offenders[0])
		}
	}
	return found
}

func TestGoodBargains(t *testing.T) {
	if found := goodCase(200).offences(t); len(found) > 0 {
		t.Errorf("%v", found)
	}
}

// TestJudgeFindsEachBrokenRule: whatever one answer or one row of the record says that is not
// so is found, by the check that is for it.
func TestJudgeFindsEachBrokenRule(t *testing.T) {
	helpOf := func(c *bargainCase, code string) *help {
		for i := range c.helps {
			if c.helps[i].code == code {
				return &c.helps[i]
			}
		}
		panic(code)
	}
	bought := func(c *bargainCase) *bargainRecord {
		for _, b := range c.records {
			if b.OrderNo != "" && b.SKU == "aside" {
				return b
			}
		}
		panic("none is bought")
	}
	early := func(c *bargainCase) *bargainRecord { // bought over the floor
		for _, b := range c.records {
			if b.OrderNo != "" && b.Price > b.Floor {
				return b
			}
		}
		panic("none is bought early")
	}
	open := func(c *bargainCase) *haggle { // not at its floor
		for i, b := range c.records {
			if b.Price > b.Floor && b.OrderNo == "" {
				return c.starts[i].of
			}
		}
		panic("none is open")
	}
	for found, breaks := range map[check]map[string]func(c *bargainCase){
		checkPriceSums: {
			"a price that is not the sum": func(c *bargainCase) { c.records[3].Price++ },
			"a price under the floor": func(c *bargainCase) {
				b := bought(c)
				b.Price--
				b.CutsMade[0].Amount++
			},
			"a number of cuts that is wrong": func(c *bargainCase) { c.records[0].Cuts++ },
			"a cut that adds": func(c *bargainCase) {
				b := c.records[0]
				b.CutsMade[0].Amount = -b.CutsMade[0].Amount
			},
		},
		checkFriends: {
			"a friend twice": func(c *bargainCase) {
				cuts := c.records[0].CutsMade
				cuts[0].Friend = cuts[1].Friend
			},
			"an owner who helps themselves": func(c *bargainCase) {
				c.records[0].CutsMade[0].Friend = c.records[0].Shopper
			},
			"a friend too often a day": func(c *bargainCase) {
				for _, b := range c.records[:c.perDay()+1] {
					b.CutsMade[0].Friend = "s-1000000"
				}
			},
		},
		checkCutsTold: {
			"a cut that is lost": func(c *bargainCase) {
				b := c.records[0]
				b.Price += b.CutsMade[0].Amount
				b.Cuts--
				b.CutsMade = b.CutsMade[1:]
			},
			"a cut told with another amount":  func(c *bargainCase) { helpOf(c, codeCut).amount++ },
			"a cut told again otherwise":      func(c *bargainCase) { helpOf(c, codeHelped).amount++ },
			"a cut of two keys":               func(c *bargainCase) { helpOf(c, codeHelped).code = codeCut },
			"a no after a cut":                func(c *bargainCase) { helpOf(c, codeHelped).code = codeFloorReached },
			"a price told that there was not": func(c *bargainCase) { helpOf(c, codeCut).price++ },
			"more cuts told than there were":  func(c *bargainCase) { helpOf(c, codeFloorReached).cuts += 100 },
			"a cut that nobody was told of":   func(c *bargainCase) { helpOf(c, codeCut).friend = -3 },
		},
		checkCutsDrawn: {
			"a cut that is not by the seed":    func(c *bargainCase) { c.records[0].CutsMade[1].Amount++ },
			"a cut of another weight":          func(c *bargainCase) { c.records[1].CutsMade[0].Weight++ },
			"a seed that was not committed to": func(c *bargainCase) { c.records[0].Seed = strings.Repeat("0", 64) },
			"a seed that is not told":          func(c *bargainCase) { c.records[0].Seed = "" },
			"a cut with another's number":      func(c *bargainCase) { c.records[0].CutsMade[0].Number++ },
		},
		checkBoughtAt: {
			"an order at another price":          func(c *bargainCase) { early(c).OrderNo = "order-none" },
			"an order of another's bargain":      func(c *bargainCase) { early(c).Shopper = "s-1000000" },
			"an order of two bargains":           func(c *bargainCase) { early(c).OrderNo = bought(c).OrderNo },
			"an order that is lost":              func(c *bargainCase) { early(c).OrderNo = "" },
			"an order over a floor that must be": func(c *bargainCase) { early(c).SKU = "aside" },
			"an order for more": func(c *bargainCase) {
				b := early(c)
				o := c.orders[b.OrderNo]
				o.Amount++
				c.orders[b.OrderNo] = o
			},
		},
		checkOneBargain: {
			"two bargains on a listing": func(c *bargainCase) { c.records[2].Shopper = c.records[0].Shopper },
			"a code of two bargains":    func(c *bargainCase) { c.records[2].Code = c.records[0].Code },
			"two codes for one": func(c *bargainCase) {
				c.starts = append(c.starts, start{c.starts[0].of, codeStarted, c.starts[2].name})
			},
			"a bargain that is lost":            func(c *bargainCase) { c.records = c.records[1:] },
			"a bargain that nobody was told of": func(c *bargainCase) { c.starts = c.starts[1:] },
		},
		checkHonestWords: {
			"over, when it was not started": func(c *bargainCase) { c.starts[0].code = codeBargainOver },
			"a forged code that is taken":   func(c *bargainCase) { helpOf(c, codeNoBargain).code = codeCut },
			"over, when nobody bought": func(c *bargainCase) {
				c.helps = append(c.helps, help{of: open(c), friend: -4, code: codeBargainOver})
			},
			"the floor, when it is not": func(c *bargainCase) {
				h := open(c)
				b := c.records[h.number]
				c.helps = append(c.helps, help{of: h, friend: -4, code: codeFloorReached, price: b.Price, cuts: b.Cuts})
			},
			"used up, when they were not": func(c *bargainCase) {
				c.helps = append(c.helps, help{of: open(c), friend: -4, code: codeHelpsUsedUp})
			},
			"their own, when it is not": func(c *bargainCase) {
				c.helps = append(c.helps, help{of: open(c), friend: -4, code: codeOwnBargain})
			},
			"a no without a reason": func(c *bargainCase) {
				c.helps = append(c.helps, help{of: open(c), friend: -4, code: codeMissed})
			},
			"sold out, with units left": func(c *bargainCase) {
				c.purchases = append(c.purchases, purchase{c.starts[0].of, codeSoldOut})
			},
			"no start, with units left": func(c *bargainCase) {
				c.starts = append(c.starts, start{c.starts[0].of, codeSoldOut, ""})
			},
			"not at the floor, where that is no matter": func(c *bargainCase) {
				c.purchases = append(c.purchases, purchase{c.starts[0].of, codeNotAtFloor})
			},
		},
	} {
		for name, broken := range breaks {
			t.Run(name, func(t *testing.T) {
				c := goodCase(60)
				broken(c)
				if all := c.offences(t); all[found.id] == 0 {
					t.Errorf("%s did not find it: %v", found.id, all)
				}
			})
		}
	}
}

// TestFriendsReport: numbers of friends that the rule's distribution gives are taken for it,
// others are not.
func TestFriendsReport(t *testing.T) {
	cfg := DefaultBargainConfig()
	rule := *cfg.cutRules()["plain"]
	d := play.Distribute(&engine.Play{Price: engine.PriceRule{Kind: engine.PriceCut, Floor: bargainFloor}, Cut: rule},
		bargainPrice)
	drawn := func(shift int) (friends []int) {
		for i := range 4000 {
			left, n := int64(bargainPrice-bargainFloor), uint32(0)
			for left > 0 {
				n++
				left -= rule.Cut(engine.Luck([32]byte{1}, fmt.Sprint(i), n), bargainPrice-bargainFloor, left, 100)
			}
			friends = append(friends, int(n)+shift*(i%4/3))
		}
		return friends
	}
	if r := newFriendsReport(drawn(0), cfg.Friends, d.At); r.wrong() != "" || r.Degrees < 4 || r.Chance < 0.01 {
		t.Errorf("%v: %s", r, r.wrong())
	}
	for _, shift := range []int{1, -30} { // a quarter takes one more; numbers that there are not
		if r := newFriendsReport(drawn(shift), cfg.Friends, d.At); r.wrong() == "" {
			t.Errorf("%d: %v is taken for the rule's", shift, r)
		}
	}
	if p := chiSquareTail(18.307, 10); p < 0.049 || p > 0.051 { // from tables
		t.Errorf("chance %g", p)
	}
	if r := newFriendsReport(nil, 15, d.At); r.wrong() != "" {
		t.Errorf("none: %v", r)
	}
}

func TestStartsComeOnceEach(t *testing.T) {
	for _, c := range []BargainConfig{{Bargains: 1, Helps: 1}, {Bargains: 50, Helps: 3}, {Bargains: 300, Helps: 10},
		{Bargains: 1000, Helps: 20_000}} {
		seen := map[int]int{}
		for n := range c.Bargains + c.Helps {
			if i := c.startOf(n); i >= 0 {
				seen[i]++
			}
		}
		for i := range c.Bargains {
			if seen[i] != 1 {
				t.Errorf("%d of %d helps: bargain %d is started %d times", c.Bargains, c.Helps, i, seen[i])
				break
			}
		}
		if len(seen) != c.Bargains {
			t.Errorf("%d of %d bargains", len(seen), c.Bargains)
		}
	}
}
