package bench

import (
	"context"
	"errors"
	"fmt"
	"io"
	"strconv"
	"strings"
	"time"
)

// Listing names one listing of the rush. Its text form is SESSION/SKU.
type Listing struct {
	Session string `json:"session"`
	SKU     string `json:"sku"`
	// Weight is the listing's part of the crowd, relative to the others'.
	// 0 counts as 1.
	Weight float64 `json:"weight,omitempty"`
}

// ParseListing reads "SESSION/SKU" or "SESSION/SKU=WEIGHT".
func ParseListing(s string) (Listing, error) {
	name, weight, weighted := strings.Cut(s, "=")
	session, sku, ok := strings.Cut(name, "/")
	l := Listing{Session: session, SKU: sku}
	if !ok {
		return l, fmt.Errorf("listing %q: want SESSION/SKU", s)
	}
	if weighted {
		w, err := strconv.ParseFloat(weight, 64)
		if err != nil || w <= 0 {
			return l, fmt.Errorf("listing %q: weight %q is not a number above 0", s, weight)
		}
		l.Weight = w
	}
	return l, l.check()
}

func (l Listing) String() string { return l.Session + "/" + l.SKU }

func (l Listing) weight() float64 {
	if l.Weight == 0 {
		return 1
	}
	return l.Weight
}

func (l Listing) path() string { return "/v1/sessions/" + l.Session + "/skus/" + l.SKU }

