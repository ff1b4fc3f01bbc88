package backoffice

import (
	"context"

	"doorbuster/engine"
)

// AlarmNotes gives what operators have said to alarms, as far as this node knows. Read only.
func (bo *Office) AlarmNotes() (all []*engine.AlarmNote) {
	bo.View(func(s *engine.State) { all = s.AlarmNotes() })
	return all
}

// NoteAlarm notes what an operator says to alarms of a name.
func (bo *Office) NoteAlarm(ctx context.Context, by engine.By, x engine.AlarmChange, note string) error {
	return bo.askBy(ctx, by, engine.Command{Kind: engine.CmdNoteAlarm, Alarm: &x, Note: note})
}
