package engine

import (
	"cmp"
	"fmt"
	"iter"
	"maps"
	"net/netip"
	"slices"
	"strings"
)

// RosterKind says what a roster is for.
type RosterKind uint8

// Kinds of rosters. Their numbers are on disk.
const (
	RosterReserved    RosterKind = iota + 1 // who has reserved a listing
	RosterAllowed                           // an allow list
	RosterRiskShopper                       // risk lists, by what they know people
	RosterRiskPhone
	RosterRiskAddress
	RosterRiskIP // addresses and prefixes
	rosterKindEnd
)

var rosterKinds = [...]string{"", "reserved", "allowed", "risk_shopper", "risk_phone", "risk_address", "risk_ip"}

func (k RosterKind) String() string { return nameOf(rosterKinds[:], int(k)) }

// RosterID names a roster: of a listing, of a name, or (risk lists) by its kind
// alone.
type RosterID struct {
	Kind    RosterKind
	Listing ListingHandle // RosterReserved
	Name    string        // RosterAllowed
}

func (id RosterID) String() string {
	switch id.Kind {
	case RosterReserved:
		return fmt.Sprintf("%s %d", id.Kind, id.Listing)
	case RosterAllowed:
		return id.Kind.String() + " " + id.Name
	}
	return id.Kind.String()
}

func (id RosterID) compare(other RosterID) int {
	return cmp.Or(cmp.Compare(id.Kind, other.Kind), cmp.Compare(id.Listing, other.Listing),
		cmp.Compare(id.Name, other.Name))
}

// Level is what a list says of somebody.
type Level uint8

// Levels. On reservations and allow lists LevelListed is all there is.
const (
	LevelNone      Level = iota // not on the list, or no longer
	LevelListed                 // risk: watch, and let in
	LevelChallenge              // risk: a challenge must be solved, also where the listing asks for none
	LevelBlock                  // risk: missed
	levelEnd
)

var levels = [...]string{"none", "watch", "challenge", "block"}

func (l Level) String() string { return nameOf(levels[:], int(l)) }

// Word says what a level is on rosters of a kind.
func (k RosterKind) Word(l Level) string {
	switch {
	case k >= RosterRiskShopper:
		return l.String()
	case l == LevelNone:
		return "not listed"
	}
	return "listed"
}

// Hashed reports whether rosters of a kind keep no ids in plain: a row's id is a Blind, and
// what it was made of is sealed beside it.
func (k RosterKind) Hashed() bool { return k == RosterRiskPhone || k == RosterRiskAddress }

// ParseLevel reads the name of a risk level.
func ParseLevel(name string) (Level, bool) { return parse[Level](levels[:], name) }

// RosterRow is one that a roster names.
type RosterRow struct {
	ID     string // the bytes of a Blind, where the roster is Hashed
	Level  Level
	Since  Time   // when it got this level
	Sealed string // what the id was made of, where the roster is Hashed
}

// RosterEdit changes a roster: rows are put, one by one over what was there
// (LevelNone takes one off), or a whole new roster is staged piece by piece and
// then takes the place of the old one in a single step.
type RosterEdit struct {
	Roster RosterID
	Action RosterAction
	Stage  uint64 // RosterStage, RosterCommit: whose staging it is, never 0
	Count  uint32 // RosterCommit: the rows staged, in all
	Rows   []RosterEntry
	Source string // what they came from, for the audit trail: up to MaxIDBytes*2
}

// RosterEntry is a row in an edit. ID and Sealed lie in the entry that they came from.
type RosterEntry struct {
	ID     []byte // the bytes of a Blind, where the roster is Hashed
	Level  Level
	Sealed []byte // of a row that a Hashed roster is to name: what the id was made of
}

// valid reports whether a roster of a kind may have the row.
func (e *RosterEntry) valid(kind RosterKind) bool {
	if !kind.Hashed() {
		return len(e.Sealed) == 0 && ValidRosterRow(kind, string(e.ID), e.Level) == ""
	}
	return len(e.ID) == len(Blind{}) && e.Level < levelEnd && len(e.Sealed) <= MaxSealedRowBytes &&
		(len(e.Sealed) > 0) == (e.Level != LevelNone)
}

// RosterAction is what an edit does.
type RosterAction uint8

// Actions on a roster. Their numbers are on disk.
const (
	RosterPut    RosterAction = iota + 1
	RosterStage               // rows of what will be; one staging at a time, a newer one takes the place of an older
	RosterCommit              // what was staged is the roster from now on
	RosterDrop                // the whole roster goes, and what is staged of it
	rosterActionEnd
)

