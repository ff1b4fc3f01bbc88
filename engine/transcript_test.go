package engine

import (
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"
)

var update = flag.Bool("update", false,
	"rewrite testdata/*.txt and the samples with what the engine does now; read the diff")

// TestTranscripts plays the stories in testdata. Each paragraph begins with
// commands, one batch a line, and after "----" has what the engine said:
//
//	rules N              the group's rules are raised to version N
//	session ID [start=0s] [end=1h] [pay_within=15m] [pay_grace=2m] [limit=N] [months=DAY,DAY,...] [draft]
//	        SKU:stock=N[,limit=N][,month=N][,line][,draw=3s][,reserved][,allow=LIST] ...
//	time +17m            a tick
//	at TIME              the same, at a time as RFC 3339 writes it
//	grab SHOPPER SKU [key=K] [quantity=N] [session=ID] [ticket=N]
//	queue                like grab, by one who would rather wait
//	leave S/N            their place on the waitlist, or in the draw
//	reserve | withdraw SHOPPER SKU
//	list NAME SHOPPER ...  puts shoppers on an allow list
//	pay | cancel | void | extend | receiver  S/N [...]    an order by session handle and ordinal
//	publish | pause | resume | end  ID
//	stock SKU N [session=ID]
//	crowd N SKU          N new shoppers, in one batch
//	down 24h             time passes without a batch; the next one has it all
//	counts | orders      what there is now
//
// A command with ! tells only its own event.
func TestTranscripts(t *testing.T) {
	files, err := filepath.Glob("testdata/*.txt")
	if err != nil || len(files) == 0 {
		t.Fatal("no transcripts", err)
	}
	for _, file := range files {
		t.Run(strings.TrimSuffix(filepath.Base(file), ".txt"), func(t *testing.T) {
			data, err := os.ReadFile(file)
			if err != nil {
				t.Fatal(err)
			}
			story := &transcript{group: newGroup(t)}
			var now []string
			for _, paragraph := range strings.Split(strings.TrimSpace(string(data)), "\n\n") {
				asked, _, _ := strings.Cut(paragraph, "\n----")
				var said strings.Builder
				for _, line := range strings.Split(asked, "\n") {
					if !strings.HasPrefix(line, "#") && line != "" {
						said.WriteString(story.line(line))
					}
				}
				if strings.HasPrefix(asked, "#") && said.Len() == 0 {
					now = append(now, asked)
					continue
				}
				now = append(now, asked+"\n----\n"+strings.TrimSuffix(said.String(), "\n"))
			}
			got := strings.Join(now, "\n\n") + "\n"
			if *update {
				if err := os.WriteFile(file, []byte(got), 0o644); err != nil {
					t.Fatal(err)
				}
			} else if got != string(data) {
				t.Errorf("the engine says something else now; got:\n%s", got)
			}
			checkInside(t, story.group.state)
			replayed(t, story.group)
		})
	}
}

// replayed holds a group's state against one that its log gives anew.
func replayed(t *testing.T, g *group) {
	t.Helper()
	other := NewState()
	var eff Effects
	for i, entry := range g.entries {
		if err := other.Apply(LogIndex(i+1), entry, &eff); err != nil {
			t.Fatal(err)
		}
	}
	if other.Hash() != g.state.Hash() {
		t.Error("replaying the log gives another hash")
	}
}

type transcript struct {
	group *group
	crowd int
}

