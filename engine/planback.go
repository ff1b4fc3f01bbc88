package engine

import (
	"fmt"
	"strings"
	"time"
)

// undo takes the last plan back: what there was of all that it changed, and what there was
// not. Immutable.
type undo struct {
	AppliedPlan
	Plan *Plan // what there was; nil: it has no room in one entry
	// What the plan made, by ids. The sessions of a sale that it made are not named again.
	Products, Sales, Sessions []string
	Listings                  []string // paths of those that it made in sessions which there were
	Plays                     []string
	Stocks                    []string // products of which nothing was known before, or what was is older
}

// readUndo reads what takes the last plan back.
func (s *State) readUndo(c *coder) {
	s.undo = new(undo)
	c.all(s.undo)
	c.check(s.undo.Of > 0 && s.undo.Of <= s.index, "a way back from no plan")
}

// AppliedPlan names a plan that was applied: by the log index of its entry, 0 for none.
type AppliedPlan struct {
	Of LogIndex
	At Time
	By string
}

// Back is how the last plan is to be taken back.
type Back struct {
	Of     LogIndex // the plan that is meant; 0: the last one, whichever that is
	Note   string
	DryRun bool // only tells
}

// LastPlan says which plan is taken back by the next step back.
func (s *State) LastPlan() AppliedPlan {
	if s.undo == nil {
		return AppliedPlan{}
	}
	return s.undo.AppliedPlan
}

// undoOf says how p is taken back, before it is applied, by what it changes.
func (s *State) undoOf(p *Plan, changes []Change, by string) *undo {
	u := &undo{AppliedPlan: AppliedPlan{s.index, s.now, by}, Plan: &Plan{}}
	touched := map[string]bool{} // paths of things, and of those that they are in
	for _, c := range changes {
		for i := range len(c.Path) {
			if c.Path[i] == ']' {
				touched[c.Path[:i+1]] = true
			}
		}
	}
	for i := range p.Products {
		x := &p.Products[i]
		switch old := s.Product(x.ID); {
		case old == nil:
			u.Products = append(u.Products, x.ID)
		case touched["products["+x.ID+"]"]:
			switch {
			case !x.Stock.Known || x.Stock == old.Stock:
				old.Stock = SupplierStock{}
			case !old.Stock.Known, old.Stock.Remaining && x.Stock.Remaining && old.Stock.AsOf < x.Stock.AsOf:
				u.Stocks, old.Stock = append(u.Stocks, x.ID), SupplierStock{}
			}
			u.Plan.Products = append(u.Plan.Products, *old)
		}
	}
	for _, t := range p.Plays {
		if old := s.plays[t.ID]; old == nil {
			u.Plays = append(u.Plays, t.ID)
		} else if old.Text != t.Text {
			u.Plan.Plays = append(u.Plan.Plays, old.PlayTemplate)
		}
	}
	for i := range p.Sales {
		x, path := &p.Sales[i], "sales["+p.Sales[i].ID+"]"
		switch old := s.sales[x.ID]; {
		case old == nil:
			u.Sales = append(u.Sales, x.ID)
		case touched[path]:
			was := SalePlan{Sale: Sale{ID: old.ID, Name: old.Name, Timezone: old.Timezone,
				Messages: s.wordsBefore(&x.Sale)}}
			if old.Timezone != x.Timezone {
				was.Months, was.Offsets = old.Months, old.Offsets
			}
			for j := range x.Sessions {
				if at := path + ".sessions[" + x.Sessions[j].ID + "]"; touched[at] {
					s.undoSession(u, &was, &x.Sessions[j], touched)
				}
			}
			u.Plan.Sales = append(u.Plan.Sales, was)
		}
	}
	if len(written(u.Plan)) > MaxPlanBytes {
		u.Plan = nil
	}
	return u
}

