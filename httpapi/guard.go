package httpapi

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"math"
	"math/bits"
	"net"
	"net/netip"
	"strconv"
	"sync"
	"sync/atomic"
	"time"

	"github.com/valyala/fasthttp"

	"doorbuster/engine"
	"doorbuster/httpapi/auth"
	"doorbuster/httpapi/challenge"
	"doorbuster/httpapi/personal"
	"doorbuster/httpapi/ratelimit"
	"doorbuster/httpapi/report"
	"doorbuster/httpapi/risk"
	"doorbuster/httpapi/roster"
	"doorbuster/httpapi/ticket"
)

// GuardConfig says how the crowd is held back at the door. The zero value limits
// no rates, trusts no proxy and asks no risk service.
type GuardConfig struct {
	// ShopperRate and AddressRate are how often one shopper, on this node, and one
	// address, on all nodes whose guards Tell each other, may grab, or ask for
	// challenges and tickets. What the gate answers without asking the guard (sold
	// out, not open) does not count.
	ShopperRate, AddressRate ratelimit.Config
	// LookRate is how often one address may ask this node, whose work it bounds, for
	// what is made for it alone: the sessions by distance or by page, and the entries
	// of a draw. The display that all share does not count.
	LookRate ratelimit.Config
	// WriteRate is how often one shopper may ask this node for what goes into the log
	// other than grabs: receivers, cancellations, reservations and places given up. Of
	// one listing or order a shopper has as many at once, and then a hundredth.
	WriteRate ratelimit.Config
	// Canon is how claims are compared with lists; the operators' door must have the
	// same.
	Canon roster.Canon
	// Proxies are believed in X-Forwarded-For.
	Proxies ratelimit.Trusted
	// Challenges says how hard they are. Zero fields take its defaults.
	Challenges challenge.Config
	// TicketTTL is how long a ticket is good. Default 2 min, 1 s to 1 h. Longer
	// lets tickets be gathered; shorter fails slow connections.
	TicketTTL time.Duration
	// Risk is the outside risk service; nil is none.
	Risk *risk.Client
	// ListShare is how many percent of the last visitors a risk list may meet, and a
	// change of one without being asked for twice. Default DefaultListShare, 1 to 100,
	// which is no bound. Fewer ask more often.
	ListShare int
}

const (
	defaultTicketTTL           = 2 * time.Minute
	minTicketTTL, maxTicketTTL = time.Second, time.Hour
)

// Guard stands behind the gate of a listing: who the gate would let in must pass
// it, too. It looks at rates, tickets and risk, in this order, and asks nobody
// but the outside risk service. Its methods are safe for concurrent use.
type Guard struct {
	seller     Seller
	proxies    ratelimit.Trusted
	canon      roster.Canon
	address    limiter
	shopper    limiter
	looks      limiter
	writes     limiter
	turns      limiter // writes of one shopper about one thing
	tickets    *ticket.Keys
	challenges *challenge.Challenges
	ttl        time.Duration
	risk       *risk.Client
	images     *imageDesk
	counts     *guardMetrics
	visitors   *Visitors
	vault      *personal.Vault
	tallies    *report.Tallies

	secret   atomic.Pointer[[32]byte] // that tickets and challenges are made with
	learning sync.Mutex
}

func newGuard(cfg GuardConfig, seller Seller, vault *personal.Vault) (*Guard, error) {
	fill(&cfg.TicketTTL, defaultTicketTTL)
	fill(&cfg.ListShare, DefaultListShare)
	var errs []error
	if cfg.ListShare < 1 || cfg.ListShare > 100 {
		errs = append(errs, fmt.Errorf("ListShare is %d; it must be 1 to 100", cfg.ListShare))
	}
	if cfg.TicketTTL < minTicketTTL || cfg.TicketTTL > maxTicketTTL {
		errs = append(errs, fmt.Errorf("TicketTTL is %s; it must be %s to %s", cfg.TicketTTL, minTicketTTL,
			maxTicketTTL))
	}
	g := &Guard{seller: seller, vault: vault, proxies: cfg.Proxies, canon: cfg.Canon, ttl: cfg.TicketTTL,
		risk:   cfg.Risk,
		images: newImageDesk(), counts: newGuardMetrics(cfg.Risk),
		visitors: newVisitors(cfg.ListShare, func(v *engine.Visitor) engine.Level { return seller.Risk(v) })}
	for _, rate := range [...]struct {
		of   string
		is   *limiter
		from ratelimit.Config
	}{{"address", &g.address, cfg.AddressRate}, {"shopper", &g.shopper, cfg.ShopperRate},
		{"look", &g.looks, cfg.LookRate}, {"write", &g.writes, cfg.WriteRate},
		{"write", &g.turns, turnRate(cfg.WriteRate)}} {
		if err := rate.is.init(rate.from); err != nil {
			errs = append(errs, fmt.Errorf("%s: %w", rate.of, err))
		}
	}
	var err error
	if g.tickets, err = ticket.New(nil); err != nil {
		errs = append(errs, err)
	}
	if g.challenges, err = challenge.New(cfg.Challenges, nil); err != nil {
		errs = append(errs, err)
	}
	if err := errors.Join(errs...); err != nil {
		return nil, fmt.Errorf("guard: %w", err)
	}
	return g, nil
}