// line does one command and tells what came of it.
func (x *transcript) line(line string) string {
	g := x.group
	g.tb.Helper()
	words := strings.Fields(line)
	short := strings.HasSuffix(words[0], "!")
	verb := strings.TrimSuffix(words[0], "!")
	args, options := []string{}, map[string]string{}
	for _, w := range words[1:] {
		if name, value, found := strings.Cut(w, "="); found && !strings.Contains(w, ":") {
			options[name] = value
		} else {
			args = append(args, w)
		}
	}
	var c Command
	switch verb {
	case "session":
		c = Command{Kind: CmdApplyPlan, Plan: x.plan(args, options)}
	case "time":
		g.clock = g.clock.Add(x.duration(args[0]))
		return x.told(g.do(), short)
	case "down":
		g.clock = g.clock.Add(x.duration(args[0]))
		return ""
	case "rules":
		c = Command{Kind: CmdRaiseRules, RulesVersion: uint32(x.number(args[0], 0))}
	case "at":
		at, err := time.Parse(time.RFC3339, args[0])
		if err != nil {
			g.tb.Fatal(err)
		}
		g.clock = TimeOf(at)
		return x.told(g.do(), short)
	case "leave":
		ref := x.order(args[0])
		c = Command{Kind: CmdLeaveLine, Order: ref, Shopper: []byte(g.state.ShopperID(g.state.Order(ref).Shopper))}
	case "reserve", "withdraw":
		c = Command{Kind: CmdReserve, Listing: x.listing(args[1], options), Shopper: []byte(args[0]),
			Withdraw: verb == "withdraw"}
	case "list":
		c = Command{Kind: CmdEditRoster, Edit: RosterEdit{Roster: RosterID{Kind: RosterAllowed, Name: args[0]},
			Action: RosterPut}}
		for _, shopper := range args[1:] {
			c.Edit.Rows = append(c.Edit.Rows, RosterEntry{ID: []byte(shopper), Level: LevelListed})
		}
	case "grab", "queue":
		key := options["key"]
		if key == "" {
			key = "k"
		}
		c = g.placeHold(x.listing(args[1], options), args[0], key, uint32(x.number(options["quantity"], 1)))
		c.Waitlist, c.Ticket = verb == "queue", uint64(x.number(options["ticket"], 0))
	case "crowd":
		var grabs []Command
		for range x.number(args[0], 0) {
			x.crowd++
			grabs = append(grabs, g.placeHold(x.listing(args[1], options), fmt.Sprint("c", x.crowd), "k", 1))
		}
		return x.told(g.do(grabs...), short)
	case "pay":
		ref := x.order(args[0])
		c = Command{Kind: CmdPayOrder, Order: ref, Amount: x.number(options["amount"], g.state.Order(ref).Amount),
			Currency: "CNY", PaymentID: args[1]}
	case "cancel":
		ref := x.order(args[0])
		by := options["by"]
		if by == "" {
			by = g.state.ShopperID(g.state.Order(ref).Shopper)
		}
		c = Command{Kind: CmdCancelHold, Order: ref, Shopper: []byte(by)}
	case "void":
		c = Command{Kind: CmdVoidOrder, Order: x.order(args[0])}
	case "extend":
		ref := x.order(args[0])
		c = Command{Kind: CmdExtendHold, Order: ref, Deadline: g.state.Order(ref).PayBy.Add(x.duration(args[1]))}
	case "receiver":
		ref := x.order(args[0])
		c = Command{Kind: CmdSetReceiver, Order: ref, Shopper: []byte(g.state.ShopperID(g.state.Order(ref).Shopper)),
			Receiver: sealed(args[1]), PersonalKey: testKey}
	case "publish", "pause", "resume", "end":
		action, _ := parse[SessionAction](sessionActions[:], verb)
		c = Command{Kind: CmdSteerSession, Session: g.state.Session(args[0]).Handle, Action: action}
	case "stock":
		c = Command{Kind: CmdAddStock, Listing: x.listing(args[0], options), Amount: x.number(args[1], 0)}
	case "counts":
		return x.counts()
	case "orders":
		return x.orders()
	default:
		g.tb.Fatalf("no such command: %q", line)
	}
	return x.told(g.do(c), short)
}

func (x *transcript) duration(s string) time.Duration {
	d, err := time.ParseDuration(s)
	if err != nil {
		x.group.tb.Fatal(err)
	}
	return d
}

