package engine

import (
	"fmt"
	"slices"
)

// modelRoster keeps who was taken off as a row of LevelNone: that is what a
// staging counts.
type modelRoster struct {
	rows   map[string]Level
	stage  uint64
	staged map[string]Level
}

func (r *modelRoster) listed() (n int64) {
	for _, level := range r.rows {
		n += int64(btoi(level != LevelNone))
	}
	return n
}

// roster gives a roster, an empty one where there is none.
func (m *model) roster(id RosterID) *modelRoster {
	if r := m.rosters[id]; r != nil {
		return r
	}
	return &modelRoster{rows: map[string]Level{}}
}

func (m *model) level(id RosterID, who string) Level { return m.roster(id).rows[who] }

func putModelRows(rows map[string]Level, entries []RosterEntry) {
	for _, e := range entries {
		if _, there := rows[string(e.ID)]; there || e.Level != LevelNone {
			rows[string(e.ID)] = e.Level
		}
	}
}

func (m *model) reservable(l *modelListing) bool {
	return l.spec.Reservation && l.session.state <= Published && m.now < l.session.Start
}

func (m *model) reserve(c *Command) Event {
	l := m.listing(c.Listing)
	if l == nil || l.session.state == Draft || !l.spec.Reservation {
		return Event{Kind: CommandRefused, Reason: ReasonUnknown}
	}
	id := RosterID{Kind: RosterReserved, Listing: l.handle}
	e := Event{Kind: ShopperReserved, Session: l.session.handle, Listing: l.handle}
	level := LevelListed
	if c.Withdraw {
		e.Kind, level = ReservationWithdrawn, LevelNone
	}
	if m.level(id, string(c.Shopper)) == level {
		return e
	}
	if !m.reservable(l) {
		e.Kind, e.Reason = CommandRefused, ReasonTooLate
		return e
	}
	r := m.roster(id)
	r.rows[string(c.Shopper)] = level
	m.rosters[id] = r
	return e
}

func (m *model) editRoster(e *RosterEdit) Event {
	no := func(why Reason) Event { return Event{Kind: CommandRefused, Reason: why} }
	if e.Roster.Kind == RosterReserved {
		l := m.listing(e.Roster.Listing)
		if l == nil {
			return no(ReasonUnknown)
		}
		if e.Action == RosterCommit && m.rosters[e.Roster] == nil {
			return no(ReasonConflict)
		}
		if !m.reservable(l) {
			return no(ReasonTooLate)
		}
	}
	for _, row := range e.Rows {
		if e.Roster.Kind != RosterRiskShopper && row.Level > LevelListed {
			return no(ReasonRefused)
		}
	}
	r := m.roster(e.Roster)
	done := Event{Kind: RosterEdited, Listing: e.Roster.Listing, Quantity: uint32(len(e.Rows))}
	switch e.Action {
	case RosterPut:
		putModelRows(r.rows, e.Rows)
	case RosterStage:
		if r.stage != e.Stage {
			r.stage, r.staged = e.Stage, map[string]Level{}
		}
		putModelRows(r.staged, e.Rows)
	case RosterCommit:
		if r.stage != e.Stage || len(r.staged) != int(e.Count) {
			return no(ReasonConflict)
		}
		r = &modelRoster{rows: r.staged}
		done.Quantity = e.Count
	case RosterDrop:
		delete(m.rosters, e.Roster)
		return done
	}
	m.rosters[e.Roster] = r
	return done
}

// modelBoard is the switches. What sessions have turned on lies over base.
type modelBoard struct {
	now, before, base Switches
	on                []clocked
	profiles          map[string][]Setting
}

func (b *modelBoard) turn(after Switches) { b.before, b.now = b.now, after }

func (m *model) setSwitches(c *SwitchChange) Event {
	b := &m.board
	after := b.now
	switch c.Action {
	case SwitchSet:
		after = after.with(c.Settings)
	case SwitchProfile:
		settings, there := b.profiles[c.Profile]
		if !there {
			return Event{Kind: CommandRefused, Reason: ReasonUnknown}
		}
		after = after.with(settings)
	case SwitchBack:
		after = b.before
	case SwitchNormal:
		after = NormalSwitches()
	}
	if b.on = nil; c.Action != SwitchProfile || after != b.now {
		b.turn(after)
	}
	return Event{Kind: SwitchesSet}
}

func (m *model) setProfile(c *SwitchChange) Event {
	_, there := m.board.profiles[c.Profile]
	switch {
	case c.Action == ProfileDefine:
		m.board.profiles[c.Profile] = c.Settings
		for _, x := range m.sessions {
			isOn := slices.ContainsFunc(m.board.on, func(on clocked) bool { return on.session == x.handle })
			if x.state == Open && x.Profile == c.Profile && !there && !isOn {
				m.profile(x, true)
			}
		}
	case !there:
		return Event{Kind: CommandRefused, Reason: ReasonUnknown}
	default:
		delete(m.board.profiles, c.Profile)
	}
	return Event{Kind: ProfileSet}
}

func (m *model) profile(x *modelSession, opens bool) {
	b := &m.board
	if opens {
		settings, there := b.profiles[x.Profile]
		if !there {
			return
		}
		if len(b.on) == 0 {
			b.base = b.now
		}
		b.on = append(b.on, clocked{x.handle, x.Profile})
		if after := b.now.with(settings); after != b.now {
			b.turn(after)
		}
	} else {
		at := slices.IndexFunc(b.on, func(c clocked) bool { return c.session == x.handle })
		if at < 0 {
			return
		}
		b.on = slices.Delete(b.on, at, at+1)
		after := b.base
		for _, c := range b.on {
			after = after.with(b.profiles[c.profile])
		}
		b.turn(after)
	}
	m.derived = append(m.derived, Event{Kind: SwitchesSet, Command: -1, Session: x.handle})
}

// listsDiffer says how a state's lists and switches are not what the model says.
func (m *model) listsDiffer(s *State) string {
	if *s.Switches() != m.board.now || s.board.before != m.board.before {
		return fmt.Sprintf("switches %v, before %v; the model says %v and %v", s.Switches(), s.board.before,
			m.board.now, m.board.before)
	}
	if len(s.board.profiles) != len(m.board.profiles) {
		return fmt.Sprintf("%d profiles, the model has %d", len(s.board.profiles), len(m.board.profiles))
	}
	for _, id := range s.Rosters().IDs() {
		if m.rosters[id] == nil {
			return fmt.Sprintf("roster %v is there, the model has none", id)
		}
	}
	for id, r := range m.rosters {
		rows, _, done := s.Rosters().Rows(id, 0, MaxRosterRows)
		if int64(len(rows)) != r.listed() || s.Rosters().Count(id) != r.listed() || !done {
			return fmt.Sprintf("roster %v names %v, the model says %v", id, rows, r.rows)
		}
		for who, level := range r.rows {
			if got := s.Rosters().Level(id, []byte(who)); got != level {
				return fmt.Sprintf("roster %v says %d of %s, the model %d", id, got, who, level)
			}
		}
	}
	return ""
}
