package httpapi

import (
	"context"
	"fmt"
	"net/http"
	"slices"
	"time"

	"doorbuster/engine"
	"doorbuster/httpapi/hot"
	"doorbuster/httpapi/wire"
)

// AlarmBook is what operators have said to alarms. Safe for concurrent use.
type AlarmBook interface {
	// AlarmNotes gives it by alarms' names. Read only.
	AlarmNotes() []*engine.AlarmNote
	// NoteAlarm notes something of the alarms of a name, committed. Errors as for Operator.
	NoteAlarm(ctx context.Context, by engine.By, x engine.AlarmChange, note string) error
}

// noBook stands for it where there is none.
type noBook struct{}

func (noBook) AlarmNotes() []*engine.AlarmNote { return nil }
func (noBook) NoteAlarm(context.Context, engine.By, engine.AlarmChange, string) error {
	return &engine.Refusal{Reason: engine.ReasonUnknown}
}

func (s *AdminServer) alarms(r *http.Request) (wire.Alarms, error) {
	status, err := s.clusterStatus(r)
	all := wire.Alarms{Alarms: status.Alarms, SeenTo: []wire.AlarmNote{}}
	for _, n := range s.book.AlarmNotes() {
		all.SeenTo = append(all.SeenTo, alarmNoteOf(n))
	}
	return all, err
}

func alarmNoteOf(n *engine.AlarmNote) wire.AlarmNote {
	j := wire.AlarmNote{Name: string(n.Name), AcknowledgedBy: n.By, Of: []wire.AlarmOf{}, SilencedBy: n.SilencedBy}
	if n.Acked != 0 {
		j.AcknowledgedAt = milliseconds(n.Acked)
	}
	if n.Until != 0 {
		j.SilentUntil = milliseconds(n.Until)
	}
	for _, whose := range n.Of {
		j.Of = append(j.Of, wire.AlarmOf(whose))
	}
	return j
}

// noteAlarm notes something of the alarms of the name that a request has, and gives what is
// noted of them then.
func (s *AdminServer) noteAlarm(r *http.Request, x engine.AlarmChange, note string) (j wire.AlarmNote, err error) {
	log := s.log.With("alarm", x.Name, "operator", operatorOf(r), "note", note)
	if err := s.book.NoteAlarm(r.Context(), byOf(r), x, note); err != nil {
		log.Info("alarm not noted", "error", err)
		return j, err
	}
	log.Info("alarm noted", "of", x.Of, "silent_until", x.Until)
	j = alarmNoteOf(&engine.AlarmNote{Name: x.Name})
	for _, n := range s.book.AlarmNotes() {
		if n.Name == x.Name {
			j = alarmNoteOf(n)
		}
	}
	return j, nil
}

// alarmNamed gives the alarm's name that a request has.
func alarmNamed(r *http.Request) (engine.AlarmName, error) {
	name := engine.AlarmName(r.PathValue("alarm"))
	if !slices.ContainsFunc(engine.AlarmKinds(), func(k engine.AlarmKind) bool { return k.Name == name }) {
		return "", refuse(notFound, fmt.Sprintf("No alarm has the name %q. /runbook has all of them.",
			clipped(string(name))))
	}
	return name, nil
}

func (s *AdminServer) acknowledgeAlarm(r *http.Request, b *wire.Note) (j wire.AlarmNote, err error) {
	x := engine.AlarmChange{Action: engine.AlarmAcknowledge}
	if x.Name, err = alarmNamed(r); err != nil {
		return j, err
	}
	status, err := s.clusterStatus(r)
	if err != nil {
		return j, err
	}
	done, err := s.operator.Done(r.Context(), byOf(r))
	if err != nil {
		return j, err
	}
	for i := range status.Alarms {
		if a := &status.Alarms[i]; a.Name == x.Name && len(x.Of) < engine.MaxAlarmAbouts {
			x.Of = append(x.Of, a.Whose())
		}
	}
	if len(x.Of) == 0 && !done {
		return j, refuse(conflict, fmt.Sprintf("No alarm %s is on. See /admin/v1/alarms for those that are.", x.Name))
	}
	return s.noteAlarm(r, x, b.Why())
}

func (s *AdminServer) hotProducts(*http.Request) (wire.Hot, error) {
	j := wire.Hot{Node: s.cluster.Status().Answered, WindowSeconds: hot.Seconds, Products: []wire.HotProduct{}}
	if s.hot != nil {
		j.Products = s.hot(hotLeast)
	}
	return j, nil
}

// hotLeast is how many times a second a product is asked for that is listed.
const hotLeast = 10

// mostSilence is how long an alarm may be silent: a silence is no way to forget one.
const mostSilence = 30 * 24 * time.Hour

func (s *AdminServer) silenceAlarm(r *http.Request, b *wire.AlarmSilence) (j wire.AlarmNote, err error) {
	x := engine.AlarmChange{Action: engine.AlarmSilence}
	if x.Name, err = alarmNamed(r); err != nil {
		return j, err
	}
	d, err := time.ParseDuration(b.For)
	if err != nil || d < 0 || d > mostSilence {
		return j, refuse(malformed, `Say for how long: {"for":"2h"}, 720h at most; 0s ends a silence.`)
	}
	x.Until = engine.TimeOf(time.Now().Add(d))
	return s.noteAlarm(r, x, b.Why())
}
