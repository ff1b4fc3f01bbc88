package bench

import (
	"context"
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
// [DefaultRushConfig]; [RushConfig.Settings] says what each setting means. All of it
// but the functions goes into the report.
type RushConfig struct {
	// Addrs speak plain HTTP. Connections spread over them evenly.
	Addrs []string `json:"addrs"`
	Admin string   `json:"admin"`
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
	// Cashier's clock counts as ours. Empty: its callbacks are sent from here.
	Cashier string `json:"cashier,omitempty"`

	Shoppers      int       `json:"shoppers"`
	ShopperPrefix string    `json:"shopper_prefix"` // their number follows
	Listings      []Listing `json:"listings"`
	Quantity      int       `json:"quantity"`
	Waitlist      bool      `json:"waitlist"`
	// LimitPerSession is across a session's listings; the verdict holds the shop to it.
	LimitPerSession int `json:"limit_per_session"`

	Rate float64 `json:"rate"`
	// More Connections make the closed loop deeper and, on shared cores, the
	// generator costlier.
	Connections int    `json:"connections"`
	Seed        uint64 `json:"seed"`
	// throng sends first grabs on one thread, in the closed loop.
	throng bool

	AgainShare         float64       `json:"again_share"`
	AnewShare          float64       `json:"anew_share"`
	AgainWithin        time.Duration `json:"again_within_ns"` // of the first click
	SecondListingShare float64       `json:"second_listing_share"`
	// TwoNodes sends both of these at once, each over a connection of its own,
	// the second to the next one of Addrs. Else the second goes out with whichever
	// connection is free.
	TwoNodes bool `json:"two_nodes"`
	// Together at most 1; who does neither lets their hold run out.
	PayShare      float64       `json:"pay_share"`
	CancelShare   float64       `json:"cancel_share"`
	PayTwiceShare float64       `json:"pay_twice_share"`
	DecideWithin  time.Duration `json:"decide_within_ns"`
	ReturnShare   float64       `json:"return_share"`
	Returns       int           `json:"returns"`
	ReturnAfter   time.Duration `json:"return_after_ns"`

	// Timeout is kept to within a second.
	Timeout   time.Duration `json:"timeout_ns"`
	PollEvery time.Duration `json:"poll_every_ns"`
	PollFor   time.Duration `json:"poll_for_ns"`
	// Settle bounds the wait: while holds expire no two counts agree.
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
func DefaultRushConfig() RushConfig { return defaults[RushConfig]() }

// Bounds of a run.
const (
	maxShoppers    = 100_000_000
	maxConnections = 20_000
)

// Settings are all that can be set from outside.
func (c *RushConfig) Settings() []Setting {
	return []Setting{
		free(&c.Addrs, "addr", nil, "shoppers' `addresses`, separated by commas: connections spread over them; none "+
			"starts a node in this process"),
		free(&c.Admin, "admin", "", "operators' `addresses`, separated by commas, for the verdict; one that is down "+
			"is passed over (required with --addr)"),
		free(&c.Cashier, "cashier", "", "`address` of a \"doorbuster cashier\" that calls back to the same shop: who "+
			"pays carries their token there"),
		bounded(&c.Shoppers, "shoppers", 10_000, 1, maxShoppers, "how many distinct shoppers come"),
		bounded(&c.Rate, "rate", 0, 0, 1e7, "arrivals a second (open loop); 0 = as fast as the connections carry them"),
		bounded(&c.Connections, "connections", 128, 1, maxConnections, "requests under way at most"),
		free(&c.Seed, "seed", 0, "what all choices derive from; 0 = from the clock, and reported"),
		free(&c.ShopperPrefix, "shopper-prefix", "", "begins every shopper's name; must be new to the shop (default "+
			"rush-SEED-)"),
		bounded(&c.Quantity, "quantity", 1, 1, 1_000_000, "units each asks for"),
		bounded(&c.LimitPerSession, "limit-per-session", 1, 0, 1_000_000, "units a shopper may have in the session, "+
			"as planned; 0 = no limit"),
		share(&c.AgainShare, "again-share", 0.05, "share of shoppers who click again with the same key"),
		share(&c.AnewShare, "anew-share", 0.05, "share of shoppers who click again with another key"),
		span(&c.AgainWithin, "again-within", 50*time.Millisecond, 0, "how soon they click again"),
		share(&c.SecondListingShare, "second-listing-share", 0.05, "share who try another listing of the session at "+
			"the same instant"),
		share(&c.PayShare, "pay-share", 0.7, "share of those granted who pay (without --cashier by an unsigned "+
			"callback, which only a node in --dev takes)"),
		share(&c.CancelShare, "cancel-share", 0.1, "share of those granted who give their units back"),
		share(&c.PayTwiceShare, "pay-twice-share", 0.1, "share of payments that are told twice"),
		span(&c.DecideWithin, "decide-within", 500*time.Millisecond, 0, "longest that a shopper holds before paying "+
			"or cancelling"),
		share(&c.ReturnShare, "return-share", 0.1, "share of shoppers who come back after sold out"),
		bounded(&c.Returns, "returns", 2, 0, 100, "how often they come back at most"),
		span(&c.ReturnAfter, "return-after", time.Second, 0, "about how much later"),
		span(&c.Timeout, "timeout", 5*time.Second, time.Millisecond, "wait for an answer, then ask what became of it"),
		span(&c.PollEvery, "poll-every", 100*time.Millisecond, time.Millisecond, "how often to ask about a grab that "+
			"is processing"),
		span(&c.PollFor, "poll-for", 15*time.Second, 0, "how long"),
		span(&c.Settle, "settle", 30*time.Second, 0, "longest that the verdict waits for the shop to stand still"),
		span(&c.StrikeAfter, "kill-after", 5*time.Second, 0, "when to kill the process of --kill-pid, from the start"),
	}
}

// Validate reports every problem at once, joined.
func (c *RushConfig) Validate() error {
	var all problems
	all.unless(len(c.Addrs) > 0 || c.StartNode != nil, "addr: none given, and no node to start")
	hasPort := func(addr string) bool { return strings.Contains(addr, ":") }
	for _, a := range c.Addrs {
		all.unless(hasPort(a), "addr %q: want HOST:PORT", a)
	}
	for a := range strings.SplitSeq(c.Admin, ",") {
		all.unless(hasPort(a) || len(c.Addrs) == 0,
			"admin %q: want HOST:PORT; without the shop's own counts there is no verdict", a)
	}
	if c.Cashier != "" {
		all.unless(hasPort(c.Cashier), "cashier %q: want HOST:PORT", c.Cashier)
		all.unless(len(c.Addrs) > 0, "cashier %q: it calls back to a shop that runs already; give addr too", c.Cashier)
	}
	all.unless(len(c.Listings) > 0, "listing: at least one SESSION/SKU")
	seen := make(map[string]bool)
	for _, l := range c.Listings {
		if err := l.check(); err != nil {
			all = append(all, err)
		}
		all.unless(l.Weight >= 0, "listing %s: weight %g is below 0", l, l.Weight)
		all.unless(!seen[l.String()], "listing %s: named twice", l)
		seen[l.String()] = true
	}
	all.unless(!strings.ContainsFunc(c.ShopperPrefix, func(r rune) bool { return r <= ' ' || r > '~' }),
		"shopper prefix %q: printable ASCII without spaces only", c.ShopperPrefix)
	all.check(c.Settings())
	all.unless(!(c.PayShare+c.CancelShare > 1), "pay share %g and cancel share %g: together over 1", c.PayShare,
		c.CancelShare)
	return all.join()
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
