package bench

import (
	"context"
	"fmt"
	"io"
	"time"

	"doorbuster/engine"
)

// What must hold of bargains.
const (
	mustCutP99     = 10.0 // ms, of cuts among idle bargains
	mustIdleStart  = 4.0  // seconds
	mustOfFriends  = 0.05 // that their mean may be from the plan
	mustBeByChance = 1e-4 // the least chance of a distribution that is taken for the rule's
)

// BargainConfig says how many bargains are started, and how they are helped. Start from
// [DefaultBargainConfig].
type BargainConfig struct {
	// StartNode starts the n-th node (from 0) on its own directory and returns without
	// waiting until it is ready. Its addresses are the same for all runs.
	StartNode func(ctx context.Context, n int) (CrashNode, error) `json:"-"`
	// ApplyPlan applies a plan through an operators' address.
	ApplyPlan func(ctx context.Context, admin string, plan []byte) error `json:"-"`
	// Nodes are the ids of the cluster's nodes.
	Nodes []string `json:"nodes"`

	Bargains    int           `json:"bargains"`
	Helps       int           `json:"helps"`
	Friends     int           `json:"friends"`
	PerDay      int           `json:"per_day"`
	Kills       int           `json:"kills"`
	Rate        float64       `json:"rate"`
	Connections int           `json:"connections"`
	Idle        int           `json:"idle"`
	IdleRate    float64       `json:"idle_rate"`
	IdleFor     time.Duration `json:"idle_for_ns"`
	Seed        uint64        `json:"seed"`
	BackWithin  time.Duration `json:"back_within_ns"`
	Settle      time.Duration `json:"settle_ns"`
	ResultsDir  string        `json:"-"`
	// Progress is where lines go; nil for none.
	Progress io.Writer `json:"-"`
}

// DefaultBargainConfig returns the defaults; nodes and functions are missing.
func DefaultBargainConfig() BargainConfig { return defaults[BargainConfig]() }

// Settings are all that can be set from outside, but for the nodes.
func (c *BargainConfig) Settings() []Setting {
	const most = 10_000_000
	return []Setting{
		bounded(&c.Bargains, "bargains", 10_000, 1, most, "bargains that are started, of two listings"),
		bounded(&c.Helps, "helps", 200_000, 1, most, "help that is asked for: of friends, of some twice, too late, by "+
			"forged codes, and of shoppers for themselves; what is missing to the floor comes besides"),
		bounded(&c.Friends, "friends", 15, 2, 500, "by about how many friends the floor is planned to be reached"),
		bounded(&c.PerDay, "per-day", 5, 0, 100, "cuts that a friend may make a day; 0 = any number"),
		bounded(&c.Kills, "kills", 2, 0, 1000, "how often the leader is killed (SIGKILL), and started again"),
		bounded(&c.Rate, "rate", 2000, 0, 1e6, "starts and helps a second (open loop); 0 = as fast as the connections "+
			"carry them"),
		bounded(&c.Connections, "connections", 128, 1, maxConnections, "requests under way at most"),
		bounded(&c.Idle, "idle", 0, 0, most, "bargains that are started before, with cuts of random ones among them"),
		bounded(&c.IdleRate, "idle-rate", 5000, 1, 1e6, "such cuts a second (open loop)"),
		span(&c.IdleFor, "idle-for", 20*time.Second, time.Millisecond, "how long they go on"),
		free(&c.Seed, "seed", 0, "what all choices derive from; 0 makes one"),
		span(&c.BackWithin, "back-within", time.Minute, 100*time.Millisecond, "longest that a node may take to catch "+
			"up"),
		span(&c.Settle, "settle", 30*time.Second, 0, "longest that the verdict waits for the nodes to agree"),
		resultsDir(&c.ResultsDir),
	}
}

// Validate reports every problem at once, joined.
func (c *BargainConfig) Validate() error {
	var all problems
	all.unless(c.StartNode != nil && c.ApplyPlan != nil, "no way to start a node or to apply a plan")
	n := len(c.Nodes)
	all.unless(n >= 1 && n <= 7, "nodes %v: want 1 to 7", c.Nodes)
	all.unless(n >= 3 || c.Kills == 0, "kills %d of %d nodes: fewer than 3 can't lose one", c.Kills, n)
	all.check(c.Settings())
	return all.join()
}