// undoSession notes what there was of a session, and of its listings that a plan changes.
func (s *State) undoSession(u *undo, sale *SalePlan, p *SessionPlan, touched map[string]bool) {
	x := s.sessionByID[p.ID]
	if x == nil {
		u.Sessions = append(u.Sessions, p.ID)
		return
	}
	was := SessionPlan{SessionSpec: x.SessionSpec}
	for _, spec := range p.Listings {
		path := "sales[" + sale.ID + "].sessions[" + p.ID + "].listings[" + spec.SKU + "]"
		if !touched[path] {
			continue
		}
		if l := s.listingIn(x, spec.SKU); l != nil {
			said := spec.Stock
			if spec = l.ListingSpec; said != spec.Stock { // else the plan leaves what operators made of it
				spec.Stock = l.Stock
			}
		} else {
			u.Listings = append(u.Listings, path)
			spec.Stock = 0 // a listing can't be taken out of a session
		}
		was.Listings = append(was.Listings, spec)
	}
	sale.Sessions = append(sale.Sessions, was)
}

// wordsBefore gives the words of a sale by which a plan is taken back that says others: what
// it changes is what shoppers were told, and the rest is left as it stands then.
func (s *State) wordsBefore(p *Sale) (words []Message) {
	before := s.sales[p.ID].Messages
	live, planned := s.messagesAfter(p, false)
	for _, w := range wordings(before, live, planned) {
		text := messageText(before, w)
		if text == messageText(live, w) {
			text = messageText(planned, w)
		}
		words = withWording(words, w, text)
	}
	return words
}

// withWording appends a wording, unless it is "", to messages that are before it or its own.
func withWording(to []Message, w wording, text string) []Message {
	if text == "" {
		return to
	}
	if len(to) == 0 || to[len(to)-1].Name != w.name {
		to = append(to, Message{Name: w.name})
	}
	m := &to[len(to)-1]
	m.Text = append(m.Text, Words{w.lang, text})
	return to
}

// CompareBack tells what taking the last plan back would change, as ComparePlan does of a
// plan.
func (s *State) CompareBack() PlanOutcome {
	d := &planDiff{state: s, noted: map[string]bool{}, changed: map[string]int64{}}
	u := s.undo
	switch {
	case u == nil:
		d.problem("plan", "there is none to be taken back: none was applied, or the last one was taken back already")
		return PlanOutcome{Problems: d.Problems}
	case u.Plan == nil:
		d.problem("plan", "what there was before it is over %d bytes, and was not kept", MaxPlanBytes)
		return PlanOutcome{Problems: d.Problems}
	}
	if s.goneSince(d, u); len(d.Problems) > 0 {
		return PlanOutcome{Problems: d.Problems}
	}
	o := s.ComparePlan(u.Plan)
	d.Problems = o.Problems
	s.compareMade(d, u)
	if len(d.Problems) > 0 {
		return PlanOutcome{Problems: d.Problems}
	}
	o.Changes, o.Notes = append(o.Changes, d.Changes...), append(o.Notes, d.Notes...)
	for _, units := range d.changed {
		o.size.listings, o.size.units = o.size.listings+1, o.size.units+units
	}
	o.Approval = s.approving.planWhy(&o)
	return o
}

// goneSince notes what can't be as it was because somebody has deleted it.
func (s *State) goneSince(d *planDiff, u *undo) {
	gone := func(is bool, path string) {
		if is {
			d.problem(path, "has been deleted since the plan was applied, and can't be as it was")
		}
	}
	for _, x := range u.Plan.Products {
		gone(s.productNo(x.ID) == 0, "products["+x.ID+"]")
	}
	for _, sale := range u.Plan.Sales {
		path := "sales[" + sale.ID + "]"
		gone(s.sales[sale.ID] == nil, path)
		for _, x := range sale.Sessions {
			gone(s.sessionByID[x.ID] == nil, path+".sessions["+x.ID+"]")
		}
	}
}

