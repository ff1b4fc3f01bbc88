package bench

import (
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"slices"
	"time"

	"doorbuster/engine"
)

// Checks of bargains.
var (
	checkPriceSums = check{"price_is_sum", "every price is the start less its recorded cuts, never under the floor"}
	checkFriends   = check{"friend_once",
		"no friend twice in a bargain, nor the owner, nor more often a day than the play allows"}
	checkCutsTold = check{"cuts_told",
		"every cut that was told is recorded with that amount, and no answer contradicts another"}
	checkCutsDrawn  = check{"cuts_drawn", "every cut is what the rule gives by the seed that was told at the end"}
	checkBoughtAt   = check{"bought_at_price", "every order is bought at the price reached, where its play lets it"}
	checkOneBargain = check{"one_bargain", "no shopper has two bargains on a listing, and one code is told of each"}
	checkAsPlanned  = check{"as_planned",
		"the friends that a floor takes are as many as planned on average, distributed as the rule says"}

	bargainChecks = []check{checkPriceSums, checkFriends, checkCutsTold, checkCutsDrawn, checkBoughtAt, checkOneBargain,
		checkAsPlanned, checkHonestWords, checkNodesAgree, checkStockStays, checkBack, checkStaysUp}
)

// bargainRecord is a bargain as operators see it.
type bargainRecord struct {
	Code       string      `json:"code"`
	Session    string      `json:"session"`
	SKU        string      `json:"sku"`
	Shopper    string      `json:"shopper"`
	State      string      `json:"state"`
	StartPrice int64       `json:"start_price"`
	Price      int64       `json:"price"`
	Floor      int64       `json:"floor"`
	Cuts       int         `json:"cuts"`
	OrderNo    string      `json:"order_no"`
	Commitment string      `json:"commitment"`
	Seed       string      `json:"seed"`
	CutsMade   []cutRecord `json:"cuts_made"` // the newest first
	Cursor     string      `json:"cursor"`
}

type cutRecord struct {
	Number uint32    `json:"number"`
	Friend string    `json:"friend"`
	Amount int64     `json:"amount"`
	Weight uint32    `json:"weight"`
	New    bool      `json:"new"`
	At     time.Time `json:"at"`
}

// bargainCase is all that bargains are judged by: what was told, and what is recorded.
type bargainCase struct {
	findings *findings
	started  time.Time // of the run
	name     func(shopper int) string
	rules    map[string]*engine.CutRule // by SKU
	skus     []string
	left     []int64 // units, by SKU, before the session ended

	helps     []help
	starts    []start
	purchases []purchase
	records   []*bargainRecord
	orders    map[string]order // by number

	byCode map[string]*bargainRecord
	cuts   map[string]map[string]*cutRecord // by code and friend
	days   map[friendDay]int                // cuts
}

type friendDay struct{ friend, day string }

func (c *bargainCase) judge() {
	c.byCode, c.cuts, c.days = map[string]*bargainRecord{}, map[string]map[string]*cutRecord{}, map[friendDay]int{}
	c.judgeRecords()
	c.judgeDraws()
	c.judgeStarts()
	c.judgeHelps()
	c.judgePurchases()
}

