package engine

import (
	"crypto/sha256"
	"fmt"
	"strconv"
	"strings"
	"time"
)

// Plan is what operators want to be there: a desired state of products, sales,
// sessions and listings. Applying it creates what is missing and changes what
// differs, whole or not at all; what it does not name stays as it is. Ids are
// unique and times resolved before a plan gets here; Apply checks it all the same.
type Plan struct {
	Products []Product
	Plays    []PlayTemplate
	Sales    []SalePlan
	// Now is the time that its relative starts ("now", "+30s") were counted from, by the
	// clock of a node that may be off: Apply counts them from state time. 0 for none.
	Now Time
	// ByHand: operators change words of a sale, and no plan is told. What the last
	// plan said stays what the next one is held against.
	ByHand bool
}

// SalePlan is a sale with its sessions.
type SalePlan struct {
	Sale
	Sessions []SessionPlan
}

// SessionPlan is a session with its listings.
type SessionPlan struct {
	SessionSpec
	Listings []ListingSpec
}

// Change is one difference that a plan makes.
type Change struct {
	Path   string // "sales[fans-day].sessions[fans-day-10].listings[mask-50].stock"
	Before string // empty for what is new
	After  string
}

// Problem is one reason why a plan can't be applied.
type Problem struct {
	Path    string
	Message string // what is wrong, and what would be right
}

func (p Problem) String() string { return p.Path + ": " + p.Message }

// ComparePlan tells what applying p at this moment would change, without
// changing anything, or every problem that forbids it. It is what ApplyPlan
// itself decides by.
func (s *State) ComparePlan(p *Plan) PlanOutcome {
	d := planDiff{state: s, byHand: p.ByHand, products: make(map[string]bool, len(p.Products)),
		noted: map[string]bool{}, versions: map[string]uint32{}, put: map[string]int64{}, changed: map[string]int64{}}
	d.plan(p)
	if len(d.Problems) > 0 {
		return PlanOutcome{Problems: d.Problems}
	}
	d.size.listings = int64(len(d.changed))
	for _, units := range d.changed {
		d.size.units += units
	}
	d.Approval = s.approving.planWhy(&d.PlanOutcome)
	return d.PlanOutcome
}

// planSize is how much a plan changes.
type planSize struct {
	listings int64 // that it makes or changes, by a change of their session, too
	units    int64 // of those: what each has, or will have, whichever is more
	words    int   // that shoppers are told
	ends     int   // sessions that would end sooner
}

type planDiff struct {
	state    *State
	byHand   bool
	products map[string]bool   // those in the plan
	noted    map[string]bool   // what is said once, whatever it is said of
	versions map[string]uint32 // of the plan's templates of plays
	put      map[string]int64  // by product, the units that the plan puts up in all
	changed  map[string]int64  // by its path, the units of each listing that the plan makes or changes
	raises   []raise
	PlanOutcome
}

func (d *planDiff) problem(path, format string, args ...any) {
	d.Problems = append(d.Problems, Problem{path, fmt.Sprintf(format, args...)})
}

func (d *planDiff) note(path, format string, args ...any) {
	d.Notes = append(d.Notes, Problem{path, fmt.Sprintf(format, args...)})
}

// merge compares what both plans and operators change, by one rule: a value that is
// not the last plan's is what there shall be, whatever operators made of it; one
// that is the last plan's leaves what they made of it.
func (d *planDiff) merge(path, planned, live, wanted string) {
	switch {
	case wanted == planned && live != planned:
		d.note(path, "%s stays: operators have changed it since the plan said %s; to have a plan change it, "+
			"say another value", said(live), said(planned))
	case wanted != planned && live != planned:
		d.Changes = append(d.Changes, Change{path, fmt.Sprintf("%s (%s in the last plan)", said(live), said(planned)),
			wanted})
	default:
		compare(d, path, planned, wanted)
	}
}

// said gives a value within a sentence.
func said(value string) string {
	switch {
	case value == "":
		return "nothing"
	case strings.ContainsAny(value, " .;:"):
		return `"` + value + `"`
	}
	return value
}

