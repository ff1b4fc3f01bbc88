package engine

import (
	"cmp"
	"fmt"
	"slices"
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
	Sales    []SalePlan
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
	d := planDiff{state: s, byHand: p.ByHand, products: make(map[string]bool, len(p.Products)), noted: map[string]bool{}}
	d.plan(p)
	if len(d.Problems) > 0 {
		return PlanOutcome{Problems: d.Problems}
	}
	return d.PlanOutcome
}

type planDiff struct {
	state    *State
	byHand   bool
	products map[string]bool // those in the plan
	noted    map[string]bool // what is said once, whatever it is said of
	PlanOutcome
}

func (d *planDiff) problem(path, format string, args ...any) {
	d.Problems = append(d.Problems, Problem{path, fmt.Sprintf(format, args...)})
}

func (d *planDiff) note(path, format string, args ...any) {
	d.Notes = append(d.Notes, Problem{path, fmt.Sprintf(format, args...)})
}

// settle compares what both plans and operators change, by one rule: a value that is
// not the last plan's is what there shall be, whatever operators made of it; one
// that is the last plan's leaves what they made of it.
func (d *planDiff) settle(path, planned, live, wanted string) {
	switch {
	case wanted == planned && live != planned:
		d.note(path, "%s stays: operators have changed it since the plan said %s; to have a plan change it, say another value",
			said(live), said(planned))
	case wanted != planned && live != planned:
		d.Changes = append(d.Changes, Change{path, fmt.Sprintf("%s (%s in the last plan)", said(live), said(planned)), wanted})
	default:
		d.change(path, planned, wanted)
	}
}

