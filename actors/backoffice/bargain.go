package backoffice

import (
	"context"
	"errors"
	"time"

	"doorbuster/engine"
)

// recentCuts is how many of its cuts a bargain is shown with, the newest.
const recentCuts = 20

// StartBargain begins a shopper's bargain on a listing; one that they have started already
// is given again.
func (bo *Office) StartBargain(ctx context.Context, shopper, session, sku string) (v engine.BargainView, err error) {
	h, err := bo.handle(ctx, session, sku)
	if err != nil {
		return v, err
	}
	id, known := []byte(shopper), false
	look := func(s *engine.State) {
		l, no := s.Listing(h), s.ShopperNo(shopper)
		ref := s.BargainOf(no, l)
		switch known = !ref.IsZero(); {
		case known:
			v = s.ViewBargain(ref, 0, recentCuts, shopper)
		case !l.Play.Cuts():
			err = refusal(engine.ReasonUnknown)
		default: // who may not is told so without an entry
			if why, _ := s.MayHold(l, s.StandingOf(no, id, l, engine.Key{}), 1); why != engine.ReasonNone {
				err = refusal(why)
			}
		}
	}
	if bo.View(look); known || err != nil {
		return v, err
	}
	if _, err = bo.Ask(ctx, engine.Command{Kind: engine.CmdStartBargain, Listing: h, Shopper: id}); err != nil {
		return v, err
	}
	if bo.View(look); !known && err == nil { // it was started and settled in one
		err = refusal(engine.ReasonBargainOver)
	}
	return v, err
}

// findBargain shows a bargain of which this node knows, or is told, to look; the error for
// none is a refusal as unknown.
func (bo *Office) findBargain(ctx context.Context, code string, look func(*engine.State, engine.BargainRef)) error {
	found, ahead := false, true
	find := func(s *engine.State) {
		var ref engine.BargainRef
		if ref, found = s.FindBargain(code); found {
			look(s, ref)
		}
		ahead = !found && s.BargainAhead(code)
	}
	if bo.Fresh() {
		bo.View(find)
	}
	if !found && ahead {
		if err := bo.CatchUp(ctx); err != nil {
			return err
		}
		bo.View(find)
	}
	if !found {
		return refusal(engine.ReasonUnknown)
	}
	return nil
}

// Bargain gives the bargain of a code, with its newest cuts, and asker's own cut.
func (bo *Office) Bargain(ctx context.Context, code, asker string) (v engine.BargainView, err error) {
	err = bo.findBargain(ctx, code, func(s *engine.State, ref engine.BargainRef) {
		v = s.ViewBargain(ref, 0, recentCuts, asker)
	})
	return v, err
}

// mostWeighed is how often a cut is weighed while its friend helps others at the same time.
const mostWeighed = 100

// CutBargain has a friend cut a bargain; the same key again gets the same answer. A refusal
// comes with the bargain as it is.
func (bo *Office) CutBargain(
	ctx context.Context, friend, code string, key []byte,
) (cut engine.CutView, v engine.BargainView, err error) {
	for tries := 1; ; tries++ {
		cut, v, err = bo.cutBargain(ctx, friend, code, key)
		var why *engine.Refusal
		if !errors.As(err, &why) || why.Reason != engine.ReasonConflict || tries == mostWeighed {
			return cut, v, err
		}
		if err := bo.CatchUp(ctx); err != nil { // with what they did meanwhile
			return cut, v, err
		}
	}
}