// missing notes once what a name that points to nothing comes to; nothing if it is "".
func (d *planDiff) missing(path, said string) {
	if said != "" && !d.noted[said] {
		d.noted[said] = true
		d.note(path, "%s", said)
	}
}

// missingProfile says what it comes to that nobody has defined a profile; "" if somebody
// has.
func (s *State) missingProfile(name string) string {
	if _, defined := s.profileNamed(name); name == "" || defined {
		return ""
	}
	return fmt.Sprintf("no profile %q is defined: until one is, the opening turns no switches", clip(name))
}

// missingList says what it comes to that an allow list has nobody; "" if it has.
func (s *State) missingList(name string) string {
	if name == "" || s.Rosters().Count(RosterID{Kind: RosterAllowed, Name: name}) > 0 {
		return ""
	}
	return fmt.Sprintf("nobody is on an allow list %q: until somebody is, nobody may buy", clip(name))
}

// Findings says which names of a session's plan point to nothing, and what that comes to.
func (s *State) Findings(x *Session) (of []Problem) {
	if x.State >= Ended {
		return nil
	}
	d := planDiff{noted: map[string]bool{}}
	d.missing("profile", s.missingProfile(x.Profile))
	for _, h := range x.Listings {
		l := s.listings[h-1]
		d.missing("listings["+l.SKU+"].allow_list", s.missingList(l.AllowList))
	}
	return d.Notes
}

// compare notes a value that the plan makes another one.
func compare[T comparable](d *planDiff, path string, before, after T) {
	if before != after {
		d.Changes = append(d.Changes, Change{path, fmt.Sprint(before), fmt.Sprint(after)})
	}
}

// The values of a plan are within bounds.

func (d *planDiff) atMost(path string, n, most uint32) {
	if n > most {
		d.problem(path, "%d is over %d", n, most)
	}
}

func (d *planDiff) between(path string, n, least, most int64) {
	if n < least || n > most {
		d.problem(path, "%d is not between %d and %d", n, max(least, 0), most) // -1 stands for none
	}
}

func (d *planDiff) lasts(path string, t, least, most time.Duration) {
	if t < least || t > most || t%time.Millisecond != 0 {
		d.problem(path, "%s is not between %s and %s, in whole milliseconds", t, least, most)
	}
}

// idForm says what ids may be.
const idForm = "is not 1 to 64 letters, digits, dots, dashes or underscores"

// names checks what may name something, or nothing.
func (d *planDiff) names(path, id string) {
	if id != "" && !ValidID(id) {
		d.problem(path, "%q %s", clip(id), idForm)
	}
}

// valid checks an id, which is to be there once among those of its kind.
func (d *planDiff) valid(seen map[string]bool, path, id, twice string) {
	if !ValidID(id) {
		d.problem(path, "the id %s", idForm)
	}
	if seen[id] {
		d.problem(path, "%s", twice)
	}
	seen[id] = true
}

// fits sees to it that a text gets through the binary form.
func (d *planDiff) fits(path, text string, most int) {
	if len(text) > most {
		d.problem(path, "%d bytes are over %d", len(text), most)
	}
}

func (d *planDiff) plan(p *Plan) {
	if size := len(written(p)); size > MaxPlanBytes {
		d.problem("plan", "its %d bytes are over %d; split it", size, MaxPlanBytes)
	}
	products, sales, sessions := d.products, map[string]bool{}, map[string]bool{}
	for i := range p.Products {
		product := &p.Products[i]
		path := "products[" + product.ID + "]"
		d.valid(products, path, product.ID, "the id is there twice")
		d.product(path, product)
	}
	d.templates(p)
	for i := range p.Sales {
		sale := &p.Sales[i]
		path := "sales[" + sale.ID + "]"
		d.valid(sales, path, sale.ID, "the id is there twice")
		d.sale(path, &sale.Sale)
		for j := range sale.Sessions {
			session := &sale.Sessions[j]
			path := path + ".sessions[" + session.ID + "]"
			// A session's id is the shop's, not only its sale's: it stands alone in URLs.
			d.valid(sessions, path, session.ID, "the id is there twice; session ids are unique across sales")
			d.session(path, sale.ID, session)
		}
	}
	d.supplied(p)
}

