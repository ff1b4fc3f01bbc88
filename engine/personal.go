package engine

import (
	"cmp"
	"fmt"
	"slices"
)

// Bounds of personal data.
const (
	MaxSealedBytes  = 4096 // a receiver, sealed
	MaxWrappedBytes = 256  // a shopper's key, wrapped
	MaxRewraps      = 256  // keys that one command wraps anew
	MaxErase        = 64   // shoppers whom one command erases
	MaxErasures     = 1_000_000
	maxKEKs         = 64   // key-encryption keys that the state remembers
	eraseAtOnce     = 4096 // a shopper's orders that are looked at in one go
)

// Blind is a keyed hash by which a phone number or an address is found without being kept
// in plain. The zero value is none.
type Blind [16]byte

// Receiver is where an order's goods go, as a door sealed it: the state can't read it.
type Receiver struct {
	// Sealed is the ciphertext under the shopper's key, of 1 to MaxSealedBytes.
	Sealed string
	// Same is of the whole: setting the same receiver again is told from a change by it.
	Same           Blind
	Phone, Address Blind
}

// PersonalKey is the key that a shopper's receivers are sealed with, itself sealed
// (wrapped) under a key of the key file, the key-encryption key with number KEK. The zero
// value is none.
type PersonalKey struct {
	KEK     uint32
	Wrapped string
}

func (k *PersonalKey) valid() bool {
	return k.KEK > 0 && k.Wrapped != "" && len(k.Wrapped) <= MaxWrappedBytes
}

// Rewrap is a key that is wrapped by another key-encryption key, if it still is as it was.
type Rewrap struct {
	Shopper string // "" is the key of risk lists
	Was     PersonalKey
	Key     PersonalKey
}

// KeyUse is how many keys a key-encryption key wraps in the state.
type KeyUse struct {
	KEK   uint32
	Keys  int64
	Since Time     // from when on it has wrapped none, or the first one
	Index LogIndex // the entry by which that came
}

// Erasure is when a shopper's key was destroyed, and by which keys of the key file it had
// been wrapped: older backups have it as long as one of these is kept.
type Erasure struct {
	At          Time
	Index       LogIndex
	First, Last uint32 // numbers of key-encryption keys
}

// personal is what the state keeps of personal data: keys, and what became of them.
type personal struct {
	keys     directory[keyRow] // by shopper
	lists    keyRow            // of what risk lists name
	uses     []KeyUse          // by KEK; a copy when changed
	erasures directory[Erasure]
	sweeps   []sweep // receivers that are still to be dropped, the oldest first
}

// keyRow is a key, the first key that it was wrapped by, and when something was sealed
// with it last.
type keyRow struct {
	PersonalKey
	first uint32
	used  Time
}

// sweep drops the receivers of a shopper whose key is gone, from an order on.
type sweep struct {
	shopper string
	at      OrderRef
}

// Personal is what a state says of personal data.
type Personal struct{ s *State }

// Personal gives what the state says of personal data, under the same lock.
func (s *State) Personal() Personal { return Personal{s} }

// Key gives a shopper's key, if there is one.
func (p Personal) Key(shopper string) (PersonalKey, bool) {
	if row := p.s.keyOf([]byte(shopper)); row != nil {
		return row.PersonalKey, true
	}
	return PersonalKey{}, false
}

// ListKey gives the key that phone numbers and addresses on risk lists are sealed with,
// if there is one.
func (p Personal) ListKey() (PersonalKey, bool) {
	return p.s.personal.lists.PersonalKey, p.s.personal.lists.KEK != 0
}

// Uses gives how many keys each key-encryption key wraps, by its number. Read only.
func (p Personal) Uses() []KeyUse { return p.s.personal.uses }

// Erasure gives the last time that a shopper's key was destroyed because somebody asked.
func (p Personal) Erasure(shopper string) (Erasure, bool) {
	d := &p.s.personal.erasures
	if no := d.find([]byte(shopper)); no != 0 {
		return d.rows.at(int(no) - 1).kept, true
	}
	return Erasure{}, false
}

// PersonalStatus is what a state has of a shopper's personal data, at a log index.
type PersonalStatus struct {
	LogIndex    LogIndex
	Held        bool
	Key         PersonalKey // of one Held
	Sweeping    bool        // receivers are still being dropped; their key is gone
	Undelivered int         // orders whose goods may still be on their way
	Erased      bool        // somebody asked for it, before what is Held
	Erasure     Erasure     // the last one
	Uses        []KeyUse    // read only
}