const (
	// MaxRosterEntries bounds the rows of one edit; its bytes are bounded by the entry.
	MaxRosterEntries = 8192
	// MaxSealedRowBytes bounds what is sealed of a row.
	MaxSealedRowBytes = 2*MaxShopperBytes + 64
)

// ValidRosterRow tells what is wrong with a row of a roster, in plain, or "". Phones are in
// the form of E.164, addresses and prefixes in their shortest form, postal
// addresses in one line.
func ValidRosterRow(kind RosterKind, id string, level Level) string {
	switch kind {
	case RosterReserved, RosterAllowed, RosterRiskShopper:
		if !ValidShopper(id) {
			return fmt.Sprintf("%q is no shopper's id: "+ShopperForm, clip(id))
		}
	case RosterRiskPhone:
		if len(id) < 4 || len(id) > 16 || id[0] != '+' || strings.Trim(id[1:], "0123456789") != "" {
			return fmt.Sprintf("%q is no phone number like +8613800138000; without a country code, home_country "+
				"must be set", clip(id))
		}
	case RosterRiskAddress:
		odd := func(r rune) bool { return r < ' ' || r == 0x7f || r == '\uFFFD' }
		if len(id) == 0 || len(id) > MaxShopperBytes*2 || strings.ContainsFunc(id, odd) {
			return fmt.Sprintf("%q is no address: one line of 1 to %d bytes of UTF-8", clip(id), MaxShopperBytes*2)
		}
	case RosterRiskIP:
		if want := CanonicalPrefix(id); want != id {
			if want == "" {
				return fmt.Sprintf("%q is neither an IP address nor a prefix like 203.0.113.0/24", clip(id))
			}
			return fmt.Sprintf("%q is to be written %q", clip(id), want)
		}
		if p, err := netip.ParsePrefix(id); err == nil && p.Addr().Is4In6() {
			return fmt.Sprintf("%q is to be written as a prefix of IPv4 addresses", clip(id))
		}
	default:
		return "no such kind of list"
	}
	if level >= levelEnd {
		return fmt.Sprintf("level %d is unknown", level)
	}
	if kind < RosterRiskShopper && level > LevelListed {
		return fmt.Sprintf("level %q is for risk lists", level)
	}
	return ""
}

func clip(s string) string {
	if len(s) > 64 {
		return s[:64] + "…"
	}
	return s
}

// CanonicalPrefix gives the one way in which an IP address or prefix is written
// here ("203.0.113.0/24"; a single address with /32 or /128), or "".
func CanonicalPrefix(s string) string {
	if addr, err := netip.ParseAddr(s); err == nil && addr.Zone() == "" {
		addr = addr.Unmap()
		return netip.PrefixFrom(addr, addr.BitLen()).String()
	}
	p, err := netip.ParsePrefix(s)
	if err != nil {
		return ""
	}
	if p.Addr().Is4In6() && p.Bits() >= 96 {
		p = netip.PrefixFrom(p.Addr().Unmap(), p.Bits()-96)
	}
	return p.Masked().String()
}

// rostered is what a roster keeps of one it names.
type rostered struct {
	level  Level
	sealed uint32 // where roster.sealed has what it is of, from 1; 0 if nowhere
	since  Time
}

// roster names people, addresses and the like. Who is taken off stays as a row
// of LevelNone, so that nobody can make it grow by coming and going.
type roster struct {
	rows    directory[rostered]
	sealed  table[string] // "" of those who were taken off
	listed  int64         // rows of another level than LevelNone
	lengths prefixLengths // of the rows that are prefixes

	stage  uint64 // 0: nothing is staged
	staged *roster
}

func (s *State) newRoster() *roster {
	return &roster{rows: directory[rostered]{k0: s.k0, k1: s.k1}}
}

// level gives what the roster says of id.
func (r *roster) level(id []byte) Level {
	if r == nil {
		return LevelNone
	}
	no := r.rows.find(id)
	if no == 0 {
		return LevelNone
	}
	return r.rows.rows.at(int(no) - 1).kept.level
}

// put sets the level of id; false if the roster is full.
func (r *roster) put(e *RosterEntry, now Time) bool {
	id, level := e.ID, e.Level
	no := r.rows.find(id)
	if level != LevelNone && len(e.Sealed) == 0 {
		r.lengths.note(id)
	}
	if no == 0 {
		if level == LevelNone {
			return true
		}
		if r.rows.rows.len() >= MaxRosterRows {
			return false
		}
		r.rows.add(id, rostered{level, r.seal(0, e.Sealed), now})
		r.listed++
		return true
	}
	row := r.rows.rows.mut(int(no) - 1)
	if (row.kept.level == LevelNone) != (level == LevelNone) {
		r.listed += int64(1 - 2*btoi(level == LevelNone))
	}
	if row.kept.level != level {
		row.kept = rostered{level, r.seal(row.kept.sealed, e.Sealed), now}
	}
	return true
}