func (d *planDiff) product(path string, p *Product) {
	d.between(path+".list_price", p.ListPrice, 0, MaxPrice)
	if len(p.Currency) != 3 || strings.Trim(p.Currency, "ABCDEFGHIJKLMNOPQRSTUVWXYZ") != "" {
		d.problem(path+".currency", "%q is not an ISO 4217 code of three capital letters", p.Currency)
	}
	d.fits(path+".image", p.Image, MaxURLBytes)
	d.names(path+".supplier", p.Supplier)
	if at := p.Place; at != nil && !at.valid() {
		d.problem(path+".place", "%s is not between -90,-180 and 90,180", at)
	}
	old := d.state.Product(p.ID)
	if old == nil {
		compare(d, path, "", "new")
		fresh := *p
		fresh.Stock = SupplierStock{}
		old = &fresh
	}
	if p.Stock.Known {
		d.stated(path+".stock", old.Stock, p.Stock)
		if old.Stock != p.Stock {
			d.withdraws(p.ID, p.Stock)
		}
	}
	d.words(path+".name", old.Name, p.Name)
	compare(d, path+".image", old.Image, p.Image)
	compare(d, path+".supplier", old.Supplier, p.Supplier)
	compare(d, path+".list_price", old.ListPrice, p.ListPrice)
	if old.Currency != p.Currency {
		if d.state.offered(p.ID) {
			d.problem(path+".currency", "stays %s: the product is offered in a session already", old.Currency)
		}
		compare(d, path+".currency", old.Currency, p.Currency)
	}
	compare(d, path+".place", old.Place.String(), p.Place.String())
}

// String gives "latitude,longitude", or "none".
func (p *Place) String() string {
	if p == nil {
		return "none"
	}
	return strconv.FormatFloat(p.Latitude, 'f', -1, 64) + "," + strconv.FormatFloat(p.Longitude, 'f', -1, 64)
}

func (d *planDiff) sale(path string, s *Sale) {
	d.fits(path+".timezone", s.Timezone, MaxIDBytes)
	d.months(path, s)
	d.offsets(path, s)
	old, found := d.state.sales[s.ID]
	if !found {
		compare(d, path, "", "new")
		old = &Sale{Name: s.Name, Timezone: s.Timezone}
	}
	d.words(path+".name", old.Name, s.Name)
	compare(d, path+".timezone", old.Timezone, s.Timezone)
	d.messages(path+".messages", old, s.Messages)
}

// months checks the table of a sale's months.
func (d *planDiff) months(path string, s *Sale) {
	if len(s.Months) > MaxMonths {
		d.problem(path, "%d months are over %d", len(s.Months), MaxMonths)
	}
	for i, at := range s.Months {
		if at < 0 || at > maxTime || i > 0 && at <= s.Months[i-1] {
			d.problem(path, "its months are not in order")
			return
		}
	}
}

// offsets checks the table of a time zone's distances from UTC.
func (d *planDiff) offsets(path string, s *Sale) {
	const day = 24 * 60 * 60
	if len(s.Offsets) > MaxOffsets {
		d.problem(path, "%d changes of its clocks are over %d", len(s.Offsets), MaxOffsets)
	}
	for i, x := range s.Offsets {
		if x.From < 0 || x.From > maxTime || i > 0 && x.From <= s.Offsets[i-1].From || x.Seconds < -day ||
			x.Seconds > day {
			d.problem(path, "its time zone's distances from UTC are not in order, or over a day")
			return
		}
	}
}