// Status tells what there is of a shopper's personal data.
func (p Personal) Status(shopper string) PersonalStatus {
	x := PersonalStatus{LogIndex: p.s.index, Sweeping: p.s.sweeping([]byte(shopper)),
		Undelivered: p.Undelivered(shopper), Uses: p.Uses()}
	x.Key, x.Held = p.Key(shopper)
	x.Erasure, x.Erased = p.Erasure(shopper)
	return x
}

// HeldKey is a shopper's key, and when something was sealed with it last.
type HeldKey struct {
	Shopper string
	PersonalKey
	Used Time
}

// Keys reads up to most rows of the shoppers' keys from a position on (0 first), and gives
// the position after them; done at the end of all. Fewer keys may come than were read.
func (p Personal) Keys(from, most int) (keys []HeldKey, next int, done bool) {
	rows := &p.s.personal.keys.rows
	end := min(rows.len(), max(from, 0)+most)
	for i := max(from, 0); i < end; i++ {
		if row := rows.at(i); row.id != "" {
			keys = append(keys, HeldKey{row.id, row.kept.PersonalKey, row.kept.used})
		}
	}
	return keys, max(from, end), end >= rows.len()
}

// Undelivered counts a shopper's orders whose goods may still be on their way to the
// receiver. It looks at the newest eraseAtOnce orders; of a shopper who has more, one at
// least is taken to be, until enough of the older ones have left memory.
func (p Personal) Undelivered(shopper string) (orders int) {
	looked := 0
	p.s.OrdersOf(p.s.ShopperNo(shopper), func(ref OrderRef, o *Order) bool {
		if looked == eraseAtOnce {
			orders = max(orders, 1)
			return false
		}
		looked++
		orders += btoi(o.State.awaitsGoods() && !p.s.settled(ref.Session))
		return true
	})
	return orders
}

// awaitsGoods reports whether an order's receiver is still needed.
func (o OrderState) awaitsGoods() bool { return o == Held || o == Paid || o == Shipped }

func (s *State) keyOf(shopper []byte) *keyRow {
	if no := s.personal.keys.find(shopper); no != 0 {
		return &s.personal.keys.rows.at(int(no) - 1).kept
	}
	return nil
}

// setReceiver says where the goods go, as long as the warehouse has not been told. What
// the second look came to before counts no more.
func (s *State) setReceiver(c *Command) Event {
	if !s.owns(c.Shopper, c.Order) {
		return refused(ReasonUnknown)
	}
	known, there := s.Receiver(c.Order)
	key := s.keyOf(c.Shopper)
	switch o, l := s.commanded(c); {
	case o.State != Held && o.State != Paid:
		return s.refusedOrder(c.Order, ReasonNotHeld)
	case there && key != nil && known.Same == c.Receiver.Same:
		return s.orderEvent(OrderUnchanged, c.Order, ReasonNone)
	case l.Frozen:
		return s.refusedOrder(c.Order, ReasonFrozen)
	case s.shipmentOf(c.Order).Export != 0: // the warehouse has the old one
		return s.refusedOrder(c.Order, ReasonTooLate)
	case c.Receiver.Sealed == "" || len(c.Receiver.Sealed) > MaxSealedBytes || !c.PersonalKey.valid():
		return s.refusedOrder(c.Order, ReasonRefused)
	case key != nil && key.PersonalKey != c.PersonalKey, s.sweeping(c.Shopper):
		return s.refusedOrder(c.Order, ReasonConflict)
	case key == nil && !s.useKEK(c.PersonalKey.KEK, 1):
		return s.refusedOrder(c.Order, ReasonTooMany)
	}
	if no := s.personal.keys.find(c.Shopper); no == 0 {
		s.personal.keys.add(c.Shopper, keyRow{c.PersonalKey, c.PersonalKey.KEK, s.now})
	} else if key.used != s.now {
		s.personal.keys.rows.mut(int(no) - 1).kept.used = s.now
	}
	s.lookAgain(c.Order)
	to := c.Receiver
	s.mutDetails(c.Order).receiver = &to
	return s.orderEvent(ReceiverSet, c.Order, ReasonNone)
}

