package engine

import (
	"fmt"
	"slices"
	"strings"
)

// Switch is one of the things that operators turn off or tighten while a sale
// runs, on all nodes at once.
type Switch uint8

// Switches. Their numbers are on disk.
const (
	SwitchAdmission     Switch = iota // the admission quota
	SwitchDepth                       // waiting depth at most; 0 = as configured
	SwitchRates                       // rate limits: percent of what is configured; 0 = none
	SwitchTickets                     // 0 never, 1 as planned, 2 always
	SwitchChallenge                   // 0 never, 1 as planned, 2 always work, 3 always an image
	SwitchRiskLists                   //
	SwitchRiskService                 //
	SwitchReservations                // only those who reserved, where planned
	SwitchAllowLists                  //
	SwitchWaitlist                    // new places on the waitlist
	SwitchPrecheck                    // actors refuse early by committed state
	SwitchDisplayAge                  // ms that caches may keep what is on display
	SwitchDisplaySync                 // what is shown never goes up from node to node
	SwitchDisplayShared               // shoppers' and display listener stand in for each other
	SwitchJournal                     // refusals are noted
	SwitchCount         int    = iota
)

// switchSpec says what values a switch takes, and its value while nobody says
// otherwise.
type switchSpec struct {
	name        string
	normal, top int64
	words       []string // of the values, where they have words
	help        string
}

var onOff = []string{"off", "on"}

var switchSpecs = [SwitchCount]switchSpec{
	SwitchAdmission: {"admission_quota", 1, 1, onOff, "the admission quota of a listing"},
	SwitchDepth: {"waiting_depth", 0, 1 << 20, nil,
		"grabs of a listing that may wait inside; 0 is what the node's configuration says"},
	SwitchRates: {"rate_limits", 100, 1000, nil,
		"percent of the configured rates that a shopper or an address may use; 0 is no limit"},
	SwitchTickets: {"tickets", 1, 2, []string{"off", "planned", "always"}, "grab tickets"},
	SwitchChallenge: {"challenge", 1, 3, []string{"off", "planned", "work", "image"},
		"what is to be solved for a ticket"},
	SwitchRiskLists:    {"risk_lists", 1, 1, onOff, "risk lists"},
	SwitchRiskService:  {"risk_service", 1, 1, onOff, "the outside risk service, where one is configured"},
	SwitchReservations: {"reservations", 1, 1, onOff, "only those who reserved may buy, where the listing says so"},
	SwitchAllowLists: {"allow_lists", 1, 1, onOff,
		"only those on the allow list may buy, where the listing names one"},
	SwitchWaitlist: {"waitlist", 1, 1, onOff, "new places in line; who is in line stays there"},
	SwitchPrecheck: {"precheck", 1, 1, onOff, "refusing early by what is committed, before the log decides"},
	SwitchDisplayAge: {"display_age_ms", 1000, 60_000, nil,
		"milliseconds that caches may keep what is on display, as whole seconds; under 1000 they keep nothing"},
	SwitchDisplaySync: {"display_sync", 1, 1, onOff,
		"stock on display never goes up from node to node; off takes load from the leader"},
	SwitchDisplayShared: {"display_shared", 0, 1, onOff,
		"the shoppers' and the display listener stand in for each other"},
	SwitchJournal: {"refusal_journal", 1, 1, onOff, "noting why shoppers were refused"},
}

func (w Switch) String() string {
	if int(w) >= SwitchCount {
		return "unknown"
	}
	return switchSpecs[w].name
}

// Help says what the switch turns.
func (w Switch) Help() string { return switchSpecs[w].help }

// Normal is the switch's value while nobody says otherwise.
func (w Switch) Normal() int64 { return switchSpecs[w].normal }

// Word gives a value of the switch as people write it.
func (w Switch) Word(v int64) string {
	if words := switchSpecs[w].words; v >= 0 && int(v) < len(words) {
		return words[v]
	}
	return fmt.Sprint(v)
}

// ParseSwitch reads the name of a switch.
func ParseSwitch(name string) (Switch, bool) {
	i := slices.IndexFunc(switchSpecs[:], func(spec switchSpec) bool { return spec.name == name })
	return Switch(max(i, 0)), i >= 0
}

// ParseValue reads a value of the switch, a word or a whole number. The error
// says what values there are.
func (w Switch) ParseValue(text string) (int64, error) {
	spec := &switchSpecs[w]
	if i := slices.Index(spec.words, text); i >= 0 {
		return int64(i), nil
	}
	var v int64
	if spec.words != nil {
		return 0, fmt.Errorf("%s is %q; it may be %s", spec.name, clip(text), strings.Join(spec.words, ", "))
	}
	if n, err := fmt.Sscanf(text, "%d", &v); n != 1 || err != nil || fmt.Sprint(v) != text || !w.Valid(v) {
		return 0, fmt.Errorf("%s is %q; it may be a whole number from 0 to %d", spec.name, clip(text), spec.top)
	}
	return v, nil
}