func (d *planDiff) session(path, sale string, p *SessionPlan) {
	old := d.state.sessionByID[p.ID]
	start := p.Start
	if old != nil && old.StartSpec == p.StartSpec {
		start = old.Start // "now" and "+30s" are resolved once
	}
	end := start.Add(p.Length())
	d.fits(path+".start", p.StartSpec, MaxIDBytes)
	switch {
	case p.Start < 0 || p.End < 0 || p.Start > maxTime || p.End > maxTime:
		d.problem(path, "its times are not between 1970 and 9999")
	case p.End <= p.Start:
		d.problem(path, "it ends before it starts; the duration must be over 0")
	case p.End-p.Start > Time(MaxSessionLength/time.Millisecond):
		d.problem(path+".duration", "%d ms are over %s", p.End-p.Start, MaxSessionLength)
	}
	d.lasts(path+".pay_within", p.PayWithin, time.Second, MaxPayWithin)
	d.lasts(path+".pay_grace", p.PayGrace, 0, MaxPayGrace)
	d.atMost(path+".limit_per_shopper", p.LimitPerShopper, MaxQuantity)
	d.atMost(path+".admission_multiple", p.AdmissionMultiple, MaxAdmission)
	if p.CouponsUpTo < 0 || p.CouponsUpTo > MaxPrice {
		d.problem(path+".coupons_up_to", "%d is not between 0 and %d", p.CouponsUpTo, int64(MaxPrice))
	}
	d.lasts(path+".receive_within", p.ReceiveWithin, 0, MaxReceiveWithin)
	d.lasts(path+".complete_within", p.CompleteWithin, 0, MaxCompleteWithin)
	d.atMost(path+".forecast", p.Forecast, MaxForecast)
	d.names(path+".profile", p.Profile)
	d.missing(path+".profile", d.state.missingProfile(p.Profile))
	if n := d.listings(old, p); n > MaxSessionListings {
		d.problem(path+".listings", "%d are over %d", n, MaxSessionListings)
	}
	if old == nil {
		said := fmt.Sprintf("new, opens %s, ends %s",
			start.Wall().Format(time.RFC3339Nano), end.Wall().Format(time.RFC3339Nano))
		if p.Profile != "" {
			said += ", profile " + p.Profile
		}
		compare(d, path, "", said)
		if end <= d.state.now {
			d.problem(path, "it would end at %s, which is past", end.Wall().Format(time.RFC3339))
		}
	} else {
		d.oldSession(path, sale, old, p, start, end)
	}
	seen := map[string]bool{}
	for i := range p.Listings {
		l := &p.Listings[i]
		path := path + ".listings[" + l.SKU + "]"
		if seen[l.SKU] {
			d.problem(path, "the SKU is listed twice in this session")
		}
		seen[l.SKU] = true
		d.listing(path, old, l)
	}
}

// listings counts what a session would offer.
func (d *planDiff) listings(old *Session, p *SessionPlan) int {
	n := len(p.Listings)
	if old != nil {
		n = len(old.Listings)
		for _, l := range p.Listings {
			if d.state.listingIn(old, l.SKU) == nil {
				n++
			}
		}
	}
	return n
}

// Length is how long the session is to be open.
func (s *SessionSpec) Length() time.Duration { return s.End.Sub(s.Start) }