// What a bargain is of, by place in the plan. Of the first, friends' cuts all have weight
// 100, it is bought at any price, and there are fewer units than shoppers who come for one.
// Of the second, new friends cut more, a unit is set aside, and it is bought at the floor.
const (
	skuPlain = iota
	skuAside
	bargainSKUs
)

const bargainPrice, bargainFloor, bargainSpread = 4900, 100, 50

// cutRules are by SKU.
func (c *BargainConfig) cutRules() map[string]*engine.CutRule {
	rule := engine.CutRule{Friends: uint32(c.Friends), Spread: bargainSpread, PerDay: uint32(c.PerDay)}
	aside := rule
	aside.AtFloor, aside.TakeStock = true, true
	return map[string]*engine.CutRule{"plain": &rule, "aside": &aside, "idle": &rule}
}

// offers are what bargains are of.
func (c *BargainConfig) offers() []offer {
	session, half := seeded("bargain", c.Seed), int64(c.Bargains+1)/2
	return []offer{
		skuPlain: {Listing: Listing{Session: session, SKU: "plain"}, stock: max(1, half*88/100)},
		skuAside: {Listing: Listing{Session: session, SKU: "aside"}, stock: max(1, half)},
	}
}

// idle is what the idle bargains are of.
func (c *BargainConfig) idle() Listing { return Listing{Session: seeded("idle", c.Seed), SKU: "idle"} }

// plan puts them up. Each session has a unit that nobody comes for, as it ends when it has
// sold everything.
func (c *BargainConfig) plan() []byte {
	session := func(id, listings string) string {
		return fmt.Sprintf(`      - id: %s
        start: now
        duration: 24h
        pay_within: 12h
        pay_grace: 0s
        limit_per_shopper: %d
        admission_multiple: 0
        listings:
          - {sku: unwanted, price: 100, stock: 1}
%s`, id, bargainSKUs, listings)
	}
	listing := func(sku string, stock int64, rest string) string {
		return fmt.Sprintf("          - {sku: %s, price: %d, stock: %d, limit_per_shopper: 1, play: {floor: %d, "+
			"helpers: %d, %s}}\n", sku, bargainPrice, stock, bargainFloor, c.Friends, rest)
	}
	offers := c.offers()
	all := session(offers[0].Session,
		listing("plain", offers[skuPlain].stock, fmt.Sprintf("kind: bargain, spread: %d, new_friends: 100, per_day: %d",
			bargainSpread, c.PerDay))+
			listing("aside", offers[skuAside].stock, fmt.Sprintf("kind: set-aside, per_day: %d", c.PerDay)))
	products := []string{"unwanted", "plain", "aside"}
	if c.Idle > 0 {
		idle := c.idle()
		products = append(products, idle.SKU)
		rest := fmt.Sprintf("kind: bargain, spread: %d, new_friends: 100, per_day: 0", bargainSpread)
		all += session(idle.Session, listing(idle.SKU, int64(c.Idle), rest))
	}
	text := "products:\n"
	for _, p := range products {
		text += fmt.Sprintf("  - {id: %s, list_price: 4900, currency: CNY}\n", p)
	}
	return []byte(text + fmt.Sprintf(`plays:
  - id: set-aside
    parameters:
      floor: {type: money}
      helpers: {type: integer}
      per_day: {type: integer}
    price: {kind: cut, floor: $floor}
    cut: {friends: $helpers, spread: %d, weight: "new_friend ? %d : 100", per_day: $per_day, window: 24h,
      at_floor: true, stock: start}
sales:
  - id: bargain
    name: bargain
    timezone: UTC
    sessions:
`, bargainSpread, newFriendWeight) + all)
}

// newFriendWeight is of cuts of what is set aside.
const newFriendWeight = 150

// drill is the crowd's side of the run.
func (c *BargainConfig) drill(report *DrillReport) drill {
	d := newDrill(report, workloadBargain, c.Seed, c.offers())
	r := &d.rush
	r.Shoppers, r.Rate, r.Connections, r.Progress = c.shoppers(), c.Rate, c.Connections, c.Progress
	r.LimitPerSession, r.CancelShare, r.DecideWithin = bargainSKUs, 0, 2*time.Second
	r.Settle = c.Settle
	return d
}

// shoppers is how many there are: owners, who start bargains and help, and friends, who help
// only. Others have numbers beyond them.
func (c *BargainConfig) shoppers() int { return max(c.Bargains, c.Helps/4) + 2 }
