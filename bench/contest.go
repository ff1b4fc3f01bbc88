package bench

import (
	"context"
	"errors"
	"fmt"
	"io"
	"math"
	"path/filepath"
	"strconv"
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

// part gives the part of d with a name; nil if there is none.
func (d *Defence) part(name string) *bool {
	switch name {
	case "rates":
		return &d.Rates
	case "ticket":
		return &d.Ticket
	case "quota":
		return &d.Quota
	case "reservation":
		return &d.Reservation
	case "risk":
		return &d.Risk
	case "draw":
		return &d.Draw
	case "waitlist":
		return &d.Waitlist
	}
	return nil
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
	for _, name := range parts {
		part := d.part(name)
		if part == nil {
			return d, fmt.Errorf("defence %q: %q is none of %s; also none and all", text, name,
				strings.Join(defenceParts, ", "))
		}
		*part = true
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

// ContestConfig says who comes for what. Start from [DefaultContestConfig].
type ContestConfig struct {
	// StartShop starts a shop with a defence and nothing else that holds a crowd
	// back. Reservations and risk lists the contest brings in itself.
	StartShop func(ctx context.Context, d Defence) (ContestShop, error) `json:"-"`
	// Defences are tried one after the other, each against bots from each of
	// Networks. Defaults: [DefaultDefences], shared and rented.
	Defences []Defence `json:"defences"`
	Networks []string  `json:"networks"`

	// Units of the listing. Default 500.
	Units int64 `json:"units"`
	// Bots are accounts. They ask from the opening's first millisecond on, without
	// a pause, until Requests were sent. Defaults 5,000 and 1,000,000.
	Bots     int   `json:"bots"`
	Requests int64 `json:"requests"`
	// Machines is how many addresses they have in the shared network. Default 100.
	Machines int `json:"machines"`
	// BotConnections carry Pipeline requests of theirs at a time each. Defaults 64
	// and 16.
	BotConnections int `json:"bot_connections"`
	Pipeline       int `json:"pipeline"`
	// BotCores solve the bots' challenges, one a time each. They are of the machine
	// that the shop runs on, so a farm has more: see the report's mean time of one.
	// Default 1.
	BotCores int `json:"bot_cores"`
	// KnownShare of the bots are on the risk lists, and ReservedShare have
	// reserved, one regardless of the other. Defaults 0.9 and 0.1.
	KnownShare    float64 `json:"known_share"`
	ReservedShare float64 `json:"reserved_share"`

	// People come within PeopleWithin of the opening, each with an address of their
	// own, ask once, and ask again a second or two after a no, up to Tries times in
	// all. All have reserved. Defaults 2,000, 3 s and 5.
	People       int           `json:"people"`
	PeopleWithin time.Duration `json:"people_within_ns"`
	Tries        int           `json:"tries"`
	// Patience is how long a person in line or in a draw looks what became of it.
	// Default 10 s.
	Patience time.Duration `json:"patience_ns"`

	// CancelShare of those who get a unit, bots or people, give it back a second
	// later; but not where there is a draw and no line, for what comes back after a
	// draw says nothing about the draw. Default 0.05.
	CancelShare float64 `json:"cancel_share"`
	// DrawRounds is how often the draw alone is held in each network: one is won by
	// chance. Default 4.
	DrawRounds int `json:"draw_rounds"`
	// Seed is what all choices derive from. Default 0: made from the clock.
	Seed uint64 `json:"seed"`
	// Timeout is how long to wait for an answer. Default 10 s.
	Timeout time.Duration `json:"timeout_ns"`
	// ResultsDir is where [ContestReport.Save] writes. Default bench/results.
	ResultsDir string `json:"-"`
	// Progress is where a line every two seconds goes; nil for none.
	Progress io.Writer `json:"-"`
}

// DefaultContestConfig returns the defaults; StartShop is missing.
func DefaultContestConfig() ContestConfig {
	return ContestConfig{
		Defences: DefaultDefences(), Networks: []string{NetworkShared, NetworkRented},
		Units: 500, Bots: 5_000, Requests: 1_000_000, Machines: 100, BotConnections: 64, Pipeline: 16, BotCores: 1,
		KnownShare: 0.9, ReservedShare: 0.1, People: 2_000, PeopleWithin: 3 * time.Second, Tries: 5,
		Patience:    10 * time.Second,
		CancelShare: 0.05, DrawRounds: 4, Timeout: 10 * time.Second, ResultsDir: filepath.Join("bench", "results"),
	}
}

// Validate reports every problem at once, joined.
func (c *ContestConfig) Validate() error {
	var all []error
	no := func(format string, args ...any) { all = append(all, fmt.Errorf(format, args...)) }
	if c.StartShop == nil {
		no("no way to start a shop")
	}
	if len(c.Defences) == 0 {
		no("defences: at least one")
	}
	if len(c.Networks) == 0 {
		no("networks: at least one of %s and %s", NetworkShared, NetworkRented)
	}
	for _, n := range c.Networks {
		if n != NetworkShared && n != NetworkRented {
			no("network %q: want %s or %s", n, NetworkShared, NetworkRented)
		}
	}
	whole := func(name string, v, least, most int64) {
		if v < least || v > most {
			no("%s %d: want %d to %d", name, v, least, most)
		}
	}
	whole("units", c.Units, 1, 1_000_000)
	whole("bots", int64(c.Bots), 1, 60_000)
	whole("requests", c.Requests, 1, 1_000_000_000)
	whole("machines", int64(c.Machines), 1, 60_000)
	whole("bot connections", int64(c.BotConnections), 1, maxConnections)
	whole("pipeline", int64(c.Pipeline), 1, 1_000)
	whole("bot cores", int64(c.BotCores), 1, 1_000)
	whole("people", int64(c.People), 1, maxConnections)
	whole("tries", int64(c.Tries), 1, int64(clickUntold)-1)
	whole("draw rounds", int64(c.DrawRounds), 1, 1_000)
	share := func(name string, v float64) {
		if !(v >= 0 && v <= 1) {
			no("%s %g: want 0 to 1", name, v)
		}
	}
	share("known share", c.KnownShare)
	share("reserved share", c.ReservedShare)
	share("cancel share", c.CancelShare)
	span := func(name string, v, least, most time.Duration) {
		if v < least || v > most {
			no("%s %v: want %v to %v", name, v, least, most)
		}
	}
	span("people within", c.PeopleWithin, 0, time.Hour)
	span("patience", c.Patience, 0, time.Hour)
	span("timeout", c.Timeout, 100*time.Millisecond, time.Minute)
	return errors.Join(all...)
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
	if cfg.Seed == 0 {
		cfg.Seed = uint64(time.Now().UnixMicro())
	}
	report := &ContestReport{Config: cfg, Environment: environment()}
	seed := cfg.Seed
	for _, network := range cfg.Networks {
		for _, d := range cfg.Defences {
			row := ContestRow{Defence: d, Network: network}
			for range cfg.rounds(d) {
				if ctx.Err() != nil {
					break
				}
				seed++
				round, err := holdContest(ctx, &cfg, d, network, seed)
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
func contestPrefix(seed uint64) string { return "crowd-" + strconv.FormatUint(seed, 36) + "-" }

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