// judgeRecords holds each record against itself.
func (c *bargainCase) judgeRecords() {
	type owner struct{ shopper, session, sku string }
	seen, made, lowest := map[owner]string{}, 0, int64(0)
	for i, b := range c.records {
		if other := c.byCode[b.Code]; other != nil {
			c.findings.add(checkOneBargain, "code %s is of %s and of %s", b.Code, other.Shopper, b.Shopper)
		}
		c.byCode[b.Code] = b
		who := owner{b.Shopper, b.Session, b.SKU}
		if other := seen[who]; other != "" {
			c.findings.add(checkOneBargain, "%s has bargains %s and %s on %s", b.Shopper, other, b.Code, b.SKU)
		}
		seen[who] = b.Code
		sum, by := int64(0), map[string]*cutRecord{}
		for j := range b.CutsMade {
			t := &b.CutsMade[j]
			sum += t.Amount
			if t.Amount <= 0 {
				c.findings.add(checkPriceSums, "cut %d of bargain %s takes off %d", t.Number, b.Code, t.Amount)
			}
			if by[t.Friend] != nil {
				c.findings.add(checkFriends, "%s has cut bargain %s twice", t.Friend, b.Code)
			}
			if t.Friend == b.Shopper {
				c.findings.add(checkFriends, "%s has cut their own bargain %s", t.Friend, b.Code)
			}
			by[t.Friend] = t
			if c.ours(b) {
				c.days[friendDay{t.Friend, t.At.UTC().Format(time.DateOnly)}]++
			}
		}
		c.cuts[b.Code] = by
		made += len(b.CutsMade)
		if b.StartPrice-sum != b.Price || b.Price < b.Floor || b.Cuts != len(b.CutsMade) {
			c.findings.add(checkPriceSums, "bargain %s from %d costs %d, floor %d: its %d cuts (it says %d) take off "+
				"%d", b.Code, b.StartPrice, b.Price, b.Floor, len(b.CutsMade), b.Cuts, sum)
		}
		if i == 0 || b.Price < lowest {
			lowest = b.Price
		}
	}
	most := 0
	for who, n := range c.days {
		most = max(most, n)
		if day := c.perDay(); day > 0 && n > day {
			c.findings.add(checkFriends, "%s has made %d cuts on %s, %d are allowed", who.friend, n, who.day, day)
		}
	}
	c.findings.figure(checkPriceSums, "%d bargains, %d cuts, the lowest price %d", len(c.records), made, lowest)
	c.findings.figure(checkFriends, "most cuts of a friend a day %d, limit %d", most, c.perDay())
	c.findings.figure(checkOneBargain, "%d bargains, %d starts", len(c.records), len(c.starts))
}

// ours reports whether a bargain is of what the crowd comes for, not of those idle before.
func (c *bargainCase) ours(b *bargainRecord) bool { return slices.Contains(c.skus, b.SKU) }

func (c *bargainCase) perDay() int { return int(c.rules[c.skus[0]].PerDay) }

// judgeDraws does every draw again.
func (c *bargainCase) judgeDraws() {
	drawn := 0
	for _, b := range c.records {
		rule := c.rules[b.SKU]
		var seed [sha256.Size]byte
		n, err := hex.Decode(seed[:], []byte(b.Seed[:min(len(b.Seed), 2*len(seed))]))
		if sum := sha256.Sum256(seed[:]); err != nil || n != len(seed) || hex.EncodeToString(sum[:]) != b.Commitment {
			c.findings.add(checkCutsDrawn, "the seed of bargain %s, %q, is not what %q commits to", b.Code, b.Seed,
				b.Commitment)
			continue
		}
		total := b.StartPrice - b.Floor
		left := total
		for i := len(b.CutsMade) - 1; i >= 0; i-- {
			t := &b.CutsMade[i]
			number, weight := uint32(len(b.CutsMade)-i), uint32(100)
			if rule.TakeStock && t.New {
				weight = newFriendWeight
			}
			want := rule.Cut(engine.Luck(seed, b.Code, t.Number), total, left, t.Weight)
			if t.Number != number || t.Weight != weight || t.Amount != want {
				c.findings.add(checkCutsDrawn, "cut %d of bargain %s, at place %d of the record, takes off %d with "+
					"weight %d; by the seed %d, by the play with weight %d", t.Number, b.Code, number, t.Amount,
					t.Weight, want, weight)
			}
			left -= t.Amount
			drawn++
		}
	}
	c.findings.figure(checkCutsDrawn, "%d cuts drawn again", drawn)
}

