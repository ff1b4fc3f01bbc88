package engine

import (
	"fmt"
	"reflect"
	"slices"

	"pgregory.net/rapid"
)

func (m *model) noteAlarm(c *Command) Event {
	n := m.alarms[c.Alarm.Name]
	n.Name = c.Alarm.Name
	if c.Alarm.Action == AlarmAcknowledge {
		n.Acked, n.By, n.Of = m.now, c.Operator, c.Alarm.Of
	} else if c.Alarm.Action == AlarmOver {
		var left []string
		for _, whose := range n.Of {
			if !slices.Contains(c.Alarm.Of, whose) {
				left = append(left, whose)
			}
		}
		n.Of = left
	} else {
		n.Until, n.SilencedBy = c.Alarm.Until, c.Operator
	}
	m.alarms[n.Name] = n
	return Event{Kind: AlarmNoted}
}

// alarmsDiffer says how what a state has noted of alarms is not what the model says.
func (m *model) alarmsDiffer(s *State) string {
	if len(s.AlarmNotes()) != len(m.alarms) {
		return fmt.Sprintf("%d notes of alarms, the model has %d", len(s.AlarmNotes()), len(m.alarms))
	}
	for _, n := range s.AlarmNotes() {
		want := m.alarms[n.Name]
		if len(n.Of) == 0 && len(want.Of) == 0 {
			want.Of = n.Of
		}
		if !reflect.DeepEqual(*n, want) {
			return fmt.Sprintf("the note of %s is %+v; the model says %+v", n.Name, *n, want)
		}
	}
	return ""
}

// alarm acknowledges or silences alarms.
func (s *simulation) alarm() Command {
	x := AlarmChange{Name: rapid.SampledFrom([]AlarmName{AlarmNoLeader, AlarmDisk}).Draw(s.t, "alarm"),
		Action: AlarmAction(rapid.IntRange(1, int(alarmActionEnd)-1).Draw(s.t, "of an alarm"))}
	if x.Action == AlarmSilence {
		x.Until = Time(rapid.IntRange(0, 1_000_000).Draw(s.t, "silent until"))
	}
	for range rapid.IntRange(0, 2).Draw(s.t, "alarms") {
		x.Of = append(x.Of, rapid.SampledFrom([]string{"/", "a1/", "/risk"}).Draw(s.t, "whose"))
	}
	return Command{Kind: CmdNoteAlarm, Alarm: &x, Operator: rapid.SampledFrom([]string{"ann", "bo"}).Draw(s.t, "who"),
		Note: "why"}
}