// Visitors are who was asked about lately.
func (g *Guard) Visitors() *Visitors { return g.visitors }

// limiter is a rate limit that a switch turns, in percent of what is configured.
type limiter struct {
	*ratelimit.Limiter
	cfg     ratelimit.Config
	percent atomic.Int64 // that it is set to
	setting sync.Mutex
}

func (l *limiter) init(cfg ratelimit.Config) (err error) {
	l.cfg = cfg
	l.percent.Store(100)
	l.Limiter, err = ratelimit.New(cfg)
	return err
}

// at gives the limiter at a percentage of what is configured.
func (l *limiter) at(percent int64) *ratelimit.Limiter {
	if l.percent.Load() != percent && l.cfg.PerSecond > 0 {
		l.set(percent)
	}
	return l.Limiter
}

func (l *limiter) set(percent int64) {
	l.setting.Lock()
	defer l.setting.Unlock()
	perSecond, burst := l.cfg.PerSecond*float64(percent)/100, int(int64(l.cfg.Burst)*percent/100)
	if percent > 0 {
		perSecond, burst = min(max(perSecond, ratelimit.MinPerSecond), ratelimit.MaxPerSecond),
			min(max(burst, 1), ratelimit.MaxBurst)
	}
	// Within its bounds, so nothing can be wrong with it.
	if err := l.SetLimit(perSecond, burst); err == nil {
		l.percent.Store(percent)
	}
}

// Check tells why a grab that the gate would let in is not let in, or ReasonNone.
// With a ticket that does, its id is put into the grab. It allocates nothing
// unless a risk service is asked.
func (g *Guard) Check(q *engine.Grab, rules engine.DoorRules) engine.Reason {
	call, ok := q.Door.(*grabCall)
	if !ok { // from no front of ours
		return engine.ReasonNone
	}
	g.lookAt(call)
	if rules.Session == 0 { // a node that is behind knows best what it last knew
		rules = g.seller.DoorRules(q.Listing)
	}
	now := time.Now()
	if g.overRate(call, now) {
		return engine.ReasonRate
	}
	return g.vet(q, call, rules, now)
}

// vet is Check but for rates.
func (g *Guard) vet(q *engine.Grab, call *grabCall, rules engine.DoorRules, now time.Time) engine.Reason {
	if v := &call.visitor; v.Phone != "" && v.PhoneHash == (engine.Blind{}) ||
		v.Address != "" && v.AddressHash == (engine.Blind{}) { // the token was read before the secret was known
		v.PhoneHash, v.AddressHash = g.hashes(v.Phone, v.Address)
	}
	g.visitors.note(&call.visitor, now)
	switches := g.seller.Switches()
	level := g.listed(call)
	g.tallies.Of(rules.Session).Feared(report.ByLists, level)
	asks := toSolve(rules, switches, level)
	if rules.Ticket || asks != engine.ChallengeNone {
		if why := g.checkTicket(q, call, asks, now); why != engine.ReasonNone {
			return why
		}
	}
	if level == engine.LevelBlock {
		g.counts.risk(byList, level)
		return engine.ReasonRisk
	}
	if g.risk == nil || !switches.On(engine.SwitchRiskService) {
		return engine.ReasonNone
	}
	switch level = g.judge(call, rules); level {
	case engine.LevelBlock:
		return engine.ReasonRisk
	case engine.LevelChallenge:
		if asks == engine.ChallengeNone {
			if asks = toSolve(rules, switches, level); asks != engine.ChallengeNone {
				return g.checkTicket(q, call, asks, now)
			}
		}
	}
	return engine.ReasonNone
}