// Valid reports whether the switch may have the value.
func (w Switch) Valid(v int64) bool { return int(w) < SwitchCount && v >= 0 && v <= switchSpecs[w].top }

// Switches are the values of all switches.
type Switches [SwitchCount]int64

// NormalSwitches are the values while nobody says otherwise.
func NormalSwitches() (v Switches) {
	for i := range v {
		v[i] = switchSpecs[i].normal
	}
	return v
}

// On reports whether a switch is not off.
func (v *Switches) On(w Switch) bool { return v[w] != 0 }

// Setting is a switch with a value.
type Setting struct {
	Switch Switch
	Value  int64
}

// Profile is a named set of settings, turned at once.
type Profile struct {
	Name     string
	Settings []Setting // each switch at most once
}

// SwitchChange is what an operator does to switches (SetSwitches) or to a
// profile (SetProfile).
type SwitchChange struct {
	Action   SwitchAction
	Settings []Setting // SwitchSet; and of a profile that is defined
	Profile  string    // SwitchProfile; and the name of one defined or forgotten
}

// SwitchAction is what a change does.
type SwitchAction uint8

// Actions. Their numbers are on disk.
const (
	SwitchSet     SwitchAction = iota + 1 // single switches
	SwitchProfile                         // those of a profile; the others stay
	SwitchBack                            // as it was before the last change
	SwitchNormal                          // everything as if nobody had said anything
	ProfileDefine
	ProfileForget
	switchActionEnd
)

var switchActions = [...]string{"", "set", "profile", "back", "normal", "define", "forget"}

func (a SwitchAction) String() string { return nameOf(switchActions[:], int(a)) }

// Bounds of profiles and of what is remembered of changes.
const (
	MaxProfiles   = 64
	switchHistory = 64
)

// SwitchRecord is one change that was made.
type SwitchRecord struct {
	At       Time
	Index    LogIndex
	Operator string // "session ID" where a session's clock did it
	Note     string
	Action   SwitchAction
	Profile  string
	Before   Switches
	After    Switches
}

// switchboard is the part of a state that operators turn.
type switchboard struct {
	now     Switches
	before  Switches // one step back
	profile string   // turned on last, if nothing was changed since
	// clocked are the profiles that open sessions have turned on, in the order of
	// their opening, and base the values before the first of them: until somebody
	// else turns anything. A session that ends takes its own away, whichever others
	// still overlap it.
	clocked  []clocked
	base     Switches
	profiles []Profile // sorted by name
	history  []SwitchRecord
}

// clocked is a profile that a session's clock has turned on.
type clocked struct {
	session SessionHandle
	profile string
}

// Switches gives the present values.
func (s *State) Switches() *Switches { return &s.board.now }

func (s *State) profileNamed(name string) (int, bool) {
	return slices.BinarySearchFunc(s.board.profiles, name, func(p Profile, name string) int {
		return strings.Compare(p.Name, name)
	})
}

func validSettings(settings []Setting) bool {
	seen := [SwitchCount]bool{}
	for _, v := range settings {
		if !v.Switch.Valid(v.Value) || seen[v.Switch] {
			return false
		}
		seen[v.Switch] = true
	}
	return true
}

func (v Switches) with(settings []Setting) Switches {
	for _, each := range settings {
		v[each.Switch] = each.Value
	}
	return v
}

// settingsThatDiffer gives the switches that two boards have set differently, as the
// second has them.
func settingsThatDiffer(before, after Switches) (settings []Setting) {
	for i := range after {
		if after[i] != before[i] {
			settings = append(settings, Setting{Switch(i), after[i]})
		}
	}
	return settings
}

func (s *State) setSwitches(c *Command) Event {
	after, profile, why := s.turned(&c.Switches)
	if why != ReasonNone {
		return refused(why)
	}
	s.turn(after, c.Switches.Action, profile, nil, c.Operator, c.Note)
	return Event{Kind: SwitchesSet}
}

// turned gives the switches as a change is to have them, and the profile that it
// turns on, or why it can't be.
func (s *State) turned(change *SwitchChange) (after Switches, profile string, why Reason) {
	b := &s.board
	after = b.now
	switch change.Action {
	case SwitchSet:
		if len(change.Settings) == 0 || !validSettings(change.Settings) {
			return after, "", ReasonRefused
		}
		after = after.with(change.Settings)
	case SwitchProfile:
		i, found := s.profileNamed(change.Profile)
		if !found {
			return after, "", ReasonUnknown
		}
		after, profile = after.with(b.profiles[i].Settings), change.Profile
	case SwitchBack:
		after = b.before
	case SwitchNormal:
		after = NormalSwitches()
	default:
		return after, "", ReasonUnknown
	}
	return after, profile, ReasonNone
}

