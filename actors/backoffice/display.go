package backoffice

import (
	"doorbuster/engine"
)

// Listing gives a listing as it is shown to shoppers; drafts are not. Error:
// engine.ErrNotLeader where it can't be had that nobody has seen less of it.
func (bo *Office) Listing(session, sku string) (*engine.ListingView, bool, error) {
	if err := bo.AwaitShown(); err != nil {
		return nil, false, err
	}
	v, known := bo.Look(session, sku)
	if !known || v.State == engine.ListingDraft {
		return nil, false, nil
	}
	return &v, true, nil
}

// Sessions gives the sessions open or to come, with their listings as shown, and
// the version of all that; no sessions if that is the one in known. Version 0 is
// none: something is being changed, and what is given may be half of it. Errors as
// of Listing.
func (bo *Office) Sessions(known uint64) (sessions []engine.SessionView, version uint64, err error) {
	if err := bo.AwaitShown(); err != nil {
		return nil, 0, err
	}
	version = bo.Figures()
	if version != 0 && version == known {
		return nil, version, nil
	}
	sessions = bo.Looks(func(x *engine.SessionView) bool {
		return x.State == engine.Published || x.State == engine.Open
	})
	if bo.Figures() != version {
		version = 0
	}
	return sessions, version, nil
}

// AllSessions gives every session. It is for operators: what they see may be old
// where no leader answers.
func (bo *Office) AllSessions() []engine.SessionView {
	bo.AwaitKnown()
	all := bo.Looks(func(*engine.SessionView) bool { return true })
	bo.View(func(s *engine.State) {
		for i := range all {
			if x := s.Session(all[i].ID); x != nil {
				all[i].Findings = s.Findings(x)
			}
		}
	})
	return all
}

func (bo *Office) session(id string) (v engine.SessionView) {
	for _, v = range bo.Looks(func(x *engine.SessionView) bool { return x.ID == id }) {
	}
	return v
}

// OrderNo gives the number of an order that this node knows of, also of a settled
// session; "" of another.
func (bo *Office) OrderNo(ref engine.OrderRef) (no string) {
	bo.View(func(s *engine.State) { no = s.OrderNo(ref) })
	return no
}