// toSolve tells which challenge must have been solved by who is at a risk level.
// Who is blocked is asked for no more than everybody: nothing they solve helps.
func toSolve(rules engine.DoorRules, switches *engine.Switches, level engine.Level) engine.Challenge {
	if rules.Challenge == engine.ChallengeNone && level == engine.LevelChallenge &&
		switches.On(engine.SwitchChallenge) && switches.On(engine.SwitchTickets) {
		return engine.ChallengeWork
	}
	return rules.Challenge
}

// know brings what is said of a shopper into the form in which lists have it, and
// counts what can't be compared with any.
func (g *Guard) know(b *auth.Bearer) {
	claim := func(kind int, said string, canon func(string) (engine.Canonical, bool)) (known engine.Canonical) {
		if said == "" {
			return ""
		}
		known, ok := canon(said)
		if !ok {
			g.counts.unreadable[kind].Add(1)
			return ""
		}
		return known
	}
	b.ListedPhone, b.ListedAddress = claim(claimedPhone, b.Phone, g.canon.Phone), claim(claimedAddress, b.Address,
		g.canon.Address)
	b.PhoneHash, b.AddressHash = g.hashes(b.ListedPhone, b.ListedAddress)
}

// hashes gives by what lists find a phone number and an address; zero where they are not
// known, and as long as this node does not know the group's secret.
func (g *Guard) hashes(phone, address engine.Canonical) (p, a engine.Blind) {
	if phone != "" {
		p, _ = g.vault.RowHash(engine.RosterRiskPhone, string(phone))
	}
	if address != "" {
		a, _ = g.vault.RowHash(engine.RosterRiskAddress, string(address))
	}
	return p, a
}

// overRate counts what is asked against the limits of the address and the
// shopper.
func (g *Guard) overRate(call *grabCall, now time.Time) bool {
	percent := g.seller.Switches()[engine.SwitchRates]
	switch {
	case percent == 0:
		return false
	case call.visitor.Addr.IsValid() && g.address.cfg.PerSecond > 0 &&
		!g.address.at(percent).AllowAddress(call.visitor.Addr, now):
		g.counts.limited[limitedAddress].Add(1)
		return true
	case g.shopper.cfg.PerSecond > 0 && !g.shopper.at(percent).Allow(g.shopper.ShopperKey(call.visitor.Shopper), now):
		g.counts.limited[limitedShopper].Add(1)
		return true
	}
	return false
}

// Tell gives what the guards of the other nodes shall Hear of addresses that come near
// their rate; nil where addresses have none. See ratelimit.Limiter.
func (g *Guard) Tell(now time.Time) []byte {
	return g.address.Tell(now)
}

// Hear takes in what another node's guard told. What makes no sense is passed over:
// that node is of another build.
func (g *Guard) Hear(node string, told []byte, now time.Time) {
	_ = g.address.Hear(node, told, now)
}

// solved is the bit of a ticket's id that says that a challenge was solved for it.
const solved = 1

// checkTicket lets a grab pass with a ticket that does, and for which a challenge
// was solved if one is asked for.
func (g *Guard) checkTicket(q *engine.Grab, call *grabCall, asks engine.Challenge, now time.Time) engine.Reason {
	call.asks = asks
	if len(call.ticket) == 0 {
		g.counts.refused[ticketMissing].Add(1)
		return engine.ReasonTicketMissing
	}
	if !g.knowsSecret() {
		return engine.ReasonOverload
	}
	id, err := g.tickets.Check(call.ticket, q.Shopper, q.Listing, now)
	if err != nil {
		g.counts.refused[ticketKindOf(err)].Add(1)
		return engine.ReasonTicket
	}
	if asks != engine.ChallengeNone && id&solved == 0 {
		g.counts.refused[ticketUnsolved].Add(1)
		return engine.ReasonTicketMissing
	}
	q.Ticket = id
	return engine.ReasonNone
}

// listed gives what the risk lists say of who asks.
func (g *Guard) listed(call *grabCall) engine.Level {
	level := g.seller.Risk(&call.visitor)
	if level == engine.LevelListed || level == engine.LevelChallenge {
		g.counts.risk(byList, level)
	}
	return level
}

// judge asks the outside risk service.
func (g *Guard) judge(call *grabCall, rules engine.DoorRules) engine.Level {
	addr := call.visitor.Addr
	if !addr.IsValid() {
		addr = netip.IPv4Unspecified()
	}
	session, sku, _ := g.seller.ListingOf(rules.Listing)
	verdict := g.risk.Judge(context.Background(), risk.Question{Shopper: string(call.visitor.Shopper), Address: addr,
		Session: session, SKU: sku, Phone: cmp.Or(string(call.visitor.Phone), call.phone)})
	level := engine.Level(verdict.Level) // both rise in the same steps
	g.tallies.Of(rules.Session).Feared(report.ByService, level)
	if level != engine.LevelNone {
		g.counts.risk(byService, level)
	}
	return level
}