func (d *planDiff) oldSession(path, sale string, old *Session, p *SessionPlan, start, end Time) {
	before := len(d.Changes)
	defer func() {
		for _, h := range old.Listings {
			if l := d.state.listings[h-1]; len(d.Changes) > before {
				d.changed[path+".listings["+l.SKU+"]"] = l.Stock
			}
		}
	}()
	if old.Sale != sale {
		d.problem(path, "the session belongs to sale %q; take another id", old.Sale)
	}
	if old.Start != start {
		if old.State >= Open {
			d.problem(path+".start", "the session has started at %s; its start can't change",
				old.Start.Wall().Format(time.RFC3339))
		}
		compare(d, path+".start", old.Start.Wall().Format(time.RFC3339Nano), start.Wall().Format(time.RFC3339Nano))
	}
	if old.End != end {
		if end <= d.state.now {
			d.problem(path+".duration", "it would end at %s, which is past; to end it now, end the session",
				end.Wall().Format(time.RFC3339))
		}
		d.size.ends += btoi(end < old.End && old.State < Ended)
		compare(d, path+".end", old.End.Wall().Format(time.RFC3339Nano), end.Wall().Format(time.RFC3339Nano))
	}
	compare(d, path+".pay_within", old.PayWithin, p.PayWithin)
	compare(d, path+".pay_grace", old.PayGrace, p.PayGrace)
	compare(d, path+".limit_per_shopper", old.LimitPerShopper, p.LimitPerShopper)
	compare(d, path+".admission_multiple", old.AdmissionMultiple, p.AdmissionMultiple)
	compare(d, path+".coupons_up_to", old.CouponsUpTo, p.CouponsUpTo)
	compare(d, path+".receive_within", old.ReceiveWithin, p.ReceiveWithin)
	compare(d, path+".complete_within", old.CompleteWithin, p.CompleteWithin)
	compare(d, path+".forecast", old.Forecast, p.Forecast)
	compare(d, path+".profile", old.Profile, p.Profile)
	if p.Publish && old.State == Draft && end <= d.state.now && end == old.End {
		d.problem(path, "it ended at %s; a session that is over can't be published", end.Wall().Format(time.RFC3339))
	}
	if !p.Publish && old.Publish {
		d.problem(path+".publish", "the session is published and can't be a draft again; pause it or end it")
	}
	published := old.Publish || old.State == Published || old.State == Open
	d.merge(path+".publish", strconv.FormatBool(old.Publish), strconv.FormatBool(published),
		strconv.FormatBool(p.Publish))
	if old.State >= Ended && old.EndedAt < old.End {
		d.note(path, "has ended at %s already; what is planned until %s needs a session under a new id",
			old.EndedAt.Wall().Format(time.RFC3339), old.End.Wall().Format(time.RFC3339))
	}
	if old.State >= Ended && len(d.Changes) > before {
		d.problem(path, "the session has ended; plan another one under a new id")
	}
}

func (d *planDiff) listing(path string, session *Session, l *ListingSpec) {
	if !ValidID(l.SKU) {
		d.problem(path+".sku", "the id %s", idForm)
	} else if !d.known(l.SKU) {
		d.problem(path+".sku", "no product %q, in the plan or before it", l.SKU)
	}
	d.between(path+".stock", l.Stock, 0, MaxStock)
	d.between(path+".shown", l.Shown, -1, MaxStock)
	d.between(path+".price", l.Price, 0, MaxPrice)
	d.atMost(path+".limit_per_shopper", l.LimitPerShopper, MaxQuantity)
	d.atMost(path+".limit_per_month", l.LimitPerMonth, MaxQuantity)
	d.names(path+".allow_list", l.AllowList)
	d.lasts(path+".draw", l.Draw, 0, MaxDraw)
	d.lasts(path+".set_aside", l.SetAside, 0, MaxSetAside)
	if l.Delivery >= deliveryEnd {
		d.problem(path+".delivery", "is no way of delivery")
	}
	d.missing(path+".allow_list", d.state.missingList(l.AllowList))
	var old *Listing
	if session != nil {
		old = d.state.listingIn(session, l.SKU)
	}
	play := l.Play
	if old != nil && session.keeps(old.Play, play) {
		play = old.Play
	}
	d.play(path+".play", l, play)
	if old == nil {
		if session != nil && session.State >= Ended {
			d.problem(path, "the session has ended; nothing can be listed any more")
		}
		compare(d, path, "", fmt.Sprintf("%d units at %d%s", l.Stock, l.Price, l.told(d.named(l.Play))))
		if p := d.state.Product(l.SKU); p != nil && p.Retired {
			d.problem(path+".sku", "product %q is retired: nothing lists it any more", l.SKU)
		}
		d.puts(path+".stock", l.SKU, l.Stock)
		d.changed[path] = l.Stock
		d.speaks(nil, l.Play)
		return
	}
	before := len(d.Changes)
	compare(d, path+".price", old.Price, l.Price)
	if l.Stock != old.ListingSpec.Stock && session.State < Ended {
		d.puts(path+".stock", l.SKU, l.Stock-old.Stock)
	}
	if l.Stock != old.ListingSpec.Stock && l.Stock < old.Held+old.Paid {
		d.problem(path+".stock", "%d is less than the %d held and %d paid: it can be %d at least",
			l.Stock, old.Held, old.Paid, old.Held+old.Paid)
	}
	if session.State >= Ended {
		compare(d, path+".stock", old.ListingSpec.Stock, l.Stock)
	} else {
		d.merge(path+".stock", fmt.Sprint(old.ListingSpec.Stock), fmt.Sprint(old.Stock), fmt.Sprint(l.Stock))
	}
	compare(d, path+".shown", old.Shown, l.Shown)
	compare(d, path+".limit_per_shopper", old.LimitPerShopper, l.LimitPerShopper)
	compare(d, path+".sort_order", old.SortOrder, l.SortOrder)
	compare(d, path+".limit_per_month", old.LimitPerMonth, l.LimitPerMonth)
	compare(d, path+".reservation", old.Reservation, l.Reservation)
	compare(d, path+".allow_list", old.AllowList, l.AllowList)
	compare(d, path+".waitlist", old.Waitlist, l.Waitlist)
	compare(d, path+".ticket", old.Ticket, l.Ticket)
	compare(d, path+".challenge", old.Challenge, l.Challenge)
	compare(d, path+".draw", old.Draw, l.Draw)
	compare(d, path+".set_aside", old.SetAside, l.SetAside)
	compare(d, path+".delivery", old.Delivery, l.Delivery)
	d.otherPlay(path+".play", session, old, l.Play)
	d.speaks(old.Play, play)
	if old.Draw != l.Draw && session.State >= Open {
		d.problem(path+".draw", "the session has opened; its draw can't change")
	}
	if len(d.Changes) > before {
		d.changed[path] = max(old.Stock, l.Stock)
		switch {
		case session.State >= Ended:
			d.problem(path, "the session has ended; nothing in it may change")
		case old.Frozen:
			d.problem(path, "the listing is frozen after a broken invariant; nothing in it may change")
		}
	}
}