// judgeStarts holds what owners were told against the record.
func (c *bargainCase) judgeStarts() {
	told, unsure := map[*haggle]string{}, map[string]bool{}
	for _, s := range c.starts {
		who, sku := c.name(s.of.owner), c.skus[s.of.sku]
		switch b := c.byCode[s.name]; {
		case s.code == codeSoldOut && c.left[s.of.sku] == 0:
		case s.code == outcomeUnknown:
			unsure[who] = true
		case s.code == codeBargainOver && told[s.of] == s.name: // bought since they started it
		case s.code != codeStarted:
			c.findings.add(checkHonestWords, "%s wanted to start a bargain on %s and heard %s", who, sku, s.code)
		case b == nil || b.Shopper != who || b.SKU != sku:
			c.findings.add(checkOneBargain, "bargain %s of %s on %s is not recorded so: %+v", s.name, who, sku, b)
		case told[s.of] != "" && told[s.of] != s.name:
			c.findings.add(checkOneBargain, "%s was told of bargains %s and %s", who, told[s.of], s.name)
		default:
			told[s.of] = s.name
		}
	}
	known := map[string]bool{}
	for _, code := range told {
		known[code] = true
	}
	for _, b := range c.records {
		if c.ours(b) && !known[b.Code] && !unsure[b.Shopper] {
			c.findings.add(checkOneBargain, "nobody was told of bargain %s of %s", b.Code, b.Shopper)
		}
	}
}

// judgeHelps holds what friends were told against the record.
func (c *bargainCase) judgeHelps() {
	type helper struct {
		of     *haggle
		friend int
	}
	keys, asked, answers := map[helper]int{}, map[helper]bool{}, map[string]int{}
	for i := range c.helps {
		q := &c.helps[i]
		answers[q.code]++
		if q.forged {
			if q.code != codeNoBargain {
				c.findings.add(checkHonestWords, "%s gave a forged code and heard %s", c.name(q.friend), q.code)
			}
			continue
		}
		who := helper{q.of, q.friend}
		b := c.byCode[q.of.code]
		if b == nil {
			continue // a finding of the start
		}
		cut := c.cuts[b.Code][c.name(q.friend)]
		if q.code == codeCut || q.code == codeHelped || q.code == outcomeUnknown {
			asked[who] = true
		}
		if wrong := c.contradicts(q, b, cut); wrong != "" {
			c.findings.add(checkCutsTold, "%s heard %s, %d off, for bargain %s: %s", c.name(q.friend), q.code, q.amount,
				b.Code, wrong)
		}
		if q.code == codeCut {
			if key, told := keys[who]; told && key != q.key {
				c.findings.add(checkCutsTold, "%s was told cut for two keys of bargain %s", c.name(q.friend), b.Code)
			}
			keys[who] = q.key
		}
		if why := c.dishonest(q, b); why != "" {
			c.findings.add(checkHonestWords, "%s heard %s of bargain %s: %s", c.name(q.friend), q.code, b.Code, why)
		}
	}
	told := map[string]map[string]bool{}
	for who := range asked {
		if told[who.of.code] == nil {
			told[who.of.code] = map[string]bool{}
		}
		told[who.of.code][c.name(who.friend)] = true
	}
	for _, b := range c.records {
		for _, t := range b.CutsMade {
			if c.ours(b) && !told[b.Code][t.Friend] {
				c.findings.add(checkCutsTold, "%s was not told that they have cut bargain %s", t.Friend, b.Code)
			}
		}
	}
	c.findings.figure(checkCutsTold, "%d answers: %s", len(c.helps), sortedCounts(answers))
	c.findings.figure(checkHonestWords, "%d of forged codes, %d of owners, %d too late", answers[codeNoBargain],
		answers[codeOwnBargain], answers[codeBargainOver]+answers[codeFloorReached])
}

// contradicts says what is wrong with an answer by the record; "" if nothing is.
func (c *bargainCase) contradicts(q *help, b *bargainRecord, cut *cutRecord) string {
	says := q.code == codeCut || q.code == codeHelped
	switch {
	case q.code == outcomeUnknown:
		return ""
	case says && cut == nil:
		return "it is not recorded"
	case says && cut.Amount != q.amount:
		return fmt.Sprintf("%d is recorded", cut.Amount)
	case !says && cut != nil:
		return fmt.Sprintf("a cut of %d is recorded", cut.Amount)
	case !floorTold(q.code):
		return ""
	case q.cuts > len(b.CutsMade):
		return fmt.Sprintf("it had %d cuts then", q.cuts)
	}
	price := b.StartPrice
	for _, t := range b.CutsMade[len(b.CutsMade)-q.cuts:] {
		price -= t.Amount
	}
	if price != q.price {
		return fmt.Sprintf("it cost %d after %d cuts, they were told %d", price, q.cuts, q.price)
	}
	return ""
}