// check refuses names that could not stand in a request line as they are.
func (l Listing) check() error {
	for _, name := range []string{l.Session, l.SKU} {
		if name == "" || strings.ContainsFunc(name, func(r rune) bool {
			return r <= ' ' || r > '~' || strings.ContainsRune(`/?#%"\`, r)
		}) {
			return fmt.Errorf("listing %q: session and sku must be plain names", l)
		}
	}
	return nil
}

// Node is a running node of the shop.
type Node struct {
	HTTPAddr  string       // the shoppers' address
	AdminAddr string       // the operators' address
	Close     func() error // stops it
}

// RushConfig says who comes, what they do and where. Start from
// [DefaultRushConfig]. All of it but the functions goes into the report.
type RushConfig struct {
	// Addrs are the shoppers' addresses, HOST:PORT, plain HTTP. Connections
	// spread over them evenly; one that is down is passed over.
	Addrs []string `json:"addrs"`
	// Admin is the operators' address, for the verdict; of a cluster any node's,
	// or several separated by commas, of which one that is down is passed over.
	Admin string `json:"admin"`
	// StartNode starts a node when Addrs is empty. Its listings must be open.
	// The node runs until its Close; the context is not cancelled with Rush's.
	StartNode func(context.Context) (Node, error) `json:"-"`

	// TokenFor gives a shopper's bearer token. It is called for each request,
	// concurrently: cache. nil sends X-Shopper-Id, which a shop takes in
	// development mode only.
	TokenFor func(shopper string) string `json:"-"`
	// AdminToken is the operators' bearer token; empty sends none.
	AdminToken string `json:"-"`
	// SignCallback gives the header that signs a cashier's callback; nil sends
	// none. Called concurrently.
	SignCallback func(body []byte) (name, value string) `json:"-"`

	// Cashier is the address of a "doorbuster cashier", HOST:PORT, that those who
	// pay carry their tokens to; it has to call back to the same shop. Its clock
	// counts as ours. Empty: the cashier's callbacks are sent from here.
	Cashier string `json:"cashier,omitempty"`

	// Shoppers is how many come, each a distinct one. Default 10,000.
	Shoppers int `json:"shoppers"`
	// ShopperPrefix begins every shopper's name; their number follows. It must be
	// new to the shop, or old orders mix with the run's. Default "rush-SEED-".
	ShopperPrefix string `json:"shopper_prefix"`
	// Listings is what they come for.
	Listings []Listing `json:"listings"`
	// Quantity is how many units each asks for. Default 1.
	Quantity int `json:"quantity"`
	// Waitlist asks for a place in line when all is taken. Default false.
	Waitlist bool `json:"waitlist"`
	// LimitPerSession is how many units the shop lets one shopper have in a
	// session, across its listings; what the verdict holds it to. 0 = no limit.
	// Default 1.
	LimitPerSession int `json:"limit_per_session"`

	// Rate is how many shoppers arrive each second (open loop). 0 = as fast as
	// the connections carry them (closed loop), the default.
	Rate float64 `json:"rate"`
	// Connections is how many requests are under way at most. More make the
	// closed loop deeper and, on shared cores, the generator costlier.
	// Default 128.
	Connections int `json:"connections"`
	// Seed is what all choices derive from. Default 0: one is made from the
	// clock and reported.
	Seed uint64 `json:"seed"`

	// AgainShare of the shoppers click twice with the same key. Default 0.05.
	AgainShare float64 `json:"again_share"`
	// AnewShare click again with another key. Default 0.05.
	AnewShare float64 `json:"anew_share"`
	// AgainWithin is how long after the first click the others come at most.
	// 0 = at once. Default 50 ms.
	AgainWithin time.Duration `json:"again_within_ns"`
	// SecondListingShare try another listing of the session at the same
	// instant. Default 0.05.
	SecondListingShare float64 `json:"second_listing_share"`
	// TwoNodes sends both of these at once, each over a connection of its own,
	// the second to the next one of Addrs. Default false: the second goes out
	// with whichever connection is free.
	TwoNodes bool `json:"two_nodes"`
	// PayShare of those granted pay, CancelShare give their units back, the
	// rest do neither. Together at most 1. Defaults 0.7 and 0.1.
	PayShare    float64 `json:"pay_share"`
	CancelShare float64 `json:"cancel_share"`
	// PayTwiceShare of the payments are called back twice. Default 0.1.
	PayTwiceShare float64 `json:"pay_twice_share"`
	// DecideWithin is how long a shopper holds at most before they pay or
	// cancels. Default 500 ms.
	DecideWithin time.Duration `json:"decide_within_ns"`
	// ReturnShare of the shoppers come back after sold out, up to Returns
	// times, about ReturnAfter later. Defaults 0.1, 2 and 1 s.
	ReturnShare float64       `json:"return_share"`
	Returns     int           `json:"returns"`
	ReturnAfter time.Duration `json:"return_after_ns"`

	// Timeout is how long to wait for an answer, to within a second. After it
	// the outcome is open and is asked after. Default 5 s.
	Timeout time.Duration `json:"timeout_ns"`
	// PollEvery and PollFor: how often and how long to ask what became of a
	// grab. Defaults 100 ms and 15 s.
	PollEvery time.Duration `json:"poll_every_ns"`
	PollFor   time.Duration `json:"poll_for_ns"`
	// Settle is how long the verdict waits at most for the shop to stand
	// still: while holds expire under its hands no two counts agree. Default
	// 30 s.
	Settle time.Duration `json:"settle_ns"`

	// Strike, if not nil, puts one of the nodes out of action, StrikeAfter the
	// start of the rush; it returns once that is done. The report says how long it
	// took until a unit was granted to a shopper who came after that. The node must
	// not be the only one in Addrs, nor in Admin.
	Strike      func() error  `json:"-"`
	StrikeAfter time.Duration `json:"strike_after_ns"`

	// Progress is where progress goes; nil for none. On a terminal it is a bar,
	// else a line every two seconds.
	Progress io.Writer `json:"-"`
	// ForceBar shows the bar whatever Progress is.
	ForceBar bool `json:"-"`
}

// DefaultRushConfig returns the defaults; addresses and listings are missing.
func DefaultRushConfig() RushConfig {
	return RushConfig{
		Shoppers:           10_000,
		Quantity:           1,
		LimitPerSession:    1,
		Connections:        128,
		AgainShare:         0.05,
		AnewShare:          0.05,
		AgainWithin:        50 * time.Millisecond,
		SecondListingShare: 0.05,
		PayShare:           0.7,
		CancelShare:        0.1,
		PayTwiceShare:      0.1,
		DecideWithin:       500 * time.Millisecond,
		ReturnShare:        0.1,
		Returns:            2,
		ReturnAfter:        time.Second,
		Timeout:            5 * time.Second,
		PollEvery:          100 * time.Millisecond,
		PollFor:            15 * time.Second,
		Settle:             30 * time.Second,
	}
}

// Bounds of a run.
const (
	maxShoppers    = 100_000_000
	maxConnections = 20_000
	maxReturns     = 100
	maxRate        = 10_000_000
)

// Validate reports every problem at once, joined.
func (c *RushConfig) Validate() error {
	var all []error
	no := func(format string, args ...any) { all = append(all, fmt.Errorf(format, args...)) }
	if len(c.Addrs) == 0 && c.StartNode == nil {
		no("addr: none given, and no node to start")
	}
	for _, a := range c.Addrs {
		if !strings.Contains(a, ":") {
			no("addr %q: want HOST:PORT", a)
		}
	}
	if len(c.Addrs) > 0 {
		for a := range strings.SplitSeq(c.Admin, ",") {
			if !strings.Contains(a, ":") {
				no("admin %q: want HOST:PORT; without the shop's own counts there is no verdict", a)
			}
		}
	}
	if c.Cashier != "" && !strings.Contains(c.Cashier, ":") {
		no("cashier %q: want HOST:PORT", c.Cashier)
	}
	if c.Cashier != "" && len(c.Addrs) == 0 {
		no("cashier %q: it calls back to a shop that runs already; give addr too", c.Cashier)
	}
	if len(c.Listings) == 0 {
		no("listing: at least one SESSION/SKU")
	}
	seen := make(map[string]bool)
	for _, l := range c.Listings {
		if err := l.check(); err != nil {
			all = append(all, err)
		}
		if l.Weight < 0 {
			no("listing %s: weight %g is below 0", l, l.Weight)
		}
		if seen[l.String()] {
			no("listing %s: named twice", l)
		}
		seen[l.String()] = true
	}
	if strings.ContainsFunc(c.ShopperPrefix, func(r rune) bool { return r <= ' ' || r > '~' }) {
		no("shopper prefix %q: printable ASCII without spaces only", c.ShopperPrefix)
	}
	whole := func(name string, v, least, most int) {
		if v < least || v > most {
			no("%s %d: want %d to %d", name, v, least, most)
		}
	}
	whole("shoppers", c.Shoppers, 1, maxShoppers)
	whole("connections", c.Connections, 1, maxConnections)
	whole("quantity", c.Quantity, 1, 1_000_000)
	whole("limit per session", c.LimitPerSession, 0, 1_000_000)
	whole("returns", c.Returns, 0, maxReturns)
	if !(c.Rate >= 0 && c.Rate <= maxRate) {
		no("rate %g: want 0 (closed loop) to %d a second", c.Rate, maxRate)
	}
	share := func(name string, v float64) {
		if !(v >= 0 && v <= 1) {
			no("%s %g: want 0 to 1", name, v)
		}
	}
	share("again share", c.AgainShare)
	share("anew share", c.AnewShare)
	share("second listing share", c.SecondListingShare)
	share("pay share", c.PayShare)
	share("cancel share", c.CancelShare)
	share("pay twice share", c.PayTwiceShare)
	share("return share", c.ReturnShare)
	if c.PayShare+c.CancelShare > 1 {
		no("pay share %g and cancel share %g: together over 1", c.PayShare, c.CancelShare)
	}
	span := func(name string, v, least time.Duration) {
		if v < least || v > time.Hour {
			no("%s %v: want %v to 1h", name, v, least)
		}
	}
	span("again within", c.AgainWithin, 0)
	span("decide within", c.DecideWithin, 0)
	span("return after", c.ReturnAfter, 0)
	span("timeout", c.Timeout, time.Millisecond)
	span("poll every", c.PollEvery, time.Millisecond)
	span("poll for", c.PollFor, 0)
	span("settle", c.Settle, 0)
	span("strike after", c.StrikeAfter, 0)
	return errors.Join(all...)
}

func (c *RushConfig) totalWeight() float64 {
	sum := 0.0
	for _, l := range c.Listings {
		sum += l.weight()
	}
	return sum
}

// listingOf finds a listing's index; otherwise if it is not of this run.
func (c *RushConfig) listingOf(session, sku string, otherwise int) int {
	for i, l := range c.Listings {
		if l.Session == session && l.SKU == sku {
			return i
		}
	}
	return otherwise
}
