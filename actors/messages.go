package actors

import (
	"slices"
	"strings"

	"doorbuster/engine"
)

// saleMessages are what one sale tells in its own words. They do not change.
type saleMessages struct {
	version uint64 // never 0, never the same of other words in this process
	own     []engine.Message
}

// messages finds each session's sale's own words, by handle - 1; empty where no sale
// has any.
type messages []*saleMessages

func (w messages) of(x engine.SessionHandle) *saleMessages {
	if x == 0 || int(x) > len(w) {
		return nil
	}
	return w[x-1]
}

// messagesOf gathers what the sales tell in their own words. Those that are as in old
// keep their version.
func (g *Group) messagesOf(s *engine.State, old messages) messages {
	bySale := map[string]*saleMessages{}
	var found messages
	for i, x := range s.Sessions() {
		sale := s.Sale(x.Sale)
		if sale == nil || len(sale.Messages) == 0 {
			continue
		}
		own := bySale[sale.ID]
		if own == nil {
			if own = old.of(x.Handle); own == nil || !sameMessages(own.own, sale.Messages) {
				g.versions++
				own = &saleMessages{g.versions, sale.Messages}
			}
			bySale[sale.ID] = own
		}
		if found == nil {
			found = make(messages, len(s.Sessions()))
		}
		found[i] = own
	}
	return found
}

// playMessages gives what shoppers of a listing are told whose play has words of its own;
// nil where that is what its sale tells. Those that are as before keep their version.
func (g *Group) playMessages(s *engine.State, gate *gate, l *engine.Listing) *saleMessages {
	if l.Play == nil || len(l.Play.Words) == 0 {
		return nil
	}
	all := slices.Clone(l.Play.Words)
	for _, m := range s.Sale(s.SessionOf(l.Session).Sale).Messages {
		if !slices.ContainsFunc(all, func(own engine.Message) bool { return own.Name == m.Name }) {
			all = append(all, m)
		}
	}
	slices.SortFunc(all, func(a, b engine.Message) int { return strings.Compare(a.Name, b.Name) })
	if f := gate.facts.Load(); f != nil && f.own != nil && sameMessages(f.own.own, all) {
		return f.own
	}
	g.versions++
	return &saleMessages{g.versions, all}
}

func sameMessages(a, b []engine.Message) bool {
	return slices.EqualFunc(a, b, func(a, b engine.Message) bool {
		return a.Name == b.Name && slices.Equal(a.Text, b.Text)
	})
}

// Messages gives the zone of the sale of a listing, and what that tells in its own
// words, with their version, 0 where it has none. The listing is named as in a Grab,
// or else by its handle. It allocates nothing.
func (g *Group) Messages(listing []byte, h engine.ListingHandle) (zone string, version uint64, own []engine.Message) {
	c := g.catalogue.Load()
	gate := c.byName[string(listing)]
	if gate == nil {
		gate = c.gate(h)
	}
	if gate == nil {
		return "", 0, nil
	}
	f := gate.facts.Load()
	zone = f.rules.timezone
	if f.own != nil {
		return zone, f.own.version, f.own.own
	}
	if w := c.messages.of(gate.session); w != nil {
		return zone, w.version, w.own
	}
	return zone, 0, nil
}