// told gives the rules that the listing asks for beyond its limits, each after a comma.
func (l *ListingSpec) told(play *Play) string {
	var b strings.Builder
	for _, rule := range [...]struct {
		asked bool
		said  string
	}{
		{l.LimitPerMonth > 0, fmt.Sprintf("limit_per_month %d", l.LimitPerMonth)}, {l.Reservation, "reservation"},
		{l.AllowList != "", "allow_list " + l.AllowList}, {l.Waitlist, "waitlist"},
		{l.SetAside > 0, "set_aside " + l.SetAside.String()},
		{l.Ticket, "ticket"},
		{l.Challenge != ChallengeNone, "challenge " + l.Challenge.String()}, {l.Draw > 0, "draw " + l.Draw.String()},
		{play != nil, "play " + play.String()},
		{l.Delivery != DeliveryNone, "delivery " + l.Delivery.String()},
	} {
		if rule.asked {
			b.WriteString(", " + rule.said)
		}
	}
	return b.String()
}

func (d *planDiff) known(product string) bool {
	return d.products[product] || d.state.productNo(product) != 0
}

// applyPlan makes the plan true, or refuses it whole.
func (s *State) applyPlan(c *Command) Event {
	s.startFromNow(c.Plan)
	s.settlePlanned(c.Plan)
	o := s.ComparePlan(c.Plan)
	o.Command = int32(len(s.eff.Primary))
	s.eff.Plans = append(s.eff.Plans, o)
	if len(o.Problems) > 0 {
		return Event{Kind: PlanRefused, Reason: ReasonConflict}
	}
	if len(o.Changes) == 0 {
		for i := range c.Plan.Sales {
			sale := c.Plan.Sales[i].Sale // the plan may be an approval's, which a snapshot may hold
			s.learnMonths(&sale)
		}
		return Event{Kind: PlanApplied}
	}
	if e, awaits := s.planAwaits(c, &o); awaits {
		return e
	}
	if c.Plan.ByHand {
		s.recordPlan(c, &o, PlanWords)
	} else {
		s.recordPlan(c, &o, PlanFile)
		s.undo = s.undoOf(c.Plan, o.Changes, c.Operator)
	}
	s.makePlan(c.Plan, c.Entropy)
	s.eff.Catalogue = true
	s.runTimers()
	return Event{Kind: PlanApplied}
}