// said gives a value within a sentence.
func said(value string) string {
	switch {
	case value == "":
		return "nothing"
	case strings.ContainsAny(value, " .;:"):
		return strconv.Quote(value)
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
	if name == "" || s.RosterCount(RosterID{Kind: RosterAllowed, Name: name}) > 0 {
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

func (d *planDiff) change(path, before, after string) {
	if before != after {
		d.Changes = append(d.Changes, Change{path, before, after})
	}
}

func (d *planDiff) number(path string, before, after int64) {
	d.change(path, units(before), units(after))
}

func units(n int64) string { return strconv.FormatInt(n, 10) }

func (d *planDiff) text(path string, before, after Text) {
	for _, w := range after {
		old := ""
		for _, b := range before {
			if b.Lang == w.Lang {
				old = b.Text
			}
		}
		d.change(path+"."+w.Lang, old, w.Text)
	}
	for _, b := range before {
		kept := false
		for _, w := range after {
			kept = kept || w.Lang == b.Lang
		}
		if !kept {
			d.Changes = append(d.Changes, Change{path + "." + b.Lang, b.Text, ""})
		}
	}
}

// words checks a text, and compares it with what was there before if that makes sense.
func (d *planDiff) words(path string, before, after Text) {
	if d.spoken(path, after) {
		d.text(path, before, after)
	}
}

// spoken checks a text; false if it is too long to be compared.
func (d *planDiff) spoken(path string, after Text) bool {
	if len(after) > MaxLanguages {
		d.problem(path, "%d languages are over %d", len(after), MaxLanguages)
		return false
	}
	seen := map[string]bool{}
	for _, w := range after {
		if seen[w.Lang] {
			d.problem(path, "the language %q is there twice", w.Lang)
		}
		seen[w.Lang] = true
		d.fits(path, w.Lang, MaxIDBytes)
		d.fits(path+"."+w.Lang, w.Text, MaxTextBytes)
	}
	return true
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
	seen := map[string]bool{}
	for i := range p.Products {
		product := &p.Products[i]
		path := "products[" + product.ID + "]"
		if !ValidID(product.ID) {
			d.problem(path, "the id is not 1 to %d letters, digits, dots, dashes or underscores", MaxIDBytes)
		}
		if seen[path] {
			d.problem(path, "the id is there twice")
		}
		seen[path] = true
		d.products[product.ID] = true
		d.product(path, product)
	}
	for i := range p.Sales {
		sale := &p.Sales[i]
		path := "sales[" + sale.ID + "]"
		if !ValidID(sale.ID) {
			d.problem(path, "the id is not 1 to %d letters, digits, dots, dashes or underscores", MaxIDBytes)
		}
		if seen[path] {
			d.problem(path, "the id is there twice")
		}
		seen[path] = true
		d.sale(path, &sale.Sale)
		for j := range sale.Sessions {
			session := &sale.Sessions[j]
			// A session's id is the shop's, not only its sale's: it stands alone in URLs.
			key := "session " + session.ID
			path := path + ".sessions[" + session.ID + "]"
			if seen[key] {
				d.problem(path, "the id is there twice; session ids are unique across sales")
			}
			seen[key] = true
			d.session(path, sale.ID, session)
		}
	}
}

func (d *planDiff) product(path string, p *Product) {
	if p.ListPrice < 0 || p.ListPrice > MaxPrice {
		d.problem(path+".list_price", "%d is not between 0 and %d", p.ListPrice, int64(MaxPrice))
	}
	if len(p.Currency) != 3 || strings.Trim(p.Currency, "ABCDEFGHIJKLMNOPQRSTUVWXYZ") != "" {
		d.problem(path+".currency", "%q is not an ISO 4217 code of three capital letters", p.Currency)
	}
	d.fits(path+".image", p.Image, MaxURLBytes)
	d.fits(path+".supplier", p.Supplier, MaxTextBytes)
	if at := p.Place; at != nil && !(at.Latitude >= -90 && at.Latitude <= 90 && at.Longitude >= -180 && at.Longitude <= 180) {
		d.problem(path+".place", "%s is not between -90,-180 and 90,180", at)
	}
	old, found := d.state.products[p.ID]
	if !found {
		d.words(path+".name", p.Name, p.Name)
		d.change(path, "", "new")
		return
	}
	d.words(path+".name", old.Name, p.Name)
	d.change(path+".image", old.Image, p.Image)
	d.change(path+".supplier", old.Supplier, p.Supplier)
	d.number(path+".list_price", old.ListPrice, p.ListPrice)
	if old.Currency != p.Currency {
		if d.state.offered(p.ID) {
			d.problem(path+".currency", "stays %s: the product is offered in a session already", old.Currency)
		}
		d.change(path+".currency", old.Currency, p.Currency)
	}
	d.change(path+".place", old.Place.String(), p.Place.String())
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
	old, found := d.state.sales[s.ID]
	if !found {
		d.words(path+".name", s.Name, s.Name)
		d.change(path, "", "new")
		old = &Sale{}
	} else {
		d.words(path+".name", old.Name, s.Name)
		d.change(path+".timezone", old.Timezone, s.Timezone)
	}
	d.messages(path+".messages", old, s.Messages)
}

// messages compares what a sale's shoppers are told in its own words.
func (d *planDiff) messages(path string, old *Sale, after []Message) {
	for i, m := range after {
		at := path + "." + m.Name
		if !ValidID(m.Name) || i > 0 && after[i-1].Name >= m.Name {
			d.problem(at, "is no name of a message, or there twice")
		}
		if !d.spoken(at, m.Text) {
			return
		}
	}
	planned := old.Planned
	if d.byHand {
		planned = old.Messages
	}
	for _, w := range wordings(old.Messages, planned, after) {
		d.settle(path+"."+w.name+"."+w.lang, wordsOf(planned, w), wordsOf(old.Messages, w), wordsOf(after, w))
	}
}

// wording names one message in one language.
type wording struct{ name, lang string }

// wordings gives each wording that any of the messages has, sorted.
func wordings(of ...[]Message) (all []wording) {
	for _, messages := range of {
		for _, m := range messages {
			for _, w := range m.Text {
				all = append(all, wording{m.Name, w.Lang})
			}
		}
	}
	slices.SortFunc(all, func(a, b wording) int {
		return cmp.Or(strings.Compare(a.name, b.name), strings.Compare(a.lang, b.lang))
	})
	return slices.Compact(all)
}

// wordsOf gives the text of a wording, "" where there is none.
func wordsOf(messages []Message, at wording) string {
	for _, m := range messages {
		for _, w := range m.Text {
			if m.Name == at.name && w.Lang == at.lang {
				return w.Text
			}
		}
	}
	return ""
}

// messagesAfter gives what a sale's shoppers are told once a plan says sale, and what
// the next plan is held against: see planDiff.settle.
func (s *State) messagesAfter(sale *Sale, byHand bool) (live, planned []Message) {
	old := s.sales[sale.ID]
	switch {
	case old == nil:
		return sale.Messages, sale.Messages
	case byHand:
		return sale.Messages, old.Planned
	}
	for _, w := range wordings(old.Messages, sale.Messages) {
		text := wordsOf(sale.Messages, w)
		if text == wordsOf(old.Planned, w) {
			text = wordsOf(old.Messages, w)
		}
		if text == "" {
			continue
		}
		if len(live) == 0 || live[len(live)-1].Name != w.name {
			live = append(live, Message{Name: w.name})
		}
		m := &live[len(live)-1]
		m.Text = append(m.Text, Words{w.lang, text})
	}
	return live, sale.Messages
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

func (d *planDiff) session(path, sale string, p *SessionPlan) {
	if !ValidID(p.ID) {
		d.problem(path, "the id is not 1 to %d letters, digits, dots, dashes or underscores", MaxIDBytes)
	}
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
	if p.PayWithin < time.Second || p.PayWithin > MaxPayWithin || p.PayWithin%time.Millisecond != 0 {
		d.problem(path+".pay_within", "%s is not between 1s and %s, in whole milliseconds", p.PayWithin, MaxPayWithin)
	}
	if p.PayGrace < 0 || p.PayGrace > MaxPayGrace || p.PayGrace%time.Millisecond != 0 {
		d.problem(path+".pay_grace", "%s is not between 0s and %s, in whole milliseconds", p.PayGrace, MaxPayGrace)
	}
	if p.LimitPerShopper > MaxQuantity {
		d.problem(path+".limit_per_shopper", "%d is over %d", p.LimitPerShopper, MaxQuantity)
	}
	if p.AdmissionMultiple > MaxAdmission {
		d.problem(path+".admission_multiple", "%d is over %d", p.AdmissionMultiple, MaxAdmission)
	}
	if p.Profile != "" && !ValidID(p.Profile) {
		d.problem(path+".profile", "%q is not 1 to %d letters, digits, dots, dashes or underscores", clip(p.Profile), MaxIDBytes)
	}
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
		d.change(path, "", said)
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
	if old.Sale != sale {
		d.problem(path, "the session belongs to sale %q; take another id", old.Sale)
	}
	if old.Start != start {
		if old.State >= Open {
			d.problem(path+".start", "the session has started at %s; its start can't change", old.Start.Wall().Format(time.RFC3339))
		}
		d.change(path+".start", old.Start.Wall().Format(time.RFC3339Nano), start.Wall().Format(time.RFC3339Nano))
	}
	if old.End != end {
		if end <= d.state.now {
			d.problem(path+".duration", "it would end at %s, which is past; to end it now, end the session", end.Wall().Format(time.RFC3339))
		}
		d.change(path+".end", old.End.Wall().Format(time.RFC3339Nano), end.Wall().Format(time.RFC3339Nano))
	}
	d.change(path+".pay_within", old.PayWithin.String(), p.PayWithin.String())
	d.change(path+".pay_grace", old.PayGrace.String(), p.PayGrace.String())
	d.number(path+".limit_per_shopper", int64(old.LimitPerShopper), int64(p.LimitPerShopper))
	d.number(path+".admission_multiple", int64(old.AdmissionMultiple), int64(p.AdmissionMultiple))
	d.change(path+".profile", old.Profile, p.Profile)
	if p.Publish && old.State == Draft && end <= d.state.now && end == old.End {
		d.problem(path, "it ended at %s; a session that is over can't be published", end.Wall().Format(time.RFC3339))
	}
	if !p.Publish && old.Publish {
		d.problem(path+".publish", "the session is published and can't be a draft again; pause it or end it")
	}
	published := old.Publish || old.State == Published || old.State == Open
	d.settle(path+".publish", strconv.FormatBool(old.Publish), strconv.FormatBool(published), strconv.FormatBool(p.Publish))
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
		d.problem(path+".sku", "the id is not 1 to %d letters, digits, dots, dashes or underscores", MaxIDBytes)
	} else if !d.known(l.SKU) {
		d.problem(path+".sku", "no product %q, in the plan or before it", l.SKU)
	}
	if l.Stock < 0 || l.Stock > MaxStock {
		d.problem(path+".stock", "%d is not between 0 and %d", l.Stock, MaxStock)
	}
	if l.Shown < -1 || l.Shown > MaxStock {
		d.problem(path+".shown", "%d is not between 0 and %d", l.Shown, MaxStock)
	}
	if l.Price < 0 || l.Price > MaxPrice {
		d.problem(path+".price", "%d is not between 0 and %d", l.Price, int64(MaxPrice))
	}
	if l.LimitPerShopper > MaxQuantity {
		d.problem(path+".limit_per_shopper", "%d is over %d", l.LimitPerShopper, MaxQuantity)
	}
	if l.LimitPerMonth > MaxQuantity {
		d.problem(path+".limit_per_month", "%d is over %d", l.LimitPerMonth, MaxQuantity)
	}
	if l.AllowList != "" && !ValidID(l.AllowList) {
		d.problem(path+".allow_list", "%q is not 1 to %d letters, digits, dots, dashes or underscores", clip(l.AllowList), MaxIDBytes)
	}
	if l.Draw < 0 || l.Draw > MaxDraw || l.Draw%time.Millisecond != 0 {
		d.problem(path+".draw", "%s is not between 0s and %s, in whole milliseconds", l.Draw, MaxDraw)
	}
	if l.SetAside < 0 || l.SetAside > MaxSetAside || l.SetAside%time.Millisecond != 0 {
		d.problem(path+".set_aside", "%s is not between 0s and %s, in whole milliseconds", l.SetAside, MaxSetAside)
	}
	d.missing(path+".allow_list", d.state.missingList(l.AllowList))
	var old *Listing
	if session != nil {
		old = d.state.listingIn(session, l.SKU)
	}
	if old == nil {
		if session != nil && session.State >= Ended {
			d.problem(path, "the session has ended; nothing can be listed any more")
		}
		d.change(path, "", fmt.Sprintf("%d units at %d%s", l.Stock, l.Price, l.told()))
		return
	}
	before := len(d.Changes)
	d.number(path+".price", old.Price, l.Price)
	if l.Stock != old.ListingSpec.Stock && l.Stock < old.Held+old.Paid {
		d.problem(path+".stock", "%d is less than the %d held and %d paid: it can be %d at least",
			l.Stock, old.Held, old.Paid, old.Held+old.Paid)
	}
	if session.State >= Ended {
		d.number(path+".stock", old.ListingSpec.Stock, l.Stock)
	} else {
		d.settle(path+".stock", units(old.ListingSpec.Stock), units(old.Stock), units(l.Stock))
	}
	d.number(path+".shown", old.Shown, l.Shown)
	d.number(path+".limit_per_shopper", int64(old.LimitPerShopper), int64(l.LimitPerShopper))
	d.number(path+".sort_order", int64(old.SortOrder), int64(l.SortOrder))
	d.number(path+".limit_per_month", int64(old.LimitPerMonth), int64(l.LimitPerMonth))
	d.change(path+".reservation", strconv.FormatBool(old.Reservation), strconv.FormatBool(l.Reservation))
	d.change(path+".allow_list", old.AllowList, l.AllowList)
	d.change(path+".waitlist", strconv.FormatBool(old.Waitlist), strconv.FormatBool(l.Waitlist))
	d.change(path+".ticket", strconv.FormatBool(old.Ticket), strconv.FormatBool(l.Ticket))
	d.change(path+".challenge", old.Challenge.String(), l.Challenge.String())
	d.change(path+".draw", old.Draw.String(), l.Draw.String())
	d.change(path+".set_aside", old.SetAside.String(), l.SetAside.String())
	if old.Draw != l.Draw && session.State >= Open {
		d.problem(path+".draw", "the session has opened; its draw can't change")
	}
	if len(d.Changes) > before {
		switch {
		case session.State >= Ended:
			d.problem(path, "the session has ended; nothing in it may change")
		case old.Frozen:
			d.problem(path, "the listing is frozen after a broken invariant; nothing in it may change")
		}
	}
}

// told gives the rules that the listing asks for beyond its limits, each after a comma.
func (l *ListingSpec) told() string {
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
	} {
		if rule.asked {
			b.WriteString(", " + rule.said)
		}
	}
	return b.String()
}

func (d *planDiff) known(product string) bool {
	_, there := d.state.products[product]
	return there || d.products[product]
}