func (x *transcript) number(s string, otherwise int64) int64 {
	if s == "" {
		return otherwise
	}
	n, err := strconv.ParseInt(s, 10, 64)
	if err != nil {
		x.group.tb.Fatal(err)
	}
	return n
}

func (x *transcript) order(s string) OrderRef {
	var ref OrderRef
	if _, err := fmt.Sscanf(s, "%d/%d", &ref.Session, &ref.Ordinal); err != nil || x.group.state.Order(ref) == nil {
		x.group.tb.Fatalf("no order %q", s)
	}
	return ref
}

// listing finds a SKU in the session said, else in the newest one.
func (x *transcript) listing(sku string, options map[string]string) ListingHandle {
	s := x.group.state
	id := options["session"]
	if id == "" {
		id = s.Sessions()[len(s.Sessions())-1].ID
	}
	l := s.ListingOf(id, sku)
	if l == nil {
		x.group.tb.Fatalf("no %q in session %q", sku, id)
	}
	return l.Handle
}

func (x *transcript) plan(args []string, options map[string]string) *Plan {
	g := x.group
	said := func(name, otherwise string) time.Duration {
		if options[name] != "" {
			otherwise = options[name]
		}
		return x.duration(otherwise)
	}
	start := g.clock.Add(said("start", "0s"))
	if old := g.state.Session(args[0]); old != nil {
		start = old.Start
	}
	p := SessionPlan{SessionSpec: SessionSpec{ID: args[0], StartSpec: "spec", Start: start,
		End: start.Add(said("end", "1h")), PayWithin: said("pay_within", "15m"), PayGrace: said("pay_grace", "2m"),
		LimitPerShopper: uint32(x.number(options["limit"], 0)), Publish: true}}
	plan := &Plan{}
	for _, arg := range args[1:] {
		if arg == "draft" {
			p.Publish = false
			continue
		}
		sku, rest, _ := strings.Cut(arg, ":")
		l := ListingSpec{SKU: sku, Price: 100, LimitPerShopper: 1}
		for _, pair := range strings.Split(rest, ",") {
			switch name, value, _ := strings.Cut(pair, "="); name {
			case "stock":
				l.Stock = x.number(value, 0)
			case "limit":
				l.LimitPerShopper = uint32(x.number(value, 0))
			case "month":
				l.LimitPerMonth = uint32(x.number(value, 0))
			case "line":
				l.Waitlist = true
			case "draw":
				l.Draw = x.duration(value)
			case "reserved":
				l.Reservation = true
			case "allow":
				l.AllowList = value
			default:
				g.tb.Fatalf("no such word of a listing: %q", pair)
			}
		}
		p.Listings = append(p.Listings, l)
		plan.Products = append(plan.Products, Product{ID: sku, Currency: "CNY"})
	}
	plan.Sales = []SalePlan{{Sale: Sale{ID: "sale"}, Sessions: []SessionPlan{p}}}
	if days := options["months"]; days != "" {
		for _, day := range strings.Split(days, ",") {
			began, err := time.ParseInLocation(time.DateOnly, day, time.FixedZone("Asia/Shanghai", 8*3600))
			if err != nil {
				g.tb.Fatal(err)
			}
			plan.Sales[0].Months = append(plan.Sales[0].Months, TimeOf(began))
		}
	}
	return plan
}

// told writes effects: those that time did, those of the commands, what
// followed, and when time has something to do next.
func (x *transcript) told(eff *Effects, short bool) string {
	var b strings.Builder
	few(&b, "  ", eff.Primary, x.event)
	if short {
		return b.String()
	}
	for _, c := range eff.LastPlan().Changes {
		fmt.Fprintf(&b, "  %s: %q -> %q\n", c.Path, c.Before, c.After)
	}
	for _, p := range eff.LastPlan().Problems {
		fmt.Fprintf(&b, "  problem: %s\n", p)
	}
	few(&b, "  then ", eff.Derived, x.event)
	if eff.NextDue == Never {
		b.WriteString("  nothing is due\n")
	} else {
		fmt.Fprintf(&b, "  next due in %s\n", eff.NextDue.Sub(eff.Time))
	}
	return b.String()
}

