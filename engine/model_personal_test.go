package engine

import (
	"fmt"
	"slices"

	"pgregory.net/rapid"
)

// modelKey is a shopper's key, in the order of the model's keys.
type modelKey struct {
	shopper string
	PersonalKey
	first uint32
	used  Time
}

func (m *model) key(shopper string) *modelKey {
	for _, k := range m.keys {
		if k.shopper == shopper {
			return k
		}
	}
	return nil
}

// setReceiver is of an order that is the shopper's, and held or paid.
func (m *model) setReceiver(c *Command, o *modelOrder) Event {
	k := m.key(o.shopper)
	switch {
	case k != nil && o.receiver != (Receiver{}) && o.receiver.Same == c.Receiver.Same:
		return m.told(OrderUnchanged, ReasonNone, o)
	case o.shipment.Export != 0:
		return m.told(CommandRefused, ReasonTooLate, o)
	case c.Receiver.Sealed == "" || c.PersonalKey.KEK == 0:
		return m.told(CommandRefused, ReasonRefused, o)
	case k != nil && k.PersonalKey != c.PersonalKey:
		return m.told(CommandRefused, ReasonConflict, o)
	case k == nil:
		k = &modelKey{o.shopper, c.PersonalKey, c.PersonalKey.KEK, 0}
		m.keys = append(m.keys, k)
	}
	k.used, o.receiver, o.toKnown, o.shipment = m.now, c.Receiver, true, Shipment{}
	return m.told(ReceiverSet, ReasonNone, o)
}

func (m *model) erase(c *Command) Event {
	if len(c.Shoppers) == 0 || len(c.Shoppers) > MaxErase {
		return Event{Kind: CommandRefused, Reason: ReasonTooMany}
	}
	e := Event{Kind: PersonalDataErased}
	if len(c.Shoppers) == 1 {
		e.Shopper = m.shopper(c.Shoppers[0])
	}
	for _, shopper := range c.Shoppers {
		k := m.key(shopper)
		awaits := slices.ContainsFunc(m.orders, func(o *modelOrder) bool {
			return o.shopper == shopper && !o.settled() && (o.state == Held || o.state == Paid || o.state == Shipped)
		})
		if k == nil || c.Deadline != 0 && (k.used >= c.Deadline || awaits) {
			continue
		}
		m.keys = slices.DeleteFunc(m.keys, func(k *modelKey) bool { return k.shopper == shopper })
		e.Quantity++
		if c.Deadline == 0 {
			m.erased = append(m.erased, modelKey{shopper, k.PersonalKey, k.first, m.now})
		}
		for _, o := range m.orders {
			switch {
			case o.shopper != shopper || o.receiver == (Receiver{}):
			case o.settled(): // the files of all nodes have it so
				o.receiver = Receiver{Sealed: o.receiver.Sealed}
			default:
				o.receiver, o.toKnown = Receiver{}, false
			}
		}
	}
	return e
}

func (m *model) rewrap(c *Command) Event {
	e := Event{Kind: KeysRewrapped}
	for _, r := range c.Rewraps {
		k := m.key(r.Shopper)
		if r.Shopper == "" {
			k = &m.lists
		}
		if k == nil || k.PersonalKey != r.Was || r.Was == r.Key || r.Key.KEK < r.Was.KEK {
			continue
		}
		if k.PersonalKey = r.Key; k.first == 0 {
			k.first = r.Key.KEK
		}
		e.Quantity++
	}
	return e
}

// personalDiffers holds the keys of the state against those of the model.
func (m *model) personalDiffers(s *State) string {
	kept := 0
	names := slices.Clone(simShoppers)
	for _, k := range m.keys {
		names = append(names, k.shopper)
	}
	slices.Sort(names)
	for _, x := range slices.Compact(names) {
		got, there := s.Personal().Key(x)
		k := m.key(x)
		if there != (k != nil) || there && got != k.PersonalKey {
			return fmt.Sprintf("the key of %s is %v, the model says %v", x, got, k)
		}
		kept += btoi(there)
		var want Erasure
		for _, e := range m.erased {
			if e.shopper != x {
				continue
			}
			if want.First == 0 {
				want.First = e.first
			}
			want.First = min(want.First, e.first)
			want.At, want.Last = e.used, max(want.Last, e.KEK)
		}
		was, erased := s.Personal().Erasure(x)
		if was.Index = 0; was != want || erased != (want != Erasure{}) {
			return fmt.Sprintf("%s was erased %+v, the model says %+v", x, was, want)
		}
	}
	if kept != len(m.keys) {
		return fmt.Sprintf("the model has %d keys, the state knows %d of them", len(m.keys), kept)
	}
	if got, _ := s.Personal().ListKey(); got != m.lists.PersonalKey {
		return fmt.Sprintf("the key of lists is %v, the model says %v", got, m.lists)
	}
	for _, u := range s.Personal().Uses() {
		n := int64(btoi(m.lists.KEK == u.KEK))
		for _, k := range m.keys {
			n += int64(btoi(k.KEK == u.KEK))
		}
		if n != u.Keys {
			return fmt.Sprintf("key %d wraps %d, the model says %d", u.KEK, u.Keys, n)
		}
	}
	return ""
}

// personal draws a command about personal data.
func (s *simulation) personal() Command {
	wrapped := func(label string) PersonalKey {
		kek := uint32(rapid.IntRange(1, 3).Draw(s.t, label))
		return PersonalKey{kek, fmt.Sprint("wrapped by ", kek)}
	}
	switch rapid.IntRange(0, 5).Draw(s.t, "personal") {
	case 0:
		c := Command{Kind: CmdErase, Operator: "op", Note: "why"}
		for range rapid.IntRange(0, 3).Draw(s.t, "shoppers") {
			c.Shoppers = append(c.Shoppers, string(s.shopper()))
		}
		if rapid.Bool().Draw(s.t, "old") {
			c.Deadline = s.group.clock.Add(-modelTick * 2)
		}
		return c
	case 1, 2:
		c := Command{Kind: CmdRewrap}
		for range rapid.IntRange(0, 3).Draw(s.t, "keys") {
			r := Rewrap{Shopper: string(s.shopper()), Key: wrapped("to")}
			if r.Was, _ = s.group.state.Personal().Key(r.Shopper); rapid.IntRange(0, 3).Draw(s.t, "lists") == 0 {
				r.Shopper = ""
				r.Was, _ = s.group.state.Personal().ListKey()
			}
			if rapid.IntRange(0, 4).Draw(s.t, "late") == 0 {
				r.Was = wrapped("was")
			}
			c.Rewraps = append(c.Rewraps, r)
		}
		return c
	}
	c := Command{Kind: CmdSetReceiver, Order: s.order(), Shopper: s.shopper()}
	if o := s.group.state.Order(c.Order); o != nil && rapid.IntRange(0, 3).Draw(s.t, "their own") > 0 {
		c.Shopper = []byte(s.group.state.ShopperID(o.Shopper))
	}
	key, there := s.group.state.Personal().Key(string(c.Shopper))
	if !there || rapid.IntRange(0, 3).Draw(s.t, "another key") == 0 {
		key = wrapped("first")
	}
	c.PersonalKey = key
	c.Receiver = sealed(rapid.SampledFrom([]string{"A", "B", "C"}).Draw(s.t, "name"))
	if rapid.IntRange(0, 19).Draw(s.t, "nothing sealed") == 0 {
		c.Receiver.Sealed = ""
	}
	return c
}
