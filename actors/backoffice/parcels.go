package backoffice

import (
	"bytes"

	"doorbuster/engine"
)

// OrderViews finds orders by their numbers, in the same order, whichever sessions they
// are of. Of a number that leads nowhere Ref is zero; of an order that has left the state
// only Ref, OrderNo and Session are given.
func (bo *Office) OrderViews(orderNos []string) ([]engine.OrderView, error) {
	if err := bo.Current(); err != nil {
		return nil, err
	}
	views := make([]engine.OrderView, 0, len(orderNos))
	for from := 0; from < len(orderNos); from += scanRows {
		bo.View(func(s *engine.State) {
			for _, no := range orderNos[from:min(from+scanRows, len(orderNos))] {
				v := engine.OrderView{OrderNo: no}
				if ref, found := s.FindOrder(no); found {
					if here, there := s.View(ref); there {
						v = here
					} else if x := s.SessionOf(ref.Session); x != nil {
						v.Ref, v.Session = ref, x.ID
					}
				}
				views = append(views, v)
			}
		})
	}
	return views, nil
}

// Listed gives the worst that the risk lists say now of a shopper, of a receiver's phone or
// address, as far as v has them. The switch of risk lists is for the rush, and does not
// matter here.
func (bo *Office) Listed(v *engine.Visitor) (worst engine.Level) {
	var none engine.Blind
	bo.View(func(s *engine.State) {
		look := func(kind engine.RosterKind, id []byte) {
			if len(id) > 0 && !bytes.Equal(id, none[:]) {
				worst = max(worst, s.Rosters().Level(engine.RosterID{Kind: kind}, id))
			}
		}
		look(engine.RosterRiskShopper, v.Shopper)
		look(engine.RosterRiskPhone, v.PhoneHash[:])
		look(engine.RosterRiskAddress, v.AddressHash[:])
	})
	return worst
}
