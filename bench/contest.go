package bench

import (
	"context"
	"fmt"
	"io"
	"math"
	"slices"
	"strings"
	"time"
)

// Defence is what holds the crowd back in a contest. The zero value is nothing.
type Defence struct {
	// Name is its text form: the parts with "+" between them, "none" or "all".
	Name        string `json:"name"`
	Rates       bool   `json:"rates"`       // rate limits by shopper and address
	Ticket      bool   `json:"ticket"`      // tickets for proof of work
	Quota       bool   `json:"quota"`       // an admission quota
	Reservation bool   `json:"reservation"` // only who reserved beforehand
	Risk        bool   `json:"risk"`        // risk lists that know most bots
	Draw        bool   `json:"draw"`        // who comes in the first seconds is drawn
	Waitlist    bool   `json:"waitlist"`    // what comes back goes to those in line
}

// defenceParts are the parts of a defence, by name.
var defenceParts = []string{"rates", "ticket", "quota", "reservation", "risk", "draw", "waitlist"}

// ParseDefence reads a defence's text form.
func ParseDefence(text string) (d Defence, err error) {
	d.Name = text
	parts := strings.Split(text, "+")
	switch text {
	case "none":
		return d, nil
	case "all":
		parts = defenceParts
	}
	fields := []*bool{&d.Rates, &d.Ticket, &d.Quota, &d.Reservation, &d.Risk, &d.Draw, &d.Waitlist}
	for _, name := range parts {
		i := slices.Index(defenceParts, name)
		if i < 0 {
			return d, fmt.Errorf("defence %q: %q is none of %s; also none and all", text, name,
				strings.Join(defenceParts, ", "))
		}
		*fields[i] = true
	}
	return d, nil
}

// DefaultDefences are nothing, each part alone, what works best together, and all.
func DefaultDefences() (all []Defence) {
	names := append([]string{"none"}, defenceParts...)
	for _, name := range append(names, "reservation+risk", "draw+reservation+risk", "all") {
		d, err := ParseDefence(name)
		if err != nil {
			panic(err) // the names are ours
		}
		all = append(all, d)
	}
	return all
}

// Networks that bots come from.
const (
	// NetworkShared: a few machines, each with an address that all its accounts
	// share.
	NetworkShared = "shared"
	// NetworkRented: a rented address for every account.
	NetworkRented = "rented"
)

// ContestShop is a shop that a contest is held at. Its listing opens some seconds
// after it was given: there must be time to reserve.
type ContestShop struct {
	HTTPAddr  string       // the shoppers' address; it trusts X-Forwarded-For from us
	AdminAddr string       // the operators' address
	Listing   Listing      // with the contest's units, one a shopper
	Close     func() error // stops it
}

// ContestConfig says who comes for what. Start from [DefaultContestConfig];
// [ContestConfig.Settings] says what each setting means.
type ContestConfig struct {
	// StartShop starts a shop with a defence and nothing else that holds a crowd
	// back. Reservations and risk lists the contest brings in itself.
	StartShop func(ctx context.Context, d Defence) (ContestShop, error) `json:"-"`
	// Defences are tried one after the other, each against bots from each of
	// Networks. Default: [DefaultDefences].
	Defences []Defence `json:"defences"`
	Networks []string  `json:"networks"`

	Units int64 `json:"units"`
	// Bots are accounts. They ask from the opening's first millisecond on, without
	// a pause, until Requests were sent.
	Bots           int   `json:"bots"`
	Requests       int64 `json:"requests"`
	Machines       int   `json:"machines"`
	BotConnections int   `json:"bot_connections"`
	Pipeline       int   `json:"pipeline"`
	// BotCores are of the machine that the shop runs on, so a farm has more: see the
	// report's mean time of one challenge.
	BotCores int `json:"bot_cores"`
	// A bot may be known and have reserved: one regardless of the other.
	KnownShare    float64 `json:"known_share"`
	ReservedShare float64 `json:"reserved_share"`

	// People have an address each, ask once, and again a second or two after a no.
	// All have reserved.
	People       int           `json:"people"`
	PeopleWithin time.Duration `json:"people_within_ns"`
	Tries        int           `json:"tries"`
	Patience     time.Duration `json:"patience_ns"`

	// CancelShare of those who get a unit, bots or people, give it back a second
	// later; but not where there is a draw and no line, for what comes back after a
	// draw says nothing about the draw.
	CancelShare float64       `json:"cancel_share"`
	DrawRounds  int           `json:"draw_rounds"` // one is won by chance
	Seed        uint64        `json:"seed"`
	Timeout     time.Duration `json:"timeout_ns"`
	ResultsDir  string        `json:"-"`
	// Progress is where a line every two seconds goes; nil for none.
	Progress io.Writer `json:"-"`
}

// DefaultContestConfig returns the defaults; StartShop is missing.
func DefaultContestConfig() ContestConfig {
	c := defaults[ContestConfig]()
	c.Defences = DefaultDefences()
	return c
}

