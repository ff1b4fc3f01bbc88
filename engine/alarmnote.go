package engine

import (
	"fmt"
	"slices"
	"strings"
	"time"
)

// Bounds of what is kept of alarms.
const (
	MaxAlarmNotes  = 128 // names of alarms that somebody has seen to, of a group
	MaxAlarmAbouts = 64  // alarms of a name that are acknowledged at once
	maxWhoseBytes  = 256
)

// AlarmNote is what operators have said to the alarms of a name. One that the state has
// given out never changes.
type AlarmNote struct {
	Name AlarmName
	// Acked is when By acknowledged the alarms at Of, as Alarm.Whose gives them. One that is
	// over leaves Of: when it begins again, nobody has acknowledged that.
	Acked Time
	By    string
	Of    []string
	// Until when alarms of the name are sent to nobody; SilencedBy said so.
	Until      Time
	SilencedBy string
}

// AlarmAction is what an operator says to alarms.
type AlarmAction uint8

// Actions. Their numbers are on disk.
const (
	AlarmAcknowledge AlarmAction = iota + 1 // those at Of
	AlarmSilence                            // until Until; a time that is past ends the silence
	AlarmOver                               // those at Of are over; noted by the leader
	alarmActionEnd
)

// AlarmChange is what a NoteAlarm notes.
type AlarmChange struct {
	Name   AlarmName
	Action AlarmAction
	Of     []string // AlarmAcknowledge, AlarmOver
	Until  Time     // AlarmSilence
}

// Whose tells an alarm from others of its name: by the node and what it is about.
func (a *Alarm) Whose() string {
	whose := a.Node + "/" + a.About
	return strings.ToValidUTF8(whose[:min(len(whose), maxWhoseBytes)], "")
}

func (x *AlarmChange) fields(c *coder) {
	c.all((*string)(&x.Name))
	oneOf(c, &x.Action, alarmActionEnd, "an unknown action on an alarm")
	c.all(&x.Of, &x.Until)
}

func (n *AlarmNote) fields(c *coder) {
	c.all((*string)(&n.Name), &n.Acked, &n.By, &n.Of, &n.Until, &n.SilencedBy)
	c.check(ValidID(string(n.Name)) && len(n.Of) <= MaxAlarmAbouts, "a note of an alarm that can't be")
}

func (s *State) alarmNamed(name AlarmName) (at int, found bool) {
	return slices.BinarySearchFunc(s.alarms, name, func(n *AlarmNote, name AlarmName) int {
		return strings.Compare(string(n.Name), string(name))
	})
}

// AlarmNotes gives what operators have said to alarms, by name. Read only.
func (s *State) AlarmNotes() []*AlarmNote { return s.alarms }

func (s *State) noteAlarm(c *Command) Event {
	x := c.Alarm
	if x == nil || !ValidID(string(x.Name)) || len(x.Of) > MaxAlarmAbouts || !sane(x.Until) ||
		slices.ContainsFunc(x.Of, func(whose string) bool { return len(whose) > maxWhoseBytes }) {
		return refused(ReasonRefused)
	}
	at, found := s.alarmNamed(x.Name)
	n := AlarmNote{Name: x.Name}
	if found {
		n = *s.alarms[at]
	} else if len(s.alarms) >= MaxAlarmNotes {
		return refused(ReasonTooMany)
	}
	switch x.Action {
	case AlarmAcknowledge:
		n.Acked, n.By, n.Of = s.now, c.Operator, x.Of
	case AlarmSilence:
		n.Until, n.SilencedBy = x.Until, c.Operator
	case AlarmOver:
		n.Of = slices.DeleteFunc(slices.Clone(n.Of), func(whose string) bool { return slices.Contains(x.Of, whose) })
	default:
		return refused(ReasonRefused)
	}
	s.alarms = slices.Clone(s.alarms) // a snapshot may hold the old one
	if found {
		s.alarms[at] = &n
	} else {
		s.alarms = slices.Insert(s.alarms, at, &n)
	}
	return Event{Kind: AlarmNoted}
}

// readAlarm reads a note, which stands behind all before it by name.
func (s *State) readAlarm(c *coder) {
	n := new(AlarmNote)
	n.fields(c)
	last := len(s.alarms)
	c.check(last < MaxAlarmNotes && (last == 0 || s.alarms[last-1].Name < n.Name),
		"a note of an alarm there twice, or one too many")
	s.alarms = append(s.alarms, n)
}

// describeAlarm says what an operator says to alarms.
func (s *State) describeAlarm(x *AlarmChange) string {
	switch {
	case x == nil:
		return ""
	case x.Action == AlarmOver:
		return "" // what the leader does by itself
	case x.Action == AlarmAcknowledge:
		return fmt.Sprintf("alarm %s is acknowledged: %s", clip(string(x.Name)), strings.Join(x.Of, ", "))
	case x.Until <= s.now:
		return fmt.Sprintf("alarm %s is silent no more", clip(string(x.Name)))
	}
	return fmt.Sprintf("alarm %s is silent until %s", clip(string(x.Name)), x.Until.Wall().Format(time.RFC3339))
}