// makePlan makes a plan true that has no problems.
func (s *State) makePlan(p *Plan, entropy [32]byte) {
	for i := range p.Products {
		s.planProduct(&p.Products[i])
	}
	s.keepTemplates(p)
	for i := range p.Sales {
		sale := &p.Sales[i]
		kept := sale.Sale // a pointer to it would keep the whole plan, and a snapshot may hold that
		s.learnMonths(&kept)
		kept.Messages, kept.Planned = s.messagesAfter(&sale.Sale, p.ByHand)
		kept.Before = wordsBeforeChange(s.sales[kept.ID], kept.Messages)
		kept.Archived = s.staysArchived(sale)
		s.sales[kept.ID] = &kept
		for j := range sale.Sessions {
			s.planSession(sale.ID, &sale.Sessions[j], entropy)
		}
	}
	for i := range p.Products { // last, so that what they lower is counted once
		s.planStock(&p.Products[i])
	}
}

// startFromNow counts the relative starts of p from state time.
func (s *State) startFromNow(p *Plan) {
	if p.Now <= 0 || p.Now > maxTime {
		return
	}
	late := s.now - p.Now
	for i := range p.Sales {
		for j := range p.Sales[i].Sessions {
			x := &p.Sales[i].Sessions[j].SessionSpec
			if sane(x.Start) && sane(x.End) && (x.StartSpec == "now" || strings.HasPrefix(x.StartSpec, "+")) {
				x.Start, x.End = x.Start+late, x.End+late
			}
		}
	}
}

func (s *State) planSession(sale string, p *SessionPlan, entropy [32]byte) {
	x := s.sessionByID[p.ID]
	if x == nil {
		x = &Session{Handle: SessionHandle(len(s.sessions) + 1), SessionSpec: p.SessionSpec, Sale: sale}
		s.sessions = append(s.sessions, x)
		s.sessionByID[x.ID] = x
	} else {
		start := p.Start
		if x.StartSpec == p.StartSpec {
			start = x.Start
		}
		length, profile := p.Length(), x.Profile
		x.SessionSpec = p.SessionSpec
		x.Start, x.End = start, start.Add(length)
		if x.State == Open && x.Profile != profile {
			s.profileFor(x, false, "another profile is planned")
			s.profileFor(x, true, "planned while it is open")
		}
	}
	for _, spec := range p.Listings {
		s.planListing(x, spec, entropy)
	}
	if x.Publish && x.State == Draft { // till then its plays may change
		x.State = Published
	}
	for _, h := range x.Listings {
		s.touch(h)
	}
	s.schedule(x)
}

func (s *State) planListing(x *Session, spec ListingSpec, entropy [32]byte) {
	l := s.listingIn(x, spec.SKU)
	if l == nil {
		s.overruleCurrency(spec.SKU)
		l = &Listing{Handle: ListingHandle(len(s.listings) + 1), Session: x.Handle, Stock: spec.Stock,
			Available: spec.Stock, Lowest: spec.Stock}
		l.SKU = spec.SKU
		s.addListing(l)
		x.Listings = append(x.Listings, l.Handle)
	} else if spec.Stock != l.ListingSpec.Stock { // else what operators added stays
		l.adjust(spec.Stock - l.Stock)
		s.countUp(l)
	}
	spec.Play = s.playOf(x, l.Play, spec.Play)
	l.ListingSpec = spec
	l.Currency = s.currencyOf(s.products.row(s.productNo(spec.SKU)))
	if (l.Draw > 0 || l.Play.Cuts()) && l.Seed == [32]byte{} {
		l.Seed = sha256.Sum256(append(entropy[:], x.ID+"/skus/"+l.SKU...))
		if x.State == Open { // listed late: its draw begins, or is over, with the session's opening
			x.draws = s.drawsOf(x)
		}
	}
}