// few writes events, but of a great many alike only the first and the number.
func few(b *strings.Builder, indent string, events []Event, say func(Event) string) {
	for i := 0; i < len(events); {
		n := 1
		for i+n < len(events) && events[i+n].Kind == events[i].Kind && events[i+n].Reason == events[i].Reason {
			n++
		}
		if n <= 4 {
			n = 1
		}
		b.WriteString(indent + say(events[i]))
		if n > 1 {
			fmt.Fprintf(b, ", and %d more like it", n-1)
		}
		b.WriteByte('\n')
		i += n
	}
}

func (x *transcript) event(e Event) string {
	s := x.group.state
	var b strings.Builder
	b.WriteString(e.Kind.String())
	if e.Reason != ReasonNone {
		b.WriteString(" (" + e.Reason.String() + ")")
	}
	if l := s.Listing(e.Listing); l != nil {
		b.WriteString(" " + l.SKU)
	} else if session := s.SessionOf(e.Session); session != nil {
		b.WriteString(" " + session.ID)
	}
	if !e.Order.IsZero() {
		fmt.Fprintf(&b, " %d/%d", e.Order.Session, e.Order.Ordinal)
	}
	if e.State != 0 {
		fmt.Fprintf(&b, " %v of %s", e.State, s.ShopperID(e.Shopper))
	}
	if e.Limit != 0 {
		fmt.Fprintf(&b, " (%d of %d)", e.Quantity, e.Limit)
	} else if e.Quantity > 1 {
		fmt.Fprintf(&b, " ×%d", e.Quantity)
	}
	if e.Kind == HoldPlaced || e.Kind == HoldExtended {
		fmt.Fprintf(&b, ", %d to pay within %s", e.Amount, e.PayBy.Sub(s.Now()))
	}
	if place := s.Position(e.Order); place > 0 {
		fmt.Fprintf(&b, ", number %d in line", place)
	}
	if e.Kind == StockAdded {
		fmt.Fprintf(&b, " %+d", e.Amount)
	}
	return b.String()
}

func (x *transcript) counts() string {
	s := x.group.state
	var b strings.Builder
	for _, l := range s.Listings() {
		c := s.CountsOf(l)
		fmt.Fprintf(&b, "  %s %s: %v, stock %d = available %d + held %d + paid %d; released %d, shoppers %d",
			c.Session, c.SKU, c.State, c.Stock, c.Available, c.Held, c.Paid, c.Released, c.Shoppers)
		for _, more := range []struct {
			what string
			n    int64
		}{{"waiting", c.Waiting}, {"in the draw", c.Entrants}, {"reserved", c.Reserved}} {
			if more.n != 0 {
				fmt.Fprintf(&b, ", %s %d", more.what, more.n)
			}
		}
		b.WriteByte('\n')
	}
	return b.String()
}

func (x *transcript) orders() string {
	s := x.group.state
	var b strings.Builder
	for _, session := range s.Sessions() {
		for i := range session.Orders() {
			ref := OrderRef{session.Handle, uint32(i) + 1}
			v, _ := s.View(ref)
			fmt.Fprintf(&b, "  %d/%d %s of %s: %v", ref.Session, ref.Ordinal, v.SKU, v.Shopper, v.State)
			if v.PaymentID != "" {
				fmt.Fprintf(&b, " by %s", v.PaymentID)
			}
			if v.Why != ReasonNone {
				fmt.Fprintf(&b, " (%v)", v.Why)
			}
			if v.Position > 0 {
				fmt.Fprintf(&b, " at %d", v.Position)
			}
			if v.HasReceiver {
				fmt.Fprintf(&b, " to %s", strings.TrimPrefix(v.Receiver.Sealed, "sealed: "))
			}
			b.WriteByte('\n')
		}
	}
	return b.String()
}