// seal keeps what a row is of, in the place that it had before, and gives the place.
func (r *roster) seal(at uint32, sealed []byte) uint32 {
	switch {
	case at != 0:
		*r.sealed.mut(int(at) - 1) = string(sealed)
	case len(sealed) > 0:
		r.sealed.add(string(sealed))
		at = uint32(r.sealed.len())
	}
	return at
}

// row gives what is said of the one with a number.
func (r *roster) row(no ShopperNo) RosterRow {
	at := r.rows.rows.at(int(no) - 1)
	row := RosterRow{ID: at.id, Level: at.kept.level, Since: at.kept.since}
	if at.kept.sealed != 0 {
		row.Sealed = *r.sealed.at(int(at.kept.sealed) - 1)
	}
	return row
}

func btoi(b bool) int {
	if b {
		return 1
	}
	return 0
}

// Rosters is what a state says of rosters.
type Rosters struct{ s *State }

// Rosters gives what the state says of rosters, under the same lock.
func (s *State) Rosters() Rosters { return Rosters{s} }

// Level tells what a roster says of id.
func (v Rosters) Level(roster RosterID, id []byte) Level { return v.s.rosters[roster].level(id) }

// Count tells how many a roster names.
func (v Rosters) Count(id RosterID) int64 {
	if r := v.s.rosters[id]; r != nil {
		return r.listed
	}
	return 0
}

// IDs gives the ids of all rosters, sorted.
func (v Rosters) IDs() []RosterID {
	return slices.SortedFunc(maps.Keys(v.s.rosters), RosterID.compare)
}

// Rows reads up to most rows of a roster from a position on (0 first), and
// gives the position after them; done at the end of all. Rows that were taken
// off are passed over, so fewer may come back than were read.
func (v Rosters) Rows(id RosterID, from, most int) (rows []RosterRow, next int, done bool) {
	r := v.s.rosters[id]
	if r == nil || from < 0 {
		return nil, from, true
	}
	end := min(r.rows.rows.len(), from+most)
	for i := from; i < end; i++ {
		if row := r.rows.rows.at(i); row.kept.level != LevelNone {
			rows = append(rows, r.row(ShopperNo(i+1)))
		}
	}
	return rows, max(from, end), end == r.rows.rows.len()
}

// Mark tells two rosters of one id apart: positions in Rows hold only
// as long as the mark is the same. nil is no roster.
func (v Rosters) Mark(id RosterID) any {
	if r := v.s.rosters[id]; r != nil {
		return r
	}
	return nil
}

// Row gives what a roster says of id, and since when.
func (v Rosters) Row(roster RosterID, id []byte) (row RosterRow, found bool) {
	r := v.s.rosters[roster]
	if r == nil {
		return row, false
	}
	no := r.rows.find(id)
	if no == 0 {
		return row, false
	}
	row = r.row(no)
	return row, row.Level != LevelNone
}

// editRoster is an operator's edit, whole or not at all.
func (s *State) editRoster(c *Command) Event {
	e := &c.Edit
	if why := s.wrongEdit(e); why != ReasonNone {
		return refused(why)
	}
	r := s.rosters[e.Roster]
	if r == nil && e.Action != RosterDrop {
		if r = s.addRoster(e.Roster); r == nil {
			return refused(ReasonTooMany)
		}
	}
	done := Event{Kind: RosterEdited, Listing: e.Roster.Listing, Quantity: uint32(len(e.Rows))}
	switch e.Action {
	case RosterStage:
		if r.stage != e.Stage {
			r.stage, r.staged = e.Stage, s.newRoster()
		}
		return s.putRows(r.staged, e.Rows, done)
	case RosterCommit:
		if r.stage != e.Stage || r.staged.rows.rows.len() != int(e.Count) {
			return refused(ReasonConflict)
		}
		done.Quantity = e.Count
		r = r.staged
		s.rosters[e.Roster] = r
	case RosterDrop:
		delete(s.rosters, e.Roster)
	case RosterPut:
		done = s.putRows(r, e.Rows, done)
	}
	s.rosterChanged(e.Roster)
	return done
}