// dishonest says why the rules don't allow an answer; "" if they do.
func (c *bargainCase) dishonest(q *help, b *bargainRecord) string {
	who := c.name(q.friend)
	switch {
	case q.code == codeCut || q.code == codeHelped || q.code == outcomeUnknown:
	case (q.code == codeOwnBargain) != (who == b.Shopper):
		return "it is of " + b.Shopper
	case q.code == codeOwnBargain:
	case q.code == codeFloorReached:
		if b.Price != b.Floor {
			return fmt.Sprintf("it costs %d", b.Price)
		}
	case q.code == codeBargainOver:
		if q.of.buyAt == 0 || q.of.buyAt > q.heard {
			return "nobody had bought it"
		}
	case q.code == codeHelpsUsedUp:
		n := 0
		for _, at := range []time.Duration{q.sent, q.heard} {
			n = max(n, c.days[friendDay{who, c.started.Add(at).UTC().Format(time.DateOnly)}])
		}
		if n < c.perDay() {
			return fmt.Sprintf("they have made %d cuts that day", n)
		}
	default:
		return "that is no answer to a friend"
	}
	return ""
}

// judgePurchases holds orders against the prices reached.
func (c *bargainCase) judgePurchases() {
	bought, answers := map[string]string{}, map[string]int{}
	for _, b := range c.records {
		if b.OrderNo == "" {
			continue
		}
		if other := bought[b.OrderNo]; other != "" {
			c.findings.add(checkBoughtAt, "order %s is of bargains %s and %s", b.OrderNo, other, b.Code)
		}
		bought[b.OrderNo] = b.Code
		o, listed := c.orders[b.OrderNo]
		rule := c.rules[b.SKU]
		if !listed || o.Amount != b.Price || o.Shopper != b.Shopper || o.SKU != b.SKU || o.Quantity != 1 ||
			rule.AtFloor && b.Price != b.Floor {
			c.findings.add(checkBoughtAt, "bargain %s of %s costs %d (floor %d); its order %s is of %s, %d of %s for "+
				"%d", b.Code, b.Shopper, b.Price, b.Floor, b.OrderNo, o.Shopper, o.Quantity, o.SKU, o.Amount)
		}
	}
	for no, o := range c.orders {
		if bought[no] == "" {
			c.findings.add(checkBoughtAt, "order %s of %s is of no bargain", no, o.Shopper)
		}
	}
	for _, p := range c.purchases {
		answers[p.code]++
		sku := c.skus[p.of.sku]
		switch b := c.byCode[p.of.code]; {
		case p.code == outcomeUnknown || b == nil:
		case p.code == codeGranted && b.OrderNo == "":
			c.findings.add(checkBoughtAt, "%s was told that they bought by bargain %s; no order is recorded", b.Shopper,
				b.Code)
		case p.code == codeGranted:
		case p.code == codeSoldOut && c.left[p.of.sku] == 0 && !c.rules[sku].TakeStock:
		case p.code == codeNotAtFloor && c.rules[sku].AtFloor:
		default:
			c.findings.add(checkHonestWords, "%s wanted to buy by bargain %s and heard %s", c.name(p.of.owner),
				p.of.code, p.code)
		}
	}
	c.findings.figure(checkBoughtAt, "%d orders; answers: %s", len(bought), sortedCounts(answers))
}

// friendsOf gives how many friends each bargain of a SKU took that was to come to its floor,
// and that lets lets through; and how many of these did not come there.
func (c *bargainCase) friendsOf(sku int, lets func(h *haggle) bool) (friends []int, short int) {
	seen := map[*haggle]bool{}
	for _, s := range c.starts {
		b := c.byCode[s.name]
		if b == nil || seen[s.of] || s.of.sku != sku || s.of.goal < toNobody || !lets(s.of) {
			continue
		}
		seen[s.of] = true
		if b.Price > b.Floor {
			short++
			continue
		}
		friends = append(friends, len(b.CutsMade))
	}
	return friends, short
}