// cutBargain is CutBargain, refused for ReasonConflict if the friend has done something since
// the cut was weighed that its weight may hang on.
func (bo *Office) cutBargain(
	ctx context.Context, friend, code string, key []byte,
) (cut engine.CutView, v engine.BargainView, err error) {
	keyed := bo.Keyed()
	if keyed == nil {
		return cut, v, engine.ErrNotLeader
	}
	c := engine.Command{Kind: engine.CmdCutBargain, Shopper: []byte(friend), Key: keyed(key)}
	var play *engine.Play
	var in engine.FormulaInput
	why, again := engine.ReasonNone, false
	err = bo.findBargain(ctx, code, func(s *engine.State, ref engine.BargainRef) {
		c.Bargain = ref
		b, no := s.Bargain(ref), s.ShopperNo(friend)
		l := s.Listing(b.Listing)
		var known *engine.Cut
		var today uint32
		why, known, today = s.MayCut(no, c.Shopper, ref)
		again = known != nil && known.By(c.Key)
		if l.Play.Cut.Weight != "" {
			c.Weighed = engine.WeighedOf(no, today)
		}
		v = s.ViewBargain(ref, 0, recentCuts, friend)
		play, in = l.Play, engine.FormulaInput{Start: v.From, Floor: v.Floor, Stock: l.Stock, Sold: l.Sold,
			Elapsed: int64(s.Now().Sub(b.Started) / time.Second), Quantity: 1, NewFriend: no == 0, Cuts: int64(b.Cuts),
			HelpsToday: int64(today), Risk: int64(s.Rosters().Level(engine.RosterID{Kind: engine.RosterRiskShopper},
				c.Shopper))}
	})
	switch {
	case err != nil:
		return cut, v, err
	case again:
		return v.Helped, v, nil
	case why != engine.ReasonNone: // what forbids it now forbids it later, or is no final no
		return v.Helped, v, refusal(why)
	}
	if c.Weight, err = bo.Weigh(play, &in); err != nil {
		return cut, v, err
	}
	_, err = bo.Ask(ctx, c)
	bo.View(func(s *engine.State) {
		if s.Bargain(c.Bargain) != nil {
			v = s.ViewBargain(c.Bargain, 0, recentCuts, friend)
		}
	})
	return v.Helped, v, err
}

// FindBargains gives a page of the bargains that operators look for, the oldest first, and
// the cursor of the next page, "" at the end. A page may be short, and more behind it.
func (bo *Office) FindBargains(f engine.BargainFilter) (page []engine.BargainView, next string, err error) {
	if err := bo.Current(); err != nil {
		return nil, "", err
	}
	bo.View(func(s *engine.State) {
		after, known := engine.BargainRef{}, true
		if f.Cursor != "" {
			after, known = s.FindBargain(f.Cursor)
		}
		if !known {
			err = refusal(engine.ReasonConflict)
			return
		}
		looked := 0
		s.EachBargain(after, func(ref engine.BargainRef) bool {
			if len(page) == f.Limit || looked == scanRows {
				next = s.BargainCode(after)
				return false
			}
			looked, after = looked+1, ref
			b := s.Bargain(ref)
			if (f.Session == "" || s.SessionOf(ref.Session).ID == f.Session) &&
				(f.SKU == "" || s.Listing(b.Listing).SKU == f.SKU) &&
				(f.Shopper == "" || s.ShopperID(b.Shopper) == f.Shopper) &&
				(f.State == 0 || s.BargainState(ref) == f.State) {
				page = append(page, s.ViewBargain(ref, 0, 0, ""))
			}
			return true
		})
	})
	return page, next, err
}

// BargainCuts gives a bargain with its cuts behind the one with a number, the newest first
// (0: from the newest on).
func (bo *Office) BargainCuts(code string, behind uint32, most int) (v engine.BargainView, err error) {
	err = bo.findBargain(context.Background(), code, func(s *engine.State, ref engine.BargainRef) {
		v = s.ViewBargain(ref, behind, most, "")
	})
	return v, err
}

// EndBargain ends a bargain.
func (bo *Office) EndBargain(ctx context.Context, by engine.By, code, note string) (v engine.BargainView, err error) {
	c := engine.Command{Kind: engine.CmdEndBargain, Note: note}
	if err := bo.findBargain(ctx, code, func(_ *engine.State, ref engine.BargainRef) { c.Bargain = ref }); err != nil {
		return v, err
	}
	if err := bo.askBy(ctx, by, c); err != nil {
		return v, err
	}
	return bo.Bargain(ctx, code, "")
}

// Plays gives the templates of plays that have been applied, in the order of their ids.
func (bo *Office) Plays() (plays []engine.PlayVersion, err error) {
	if err := bo.Current(); err != nil {
		return nil, err
	}
	bo.View(func(s *engine.State) {
		for _, p := range s.Plays() {
			plays = append(plays, *p)
		}
	})
	return plays, nil
}
