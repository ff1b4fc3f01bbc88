package httpapi

import (
	"errors"
	"fmt"
	"maps"
	"net/http"
	"slices"
	"strings"

	"doorbuster/engine"
	"doorbuster/httpapi/wire"
)

// valueOf gives a switch's value as it is written.
func valueOf(w engine.Switch, v int64) wire.SwitchValue { return wire.SwitchValue(w.Word(v)) }

func switchboardOf(v *engine.SwitchboardView) wire.Switchboard {
	j := wire.Switchboard{LogIndex: uint64(v.LogIndex), ActiveProfile: v.Profile, Profiles: profilesOf(v.Profiles),
		History: []wire.SwitchRecord{}}
	for i, now := range v.Now {
		w := engine.Switch(i)
		each := wire.Switch{Name: w.String(), Value: valueOf(w, now), Normal: valueOf(w, w.Normal()),
			Allowed: w.Words(), Help: w.Help()}
		if w.Words() == nil {
			most := w.Top()
			each.Most = &most
		}
		j.Switches = append(j.Switches, each)
	}
	for _, r := range slices.Backward(v.History) {
		j.History = append(j.History, switchRecordOf(&r))
	}
	return j
}

func switchRecordOf(r *engine.SwitchRecord) wire.SwitchRecord {
	j := wire.SwitchRecord{At: rfc3339(r.At), LogIndex: uint64(r.Index), Operator: r.Operator, Note: r.Note,
		Action: r.Action.String(), Profile: r.Profile, Changed: []wire.SwitchChange{}}
	for i := range r.After {
		if w := engine.Switch(i); r.Before[i] != r.After[i] {
			j.Changed = append(j.Changed, wire.SwitchChange{Name: w.String(), Before: valueOf(w, r.Before[i]),
				After: valueOf(w, r.After[i])})
		}
	}
	return j
}

func profilesOf(profiles []engine.Profile) []wire.Profile {
	return listOf(profiles, func(p *engine.Profile) wire.Profile {
		j := wire.Profile{Name: p.Name, Switches: map[string]wire.SwitchValue{}}
		for _, v := range p.Settings {
			j.Switches[v.Switch.String()] = valueOf(v.Switch, v.Value)
		}
		return j
	})
}

// settingsOf reads switches and what they are to be, and tells all that is wrong with them.
func settingsOf(b *wire.Settings) (settings []engine.Setting, err error) {
	if len(b.Switches) == 0 {
		return nil, refuse(malformed, `Name switches and their values, such as `+
			`{"switches":{"rate_limits":50,"tickets":"always"}}.`)
	}
	var wrong []string
	for _, name := range slices.Sorted(maps.Keys(b.Switches)) {
		w, known := engine.ParseSwitch(name)
		if !known {
			wrong = append(wrong, fmt.Sprintf("there is no switch %q", clipped(name)))
			continue
		}
		v, err := w.ParseValue(string(b.Switches[name]))
		if err != nil {
			wrong = append(wrong, err.Error())
			continue
		}
		settings = append(settings, engine.Setting{Switch: w, Value: v})
	}
	if len(wrong) > 0 {
		return nil, refuse(malformed, "Nothing was changed: "+strings.Join(wrong[:min(len(wrong), mostProblems)], "; ")+
			". The switches are listed at /admin/v1/switches.")
	}
	return settings, nil
}

// mostProblems is how many of them are told at once.
const mostProblems = 20

func clipped(s string) string {
	if len(s) > engine.MaxIDBytes {
		return s[:engine.MaxIDBytes] + "…"
	}
	return s
}

func (s *AdminServer) switches(*http.Request) (wire.Switchboard, error) {
	v, err := s.operator.Switchboard()
	return switchboardOf(&v), err
}

func (s *AdminServer) setSwitches(r *http.Request, b *wire.Settings) (wire.Switchboard, error) {
	settings, err := settingsOf(b)
	if err != nil {
		return wire.Switchboard{}, err
	}
	return s.turn(r, engine.SwitchChange{Action: engine.SwitchSet, Settings: settings}, b.Note.Note)
}

// turnAll makes the handler of a change that names no switch.
func turnAll(action engine.SwitchAction) adminHandler {
	return makes(func(s *AdminServer, r *http.Request, b *wire.Note) (wire.Switchboard, error) {
		return s.turn(r, engine.SwitchChange{Action: action, Profile: r.PathValue("profile")}, b.Note)
	})
}

func (s *AdminServer) defineProfile(r *http.Request, b *wire.Settings) (wire.Switchboard, error) {
	name := r.PathValue("profile")
	if !engine.ValidID(name) {
		return wire.Switchboard{}, refuse(malformed, fmt.Sprintf("A profile's name has 1 to %d letters, digits, "+
			"dots, dashes "+
			"and underscores, and begins with a letter or digit.", engine.MaxIDBytes))
	}
	settings, err := settingsOf(b)
	if err != nil {
		return wire.Switchboard{}, err
	}
	return s.turn(r, engine.SwitchChange{Action: engine.ProfileDefine, Profile: name, Settings: settings}, b.Note.Note)
}

// turn makes a change, which the operator's name goes with, and gives how it is
// afterwards.
func (s *AdminServer) turn(r *http.Request, change engine.SwitchChange, note string) (wire.Switchboard, error) {
	log := s.log.With("action", change.Action.String(), "operator", operatorOf(r), "note", note)
	if change.Profile != "" {
		log = log.With("profile", change.Profile)
	}
	for _, v := range change.Settings {
		log = log.With(v.Switch.String(), v.Switch.Word(v.Value))
	}
	v, err := s.operator.ChangeSwitches(r.Context(), byOf(r), change, note)
	if err != nil {
		log.Info("switches not changed", "error", err)
		var refusal *engine.Refusal
		if errors.As(err, &refusal) && refusal.Reason == engine.ReasonUnknown {
			err = refuse(notFound, fmt.Sprintf("No profile has the name %q. The profiles are listed at "+
				"/admin/v1/profiles.",
				clipped(change.Profile)))
		}
		return wire.Switchboard{}, err
	}
	log.Info("switches changed", "log_index", uint64(v.LogIndex))
	return switchboardOf(&v), nil
}

func (s *AdminServer) profiles(*http.Request) (wire.Profiles, error) {
	v, err := s.operator.Switchboard()
	return wire.Profiles{ActiveProfile: v.Profile, Profiles: profilesOf(v.Profiles)}, err
}

func (s *AdminServer) profile(r *http.Request) (wire.Profile, error) {
	all, err := s.profiles(r)
	if err != nil {
		return wire.Profile{}, err
	}
	for _, p := range all.Profiles {
		if p.Name == r.PathValue("profile") {
			return p, nil
		}
	}
	return wire.Profile{}, refuse(notFound, "No profile has this name. The profiles are listed at /admin/v1/profiles.")
}