// useKEK counts keys that a key-encryption key wraps; false if there are too many of
// these.
func (s *State) useKEK(kek uint32, by int64) bool {
	p := &s.personal
	at, found := slices.BinarySearchFunc(p.uses, kek, func(u KeyUse, kek uint32) int { return cmp.Compare(u.KEK, kek) })
	p.uses = slices.Clone(p.uses) // a snapshot may hold the old one
	if !found {
		if len(p.uses) >= maxKEKs {
			idle := slices.IndexFunc(p.uses, func(u KeyUse) bool { return u.Keys == 0 })
			if idle < 0 {
				return false
			}
			p.uses = slices.Delete(p.uses, idle, idle+1)
			at -= btoi(idle < at)
		}
		p.uses = slices.Insert(p.uses, at, KeyUse{KEK: kek})
	}
	u := &p.uses[at]
	if u.Keys == 0 || u.Keys+by == 0 {
		u.Since, u.Index = s.now, s.index
	}
	u.Keys += by
	return true
}

// rewrap has keys wrapped by a newer key-encryption key. Those that are not as they were
// any more are left out: whoever rewraps comes by again. By an older one no key is wrapped:
// what a key had been wrapped by goes from its first key-encryption key to its last.
func (s *State) rewrap(c *Command) Event {
	if len(c.Rewraps) > MaxRewraps {
		return refused(ReasonTooMany)
	}
	done := Event{Kind: KeysRewrapped}
	for i := range c.Rewraps {
		r := &c.Rewraps[i]
		row, no := &s.personal.lists, ShopperNo(0)
		if r.Shopper != "" {
			if no = s.personal.keys.find([]byte(r.Shopper)); no == 0 {
				continue
			}
			row = &s.personal.keys.rows.at(int(no) - 1).kept
		}
		if !r.Key.valid() || row.PersonalKey != r.Was || r.Was == r.Key || r.Key.KEK < r.Was.KEK ||
			!s.useKEK(r.Key.KEK, 1) {
			continue
		}
		if no != 0 {
			row = &s.personal.keys.rows.mut(int(no) - 1).kept
		}
		if r.Was.KEK != 0 {
			s.useKEK(r.Was.KEK, -1)
		} else { // the first key of the lists
			row.first, row.used = r.Key.KEK, s.now
		}
		row.PersonalKey = r.Key
		done.Quantity++
	}
	return done
}

// erase destroys shoppers' keys, and drops the receivers that were sealed with them. With
// a deadline it erases only whose key was used last before it, and who awaits no goods.
func (s *State) erase(c *Command) Event {
	if len(c.Shoppers) == 0 || len(c.Shoppers) > MaxErase {
		return refused(ReasonTooMany)
	}
	done := Event{Kind: PersonalDataErased}
	if len(c.Shoppers) == 1 {
		done.Shopper = s.ShopperNo(c.Shoppers[0])
	}
	for _, shopper := range c.Shoppers {
		no := s.personal.keys.find([]byte(shopper))
		if no == 0 {
			continue
		}
		key := s.personal.keys.rows.at(int(no) - 1).kept
		if c.Deadline != 0 && (key.used >= c.Deadline || s.Personal().Undelivered(shopper) > 0) {
			continue
		}
		s.useKEK(key.KEK, -1)
		s.personal.keys.remove(no)
		if c.Deadline == 0 {
			s.noteErasure(shopper, Erasure{s.now, s.index, key.first, key.KEK})
		}
		done.Quantity++
		if at := s.dropReceivers(sweep{shopper: shopper}); at != nil {
			s.personal.sweeps = append(slices.Clip(s.personal.sweeps), *at)
		}
	}
	return done
}

// noteErasure remembers what became of a key that somebody asked to have destroyed, and
// of the shopper's keys before it.
func (s *State) noteErasure(shopper string, e Erasure) {
	d := &s.personal.erasures
	if no := d.find([]byte(shopper)); no != 0 {
		row := &d.rows.mut(int(no) - 1).kept
		e.First, e.Last = min(e.First, row.First), max(e.Last, row.Last)
		*row = e
	} else if d.rows.len() < MaxErasures {
		d.add([]byte(shopper), e)
	}
}

func (s *State) sweeping(shopper []byte) bool {
	return slices.ContainsFunc(s.personal.sweeps, func(w sweep) bool { return w.shopper == string(shopper) })
}