// compareMade compares what a plan has made with that it goes, or says why it can't.
func (s *State) compareMade(d *planDiff, u *undo) {
	for _, x := range s.madeSessions(u) {
		path := "sales[" + x.Sale + "].sessions[" + x.ID + "]"
		switch why := s.mayDelete(x); why {
		case ReasonNone:
			d.Changes = append(d.Changes, Change{Path: path, Before: fmt.Sprintf("%s, opens %s", x.State,
				x.Start.Wall().Format(time.RFC3339Nano))})
			for _, h := range x.Listings {
				d.changed[path+".listings["+s.listings[h-1].SKU+"]"] = s.listings[h-1].Stock
			}
		case ReasonOffered:
			d.problem(path, "somebody has ordered from the session: it can't be taken back; end it instead")
		case ReasonNotOpen:
			d.problem(path, "the session has opened: it can't be taken back; end it instead")
		default:
			d.problem(path, "the session can't be taken back: %s", why)
		}
	}
	for _, id := range u.Sales {
		if s.sales[id] != nil {
			d.Changes = append(d.Changes, Change{Path: "sales[" + id + "]", Before: "there"})
		}
	}
	made := s.madeProducts(u)
	for _, id := range u.Products {
		switch {
		case made[id]:
			d.Changes = append(d.Changes, Change{Path: "products[" + id + "]", Before: "there"})
		case s.productNo(id) != 0:
			d.note("products["+id+"]", "stays: a session lists it")
		}
	}
	for _, path := range u.Listings {
		d.note(path, "stays listed, with nothing to sell: a listing can't be taken out of a session")
	}
	for _, id := range u.Stocks {
		d.note("products["+id+"].stock", "stays: nothing was known of it before, or what was is as of an earlier time")
	}
	for _, id := range u.Plays {
		d.note("plays["+id+"]", "stays: a template of plays can't be deleted")
	}
}

// madeSessions gives those that a plan has made and that are still there, in the order of
// their handles.
func (s *State) madeSessions(u *undo) (made []*Session) {
	sales := setOf(u.Sales)
	ids := setOf(u.Sessions)
	for _, x := range s.sessions {
		if x.State != Deleted && (ids[x.ID] || sales[x.Sale]) {
			made = append(made, x)
		}
	}
	return made
}

// madeProducts gives those that a plan has made and that nothing lists once its sessions are
// gone.
func (s *State) madeProducts(u *undo) map[string]bool {
	made := map[string]bool{}
	for _, id := range u.Products {
		if s.productNo(id) != 0 {
			made[id] = true
		}
	}
	going := map[SessionHandle]bool{}
	for _, x := range s.madeSessions(u) {
		going[x.Handle] = true
	}
	for _, l := range s.listings {
		if made[l.SKU] && s.sessions[l.Session-1].State != Deleted && !going[l.Session] {
			delete(made, l.SKU)
		}
	}
	return made
}

func setOf(ids []string) map[string]bool {
	set := make(map[string]bool, len(ids))
	for _, id := range ids {
		set[id] = true
	}
	return set
}

// planBack takes the last plan back, whole or not at all.
func (s *State) planBack(c *Command) Event {
	if u := s.undo; u != nil && c.Back != 0 && c.Back != u.Of {
		return refused(ReasonBaseChanged)
	}
	if s.undo != nil && s.undo.Plan != nil {
		s.settlePlanned(s.undo.Plan)
	}
	o := s.CompareBack()
	o.Command = int32(len(s.eff.Primary))
	s.eff.Plans = append(s.eff.Plans, o)
	if len(o.Problems) > 0 {
		return Event{Kind: PlanRefused, Reason: ReasonConflict}
	}
	if e, awaits := s.backAwaits(c, &o); awaits {
		return e
	}
	u := s.undo
	s.makePlan(u.Plan, c.Entropy)
	made := s.madeProducts(u)
	for _, x := range s.madeSessions(u) {
		s.deleteSession(x)
		s.derive(Event{Kind: SessionDeleted, Session: x.Handle})
	}
	for _, id := range u.Sales {
		delete(s.sales, id)
	}
	for _, id := range u.Products {
		if !made[id] {
			continue
		}
		if no := s.settleProduct(id); no != 0 && s.products.row(no).use == 0 {
			s.dropRow(no)
		}
	}
	s.eff.Catalogue = true
	s.undo = nil
	s.recordPlan(c, &o, PlanBack)
	s.runTimers()
	return Event{Kind: PlanApplied}
}

// describeBack names the plan that is taken back.
func (s *State) describeBack() string {
	p := s.LastPlan()
	if p.Of == 0 {
		return "back"
	}
	return strings.TrimSuffix(fmt.Sprintf("back from the plan of log index %d, %s, by %s", p.Of,
		p.At.Wall().Format(time.RFC3339), p.By), ", by ")
}