// addRoster makes a roster; nil if there are too many.
func (s *State) addRoster(id RosterID) *roster {
	if len(s.rosters) >= MaxRosters {
		return nil
	}
	s.rosters[id] = s.newRoster()
	return s.rosters[id]
}

func (s *State) wrongEdit(e *RosterEdit) Reason {
	id := e.Roster
	switch {
	case !s.mayBe(id) || e.Action == 0 || e.Action >= rosterActionEnd:
		return ReasonUnknown
	case e.Stage == 0 && (e.Action == RosterStage || e.Action == RosterCommit):
		return ReasonConflict
	case e.Action == RosterCommit && s.rosters[id] == nil:
		return ReasonConflict
	case id.Kind == RosterReserved && !s.takesReservations(s.Listing(id.Listing)):
		return ReasonTooLate
	}
	for i := range e.Rows {
		if !e.Rows[i].valid(id.Kind) {
			return ReasonRefused
		}
	}
	return ReasonNone
}

// mayBe reports whether there may be such a roster: of a listing, of a name, or by its
// kind alone.
func (s *State) mayBe(id RosterID) bool {
	return id.Kind > 0 && id.Kind < rosterKindEnd &&
		(id.Kind == RosterReserved) == (id.Listing != 0) && (id.Kind == RosterAllowed) == (id.Name != "") &&
		(id.Listing == 0 || s.Listing(id.Listing) != nil) && (id.Name == "" || ValidID(id.Name))
}

func (s *State) putRows(r *roster, rows []RosterEntry, done Event) Event {
	if r.rows.rows.len()+len(rows) > MaxRosterRows { // looked at first, so that it is whole or not at all
		return refused(ReasonTooMany)
	}
	for i := range rows {
		r.put(&rows[i], s.now)
	}
	return done
}

func (s *State) rosterChanged(id RosterID) {
	if !slices.Contains(s.eff.Rosters, id) {
		s.eff.Rosters = append(s.eff.Rosters, id)
	}
}

// takesReservations reports whether a listing may still be reserved: before the
// start, and where it asks for it.
func (s *State) takesReservations(l *Listing) bool {
	x := s.sessions[l.Session-1]
	return l.Reservation && x.State <= Published && s.now < x.Start
}

// reserve is a shopper's registration before the start, or its withdrawal.
func (s *State) reserve(c *Command) Event {
	l := s.Listing(c.Listing)
	if l == nil || s.sessions[l.Session-1].State == Draft || !l.Reservation {
		return refused(ReasonUnknown)
	}
	id := RosterID{Kind: RosterReserved, Listing: l.Handle}
	e := Event{Kind: ShopperReserved, Session: l.Session, Listing: l.Handle}
	level := LevelListed
	if c.Withdraw {
		e.Kind, level = ReservationWithdrawn, LevelNone
	}
	r := s.rosters[id]
	switch {
	case !ValidShopper(c.Shopper):
		return refused(ReasonRefused)
	case r.level(c.Shopper) == level:
		return e
	case !s.takesReservations(l):
		return Event{Kind: CommandRefused, Reason: ReasonTooLate, Session: l.Session, Listing: l.Handle}
	case r == nil:
		r = s.addRoster(id)
	}
	if r == nil || !r.put(&RosterEntry{ID: c.Shopper, Level: level}, s.now) {
		return refused(ReasonTooMany)
	}
	s.rosterChanged(id)
	return e
}

// RosterName is a roster as operators name it. It has a session and SKU if Kind is
// RosterReserved, and a name of its own if it is RosterAllowed.
type RosterName struct {
	Kind         RosterKind
	Name         string
	Session, SKU string
}

// RosterInfo is a roster and how many it names.
type RosterInfo struct {
	RosterName
	Count int64
}

// RosterImport is what an operator puts into a roster. Rows were found valid
// (ValidRosterRow), and no id is in two of them.
type RosterImport struct {
	Replace bool // the rows take the place of all there were, in one step
	Count   int  // of Rows
	Rows    iter.Seq[RosterEntry]

	Source string // what the rows came from, for the audit trail; up to MaxIDBytes*2

	By   By
	Note string
	// Committed is told how many rows are on their way for good, from time to time;
	// nil to be told nothing.
	Committed func(rows int)
}

// RosterImported is what came of an import.
type RosterImported struct {
	Count   int64 // that the roster names now
	Changed int   // rows that the roster did not have so already; of a replacement all, or none
	Removed int   // of these, those that took somebody off
}

// Take counts a row that changed the roster.
func (i *RosterImported) Take(row RosterEntry) {
	i.Changed++
	i.Removed += btoi(row.Level == LevelNone)
}