// dropReceivers takes up to eraseAtOnce orders of a shopper, from one on, and drops their
// receivers. It gives where to go on, nil at the end. What a sealed session's files have
// is ciphertext whose key is gone, and stays as it is for all of them to be alike; the
// hashes of it, which no file has, go.
func (s *State) dropReceivers(w sweep) *sweep {
	no := s.ShopperNo(w.shopper)
	if no == 0 {
		return nil
	}
	ref := w.at
	if !s.has(ref) || s.at(ref).Shopper != no || s.sessions[ref.Session-1].Left() {
		ref = s.lastOrder(no) // the session has been cleared meanwhile
	}
	for n := 0; !ref.IsZero(); n++ {
		if n == eraseAtOnce {
			return &sweep{w.shopper, ref}
		}
		if to, there := s.Receiver(ref); there {
			d := s.mutDetails(ref)
			if d.receiver = nil; s.settled(ref.Session) {
				d.receiver = &Receiver{Sealed: to.Sealed}
			}
		}
		ref = s.at(ref).previous
	}
	return nil
}

// goOnSweeping does a share of the receivers that are still to be dropped.
func (s *State) goOnSweeping() (work int) {
	if at := s.dropReceivers(s.personal.sweeps[0]); at != nil {
		s.personal.sweeps = append([]sweep{*at}, s.personal.sweeps[1:]...)
	} else {
		s.personal.sweeps = slices.Clone(s.personal.sweeps[1:])
	}
	return clearShare // it is as much as one batch does
}

// keyPageRow is a row of the keys; without an id, a number to be given out again.
type keyPageRow struct {
	id []byte
	keyRow
}

func (x *keyPageRow) fields(c *coder) {
	c.span(&x.id, MaxShopperBytes)
	x.keyRow.fields(c)
	c.check((len(x.id) == 0) == (x.keyRow == keyRow{}) && (len(x.id) == 0 || x.valid() && x.first > 0),
		"a key of nobody, or nobody's key")
}

func (k *keyRow) fields(c *coder) {
	unsigned(c, &k.KEK)
	c.text(&k.Wrapped, MaxWrappedBytes)
	unsigned(c, &k.first)
	c.time(&k.used)
}

// erasureRow is a row of the erasures.
type erasureRow struct {
	id []byte
	Erasure
}

func (x *erasureRow) fields(c *coder) {
	c.span(&x.id, MaxShopperBytes)
	c.all(&x.At, &x.Index, &x.First, &x.Last)
	c.check(len(x.id) > 0 && x.First > 0 && x.First <= x.Last, "an erasure of nothing")
}

func (w *sweep) fields(c *coder) {
	c.text(&w.shopper, MaxShopperBytes)
	c.ref(&w.at)
}

// personalHead is what is kept of personal data besides shoppers' keys and erasures.
type personalHead struct {
	lists  keyRow
	uses   []KeyUse
	sweeps []sweep
}

func (h *personalHead) fields(c *coder) {
	c.all(&h.lists, &h.uses, &h.sweeps)
	c.check(len(h.uses) <= maxKEKs && (h.lists == keyRow{} || h.lists.valid() && h.lists.first > 0),
		"keys that can't be")
	for i, u := range h.uses {
		c.check(u.KEK > 0 && u.Keys >= 0 && (i == 0 || h.uses[i-1].KEK < u.KEK), "a use of keys that can't be")
	}
}

func (p *personal) head() personalHead { return personalHead{p.lists, p.uses, p.sweeps} }

// empty reports whether there is nothing to be written.
func (h *personalHead) empty() bool {
	return h.lists.KEK == 0 && len(h.uses) == 0 && len(h.sweeps) == 0
}

// restorePersonal checks that the keys there are are those that are counted.
func (s *State) restorePersonal() error {
	counted := map[uint32]int64{}
	for i := range s.personal.keys.rows.len() {
		if row := s.personal.keys.rows.at(i); row.id != "" {
			counted[row.kept.KEK]++
		}
	}
	if s.personal.lists.KEK != 0 {
		counted[s.personal.lists.KEK]++
	}
	total := int64(0)
	for _, u := range s.personal.uses {
		if counted[u.KEK] != u.Keys {
			return fmt.Errorf("%w: %d keys are wrapped by key %d, and %d are counted", ErrMalformed, counted[u.KEK],
				u.KEK, u.Keys)
		}
		total += u.Keys
	}
	for _, n := range counted {
		total -= n
	}
	if total != 0 {
		return fmt.Errorf("%w: %d keys are wrapped by no key that is known", ErrMalformed, -total)
	}
	return nil
}
