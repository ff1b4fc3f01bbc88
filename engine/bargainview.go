package engine

// BargainView is a bargain as readers see it: a copy, theirs to keep.
type BargainView struct {
	Ref              BargainRef
	Code             string
	Session, SKU     string
	Listing          ListingHandle
	Owner            string
	State            BargainState
	From, Floor      int64 // minor units: the price it started at, and what it can come down to
	Price            int64
	Currency         string
	Cuts, Friends    uint32 // that were made; that are planned
	AtFloor          bool   // bought only at the floor
	Started, Expires Time
	OrderNo          string    // the last that was bought by it; "" = none
	Recent           []CutView // the newest first, at most as many as were asked for
	Helped           CutView   // the cut that was asked for of a friend; of Number 0 if there is none
	Commitment, Seed [32]byte  // of the listing's luck; Seed once Revealed
	Revealed         bool
}

// CutView is a cut as readers see it.
type CutView struct {
	Friend string
	Number uint32 // from 1
	At     Time
	Amount int64
	Weight uint32
	New    bool
}

// ViewBargain copies a bargain, which must be there, with at most so many of its cuts, the
// newest first, behind the one with a number (0: from the newest on), and a friend's.
func (s *State) ViewBargain(ref BargainRef, behind uint32, most int, friend string) BargainView {
	b := s.Bargain(ref)
	l, x := s.listings[b.Listing-1], s.sessions[ref.Session-1]
	v := BargainView{Ref: ref, Code: s.BargainCode(ref), Session: x.ID, SKU: l.SKU,
		Listing: l.Handle, Owner: s.ShopperID(b.Shopper), State: s.BargainState(ref), From: b.from, Floor: b.floor,
		Price: b.Price, Currency: l.Currency, Cuts: b.Cuts, Started: b.Started, Expires: min(b.Expires, x.End)}
	if x.State >= Ended {
		v.Expires = min(v.Expires, x.EndedAt)
	}
	if l.Play.Cuts() {
		v.Friends, v.AtFloor = l.Play.Cut.Friends, l.Play.Cut.AtFloor
	}
	if b.order != 0 {
		v.OrderNo = s.OrderNo(OrderRef{ref.Session, b.order})
	}
	v.Commitment, v.Seed, v.Revealed = s.SeedOf(l)
	s.CutsOf(ref, func(c *Cut) bool {
		if len(v.Recent) < most && (behind == 0 || c.Number < behind) {
			v.Recent = append(v.Recent, s.viewCut(c))
		}
		return len(v.Recent) < most
	})
	if c, _ := s.CutBy(s.ShopperNo(friend), ref, Never); c != nil {
		v.Helped = s.viewCut(c)
	}
	return v
}

func (s *State) viewCut(c *Cut) CutView {
	return CutView{s.ShopperID(c.Friend), c.Number, c.At, c.Amount, c.Weight, c.New}
}

// EachBargain walks the bargains behind one, session by session in the order of their
// starts, until yield says stop.
func (s *State) EachBargain(after BargainRef, yield func(BargainRef) bool) {
	for _, x := range s.sessions[min(max(int(after.Session)-1, 0), len(s.sessions)):] {
		for i := uint32(1); x.State != Settled && int(i) <= x.Bargains(); i++ {
			if x.Handle == after.Session && i <= after.Ordinal {
				i = after.Ordinal
				continue
			}
			if !yield(BargainRef{x.Handle, i}) {
				return
			}
		}
	}
}

// BargainFilter says which bargains an operator looks for. Zero fields don't filter.
type BargainFilter struct {
	Session, SKU, Shopper string
	State                 BargainState
	Cursor                string // where the page before ended
	Limit                 int    // 1 to 1000
}