// turn makes after the values, and remembers how it was. on is what sessions'
// clocks have turned on then.
func (s *State) turn(after Switches, action SwitchAction, profile string, on []clocked, operator, note string) {
	b := &s.board
	record := SwitchRecord{At: s.now, Index: s.index, Operator: operator, Note: note, Action: action, Profile: profile,
		Before: b.now, After: after}
	if len(b.history) >= switchHistory {
		b.history = slices.Clone(b.history[1:]) // a snapshot may hold the old one
	}
	b.history = append(b.history[:len(b.history):len(b.history)], record)
	if action != SwitchProfile || after != b.now {
		b.before = b.now
	}
	b.now, b.profile, b.clocked = after, profile, on
	if len(on) == 0 {
		b.base = after
	}
	s.eff.Switches = true
	for _, l := range s.listings { // the waitlist may go on, or what is looked at first may change
		s.touch(l.Handle)
	}
}

// profileFor turns a session's profile on with its opening, and takes it back with
// its end, if nobody has turned anything since; a plan that names another for an open
// session does both.
func (s *State) profileFor(x *Session, opens bool, note string) {
	b := &s.board
	after, action, profile, on := b.now, SwitchProfile, x.Profile, slices.Clone(b.clocked)
	if opens {
		i, found := s.profileNamed(x.Profile)
		if !found {
			return
		}
		after, on = after.with(b.profiles[i].Settings), append(on, clocked{x.Handle, x.Profile})
	} else {
		at := slices.IndexFunc(on, func(c clocked) bool { return c.session == x.Handle })
		if at < 0 {
			return
		}
		after, action, profile, on = b.base, SwitchBack, "", slices.Delete(on, at, at+1)
		for _, c := range on {
			if i, found := s.profileNamed(c.profile); found {
				after, profile = after.with(b.profiles[i].Settings), c.profile
			}
		}
	}
	s.turn(after, action, profile, on, "session "+x.ID, note)
	s.derive(Event{Kind: SwitchesSet, Session: x.Handle})
}

func (s *State) setProfile(c *Command) Event {
	change, b := &c.Switches, &s.board
	i, found := s.profileNamed(change.Profile)
	switch {
	case !ValidID(change.Profile):
		return refused(ReasonRefused)
	case change.Action == ProfileForget && !found:
		return refused(ReasonUnknown)
	case change.Action == ProfileForget:
		b.profiles = slices.Delete(slices.Clone(b.profiles), i, i+1)
	case change.Action != ProfileDefine || len(change.Settings) == 0 || !validSettings(change.Settings):
		return refused(ReasonRefused)
	case found:
		b.profiles = slices.Clone(b.profiles)
		b.profiles[i].Settings = change.Settings
	case len(b.profiles) >= MaxProfiles:
		return refused(ReasonTooMany)
	default:
		b.profiles = slices.Insert(slices.Clone(b.profiles), i, Profile{change.Profile, change.Settings})
		for _, x := range s.sessions { // those that opened without it
			if x.State == Open && x.Profile == change.Profile &&
				!slices.ContainsFunc(b.clocked, func(c clocked) bool { return c.session == x.Handle }) {
				s.profileFor(x, true, "defined while it is open")
			}
		}
	}
	s.eff.Switches = true
	return Event{Kind: ProfileSet}
}

// fields are led by their number, so that a build with more switches reads what one
// with fewer has written.
func (v *Switches) fields(c *coder) {
	if c.reads {
		*v = NormalSwitches()
	}
	for i := range v[:c.length(len(v), len(v))] {
		signed(c, &v[i])
		c.check(Switch(i).Valid(v[i]), "a switch with a value that it can't have")
	}
}

func (x *clocked) fields(c *coder) { c.all(&x.session, &x.profile) }

func (b *switchboard) fields(c *coder) {
	c.all(&b.now, &b.before, &b.profile, &b.clocked, &b.base, &b.profiles, &b.history)
	c.check(len(b.profiles) <= MaxProfiles && len(b.history) <= switchHistory,
		"too many profiles, or too long a history of switches")
	for i, p := range b.profiles {
		c.check(ValidID(p.Name) && validSettings(p.Settings) && (i == 0 || b.profiles[i-1].Name < p.Name),
			"a profile that can't be")
	}
	for _, h := range b.history {
		c.check(h.Action > 0 && h.Action < switchActionEnd, "a change of switches that can't have been")
	}
}

// SwitchboardView is the switches as operators see them, at a log index. It is
// whoever's it was made for.
type SwitchboardView struct {
	LogIndex LogIndex
	Now      Switches
	Profile  string         // turned on last, "" if anything was changed since
	Profiles []Profile      // sorted by name
	History  []SwitchRecord // the last changes, the oldest first
}

// Switchboard copies what operators see of the switches.
func (s *State) Switchboard() SwitchboardView {
	b := &s.board
	return SwitchboardView{LogIndex: s.index, Now: b.now, Profile: b.profile, Profiles: slices.Clone(b.profiles),
		History: slices.Clone(b.history)}
}

// Words gives the words that the values of a switch have, by value; none if they
// are numbers up to Top. Read only.
func (w Switch) Words() []string { return switchSpecs[w].words }

// Top is the highest value of a switch.
func (w Switch) Top() int64 { return switchSpecs[w].top }