// Settings are all that can be set from outside, but for the defences.
func (c *ContestConfig) Settings() []Setting {
	return []Setting{
		free(&c.Networks, "networks", []string{NetworkShared, NetworkRented}, "where bots come from: shared, rented"),
		bounded(&c.Units, "units", 500, 1, 1_000_000, "units of the listing"),
		bounded(&c.Bots, "bots", 5_000, 1, 60_000, "bots' accounts"),
		bounded(&c.Requests, "requests", 1_000_000, 1, 1_000_000_000, "requests that bots send"),
		bounded(&c.Machines, "machines", 100, 1, 60_000, "addresses that bots have in the shared network"),
		bounded(&c.BotConnections, "bot-connections", 64, 1, maxConnections, "bots' connections"),
		bounded(&c.Pipeline, "pipeline", 16, 1, 1_000, "requests that bots send at a time over each"),
		bounded(&c.BotCores, "bot-cores", 1, 1, 1_000, "bots' challenges that are solved at a time"),
		share(&c.KnownShare, "known-share", 0.9, "share of the bots that are on the risk lists"),
		share(&c.ReservedShare, "reserved-share", 0.1, "share of the bots that have reserved"),
		bounded(&c.People, "people", 2_000, 1, maxConnections, "people who come"),
		span(&c.PeopleWithin, "people-within", 3*time.Second, 0, "how long after the opening the last one comes"),
		bounded(&c.Tries, "tries", 5, 1, int(clickUntold)-1, "how often a person asks at most"),
		span(&c.Patience, "patience", 10*time.Second, 0, "how long a person waits in line or for a draw"),
		share(&c.CancelShare, "cancel-share", 0.05, "share of those granted who give the unit back, but after a draw "+
			"without a line"),
		bounded(&c.DrawRounds, "draw-rounds", 4, 1, 1_000, "how often the draw alone is held in each network"),
		free(&c.Seed, "seed", 0, "what all choices derive from; 0 makes one"),
		bounded(&c.Timeout, "timeout", 10*time.Second, 100*time.Millisecond, time.Minute, "longest to wait for "+
			"an answer"),
		resultsDir(&c.ResultsDir),
	}
}

// Validate reports every problem at once, joined.
func (c *ContestConfig) Validate() error {
	var all problems
	all.unless(c.StartShop != nil, "no way to start a shop")
	all.unless(len(c.Defences) > 0, "defences: at least one")
	all.unless(len(c.Networks) > 0, "networks: at least one of %s and %s", NetworkShared, NetworkRented)
	for _, n := range c.Networks {
		all.unless(n == NetworkShared || n == NetworkRented, "network %q: want %s or %s", n, NetworkShared,
			NetworkRented)
	}
	all.check(c.Settings())
	return all.join()
}

// rounds is how often a defence is tried in a network.
func (c *ContestConfig) rounds(d Defence) int {
	if d.Name == "draw" {
		return c.DrawRounds
	}
	return 1
}

// fairShare is people's part of the accounts.
func (c *ContestConfig) fairShare() float64 {
	return float64(c.People) / float64(c.People+c.Bots)
}

// Contest holds people against bots for a few units, once for each defence and
// network, and judges each time what everybody was told. Cancelling ctx ends it
// with the contest under way.
func Contest(ctx context.Context, cfg ContestConfig) (*ContestReport, error) {
	if err := cfg.Validate(); err != nil {
		return nil, err
	}
	seed(&cfg.Seed)
	report := &ContestReport{Config: cfg, Environment: environment(workloadCrowd)}
	roundSeed := cfg.Seed
	for _, network := range cfg.Networks {
		for _, d := range cfg.Defences {
			row := ContestRow{Defence: d, Network: network}
			for range cfg.rounds(d) {
				if ctx.Err() != nil {
					break
				}
				roundSeed++
				round, err := holdContest(ctx, &cfg, d, network, roundSeed)
				if err != nil {
					return nil, fmt.Errorf("%s, %s addresses: %w", d.Name, network, err)
				}
				row.Rounds = append(row.Rounds, *round)
				row.sumUp()
				if cfg.Progress != nil {
					fmt.Fprintf(cfg.Progress, "%s %s, %s addresses: people got %.1f%% of the units\n",
						mark(round.Verdict.OK), d.Name, network, 100*round.PeopleShare)
				}
			}
			if len(row.Rounds) > 0 {
				report.Rows = append(report.Rows, row)
			}
		}
	}
	report.judge()
	return report, nil
}

// A draw's spread around the fair share, in units, with n of total accounts
// people's (hypergeometric).
func drawSpread(units int64, people, total int) float64 {
	p := float64(people) / float64(total)
	return math.Sqrt(float64(units) * p * (1 - p) * float64(int64(total)-units) / float64(total-1))
}

// contestant names: their numbers follow.
func contestPrefix(seed uint64) string { return seeded("crowd", seed) + "-" }

// botAddr is the address that bot number n of all has in a network; personAddr the
// one of a person. Both are of blocks kept for private networks.
func (c *ContestConfig) botAddr(network string, n int) string {
	if network == NetworkShared {
		n %= c.Machines
		return fmt.Sprintf("10.1.%d.%d", n>>8, n&255)
	}
	return fmt.Sprintf("10.%d.%d.%d", 2+n>>16, n>>8&255, n&255)
}

func personAddr(n int) string { return fmt.Sprintf("172.%d.%d.%d", 16+n>>16, n>>8&255, n&255) }