// knowsSecret makes sure that tickets are checked with the group's secret; false
// as long as this node does not know it.
func (g *Guard) knowsSecret() bool {
	secret, known := g.seller.TicketSecret()
	if !known {
		return false
	}
	if now := g.secret.Load(); now != nil && *now == secret {
		return true
	}
	return g.learnSecret(secret) == nil
}

func (g *Guard) learnSecret(secret [32]byte) error {
	g.learning.Lock()
	defer g.learning.Unlock()
	if now := g.secret.Load(); now != nil && *now == secret {
		return nil
	}
	if err := errors.Join(g.tickets.Replace(secret[:]), g.challenges.SetSecret(secret[:])); err != nil {
		return err
	}
	g.secret.Store(&secret)
	return nil
}

// lookAt finds the address that a call came from. Most grabs that the gate refuses
// come no further than the gate, so it is not looked at before.
func (g *Guard) lookAt(call *grabCall) {
	if v := &call.visitor; !v.Addr.IsValid() {
		v.Addr = g.addressOf(call.ctx)
	}
}

// addressOf gives the address that a request came from; invalid if it is from no
// network.
func (g *Guard) addressOf(ctx *fasthttp.RequestCtx) netip.Addr {
	tcp, ok := ctx.RemoteAddr().(*net.TCPAddr)
	if !ok {
		return netip.Addr{}
	}
	addr := tcp.AddrPort().Addr().Unmap().WithZone("")
	if g.proxies.Contains(addr) {
		addr = g.proxies.ClientAddr(addr, ctx.Request.Header.PeekAll(fasthttp.HeaderXForwardedFor)...)
	}
	return addr
}

// looksTooOften counts a look that is answered to one address alone, and answers it
// itself where there were too many.
func (s *ShopperServer) looksTooOften(ctx *fasthttp.RequestCtx) bool {
	g := s.guard
	if g.looks.cfg.PerSecond == 0 {
		return false
	}
	addr := g.addressOf(ctx)
	return addr.IsValid() && s.tooOften(ctx, &g.looks, g.looks.AddressKey(addr), limitedLook,
		"This address looks too often at what is made for it alone; /v1/sessions as it is stays open to it.")
}

// turnRate is how often a shopper may write about one listing or order: who changes
// it to and fro does not fill the log however long they go on.
func turnRate(writes ratelimit.Config) ratelimit.Config {
	const leastPerSecond, leastBurst = 0.01, 10 // so that a mistake can be put right
	if writes.PerSecond > 0 {
		writes.PerSecond, writes.Burst = max(writes.PerSecond/100, leastPerSecond), max(writes.Burst, leastBurst)
	}
	return writes
}

// writesTooOften counts what a shopper asks to have written of a thing, a listing or
// an order, and answers it itself where it was too much.
func (s *ShopperServer) writesTooOften(ctx *fasthttp.RequestCtx, shopper, thing []byte) bool {
	w, t := &s.guard.writes, &s.guard.turns
	if w.cfg.PerSecond == 0 {
		return false
	}
	return s.tooOften(ctx, t, bits.RotateLeft64(t.ShopperKey(shopper), 1)^t.ShopperKey(thing), limitedWrite,
		"You change this to and fro too often. Nothing was changed.") ||
		s.tooOften(ctx, w, w.ShopperKey(shopper), limitedWrite, "You change orders, reservations or places too "+
			"often. Nothing was changed.")
}

// tooOften answers whose rate is used up.
func (s *ShopperServer) tooOften(ctx *fasthttp.RequestCtx, rate *limiter, key uint64, by int, detail string) bool {
	percent := s.seller.Switches()[engine.SwitchRates]
	if percent == 0 || rate.at(percent).Allow(key, time.Now()) {
		return false
	}
	s.guard.counts.limited[by].Add(1)
	wait := max(1, int(math.Ceil(100/(rate.cfg.PerSecond*float64(percent))))) // until one more is earned
	s.problem(ctx, tooOften, fmt.Sprintf("%s Ask again in %ds.", detail, wait))
	ctx.Response.Header.Set("Retry-After", strconv.Itoa(wait))
	return true
}
