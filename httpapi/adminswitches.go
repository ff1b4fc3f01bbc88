package httpapi

import (
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"net/http"
	"slices"
	"strconv"
	"strings"

	"doorbuster/engine"
	"doorbuster/httpapi/wire"
)

// valueOf gives a switch's value as it is written.
func valueOf(w engine.Switch, v int64) wire.SwitchValue { return wire.SwitchValue(w.Word(v)) }

func switchboardOf(v *engine.SwitchboardView) wire.Switchboard {
	j := wire.Switchboard{LogIndex: uint64(v.LogIndex), ActiveProfile: v.Profile, Profiles: profilesOf(v.Profiles), History: []wire.SwitchRecord{}}
	for i, now := range v.Now {
		w := engine.Switch(i)
		each := wire.Switch{Name: w.String(), Value: valueOf(w, now), Normal: valueOf(w, w.Normal()), Allowed: w.Words(), Help: w.Help()}
		if w.Words() == nil {
			most := w.Top()
			each.Most = &most
		}
		j.Switches = append(j.Switches, each)
	}
	for _, r := range slices.Backward(v.History) {
		record := wire.SwitchRecord{At: rfc3339(r.At), LogIndex: uint64(r.Index), Operator: r.Operator, Note: r.Note, Action: r.Action.String(),
			Profile: r.Profile, Changed: []wire.SwitchChange{}}
		for i := range r.After {
			if w := engine.Switch(i); r.Before[i] != r.After[i] {
				record.Changed = append(record.Changed, wire.SwitchChange{Name: w.String(),
					Before: valueOf(w, r.Before[i]), After: valueOf(w, r.After[i])})
			}
		}
		j.History = append(j.History, record)
	}
	return j
}

func profilesOf(profiles []engine.Profile) []wire.Profile {
	list := make([]wire.Profile, 0, len(profiles))
	for _, p := range profiles {
		j := wire.Profile{Name: p.Name, Switches: map[string]wire.SwitchValue{}}
		for _, v := range p.Settings {
			j.Switches[v.Switch.String()] = valueOf(v.Switch, v.Value)
		}
		list = append(list, j)
	}
	return list
}

// settingsRequest names switches and what they are to be.
type settingsRequest struct {
	noted
	Switches map[string]json.RawMessage `json:"switches"`

	settings []engine.Setting
}

// wrong reads the settings and tells all that is wrong with them.
func (q *settingsRequest) wrong() string {
	if wrong := q.noted.wrong(); wrong != "" {
		return wrong
	}
	if len(q.Switches) == 0 {
		return `Name switches and their values, such as {"switches":{"rate_limits":50,"tickets":"always"}}.`
	}
	var wrong []string
	for _, name := range slices.Sorted(maps.Keys(q.Switches)) {
		w, known := engine.ParseSwitch(name)
		if !known {
			wrong = append(wrong, fmt.Sprintf("there is no switch %q", clipped(name)))
			continue
		}
		v, err := w.ParseValue(settingText(q.Switches[name]))
		if err != nil {
			wrong = append(wrong, err.Error())
			continue
		}
		q.settings = append(q.settings, engine.Setting{Switch: w, Value: v})
	}
	if len(wrong) > 0 {
		return "Nothing was changed: " + strings.Join(wrong[:min(len(wrong), mostProblems)], "; ") + ". The switches are listed at /admin/v1/switches."
	}
	return ""
}

// mostProblems is how many of them are told at once.
const mostProblems = 20

func clipped(s string) string {
	if len(s) > engine.MaxIDBytes {
		return s[:engine.MaxIDBytes] + "…"
	}
	return s
}

// settingText gives a value as people write it: "on" for true, too.
func settingText(raw json.RawMessage) string {
	switch text := string(raw); text {
	case "true":
		return "on"
	case "false":
		return "off"
	default:
		if word, err := strconv.Unquote(text); err == nil {
			return word
		}
		return text
	}
}

func (s *AdminServer) switches(w http.ResponseWriter, r *http.Request) {
	v, err := s.operator.Switchboard()
	if err != nil {
		s.failed(w, r, err)
		return
	}
	s.reply(w, r, http.StatusOK, switchboardOf(&v))
}

func (s *AdminServer) setSwitches(w http.ResponseWriter, r *http.Request) {
	var request settingsRequest
	if s.decode(w, r, &request, request.wrong) {
		s.turn(w, r, engine.SwitchChange{Action: engine.SwitchSet, Settings: request.settings}, request.Note)
	}
}

// turnAll makes the handler of a change that names no switch.
func turnAll(action engine.SwitchAction) func(*AdminServer, http.ResponseWriter, *http.Request) {
	return func(s *AdminServer, w http.ResponseWriter, r *http.Request) {
		var request noted
		if s.decode(w, r, &request, func() string { return request.wrong() }) {
			s.turn(w, r, engine.SwitchChange{Action: action, Profile: r.PathValue("profile")}, request.Note)
		}
	}
}

func (s *AdminServer) defineProfile(w http.ResponseWriter, r *http.Request) {
	var request settingsRequest
	if !s.decode(w, r, &request, func() string {
		if !engine.ValidID(r.PathValue("profile")) {
			return fmt.Sprintf("A profile's name has 1 to %d letters, digits, dots, dashes and underscores, and begins with a letter or digit.", engine.MaxIDBytes)
		}
		return request.wrong()
	}) {
		return
	}
	s.turn(w, r, engine.SwitchChange{Action: engine.ProfileDefine, Profile: r.PathValue("profile"), Settings: request.settings}, request.Note)
}

// turn makes a change, which the operator's name goes with, and answers with how
// it is afterwards.
func (s *AdminServer) turn(w http.ResponseWriter, r *http.Request, change engine.SwitchChange, note string) {
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
			s.problem(w, r, notFound, fmt.Sprintf("No profile has the name %q. The profiles are listed at /admin/v1/profiles.", clipped(change.Profile)))
			return
		}
		s.failed(w, r, err)
		return
	}
	log.Info("switches changed", "log_index", uint64(v.LogIndex))
	s.reply(w, r, http.StatusOK, switchboardOf(&v))
}

func (s *AdminServer) profiles(w http.ResponseWriter, r *http.Request) {
	v, err := s.operator.Switchboard()
	if err != nil {
		s.failed(w, r, err)
		return
	}
	s.reply(w, r, http.StatusOK, map[string]any{"active_profile": v.Profile, "profiles": profilesOf(v.Profiles)})
}

func (s *AdminServer) profile(w http.ResponseWriter, r *http.Request) {
	v, err := s.operator.Switchboard()
	if err != nil {
		s.failed(w, r, err)
		return
	}
	for _, p := range profilesOf(v.Profiles) {
		if p.Name == r.PathValue("profile") {
			s.reply(w, r, http.StatusOK, p)
			return
		}
	}
	s.problem(w, r, notFound, "No profile has this name. The profiles are listed at /admin/v1/profiles.")
}
