package nodetest

import (
	"encoding/json"
	"slices"

	"doorbuster/engine"
	"doorbuster/httpapi/wire"
)

// alarms gives what the node lists at its operators' door; ok is false if it does not answer.
func (s *Shop) alarms() (all []engine.Alarm, ok bool) {
	var header []string
	if s.Token != "" {
		header = []string{"Authorization", "Bearer " + s.Token}
	}
	a, err := s.Request("GET", "http://"+s.Admin+"/admin/v1/alarms", "", header...)
	var list wire.Alarms
	if err != nil || a.Status != 200 || json.Unmarshal([]byte(a.Body), &list) != nil {
		return nil, false
	}
	return list.Alarms, true
}

// listed gives the alarm of a name, about what is named if anything is.
func listed(all []engine.Alarm, name engine.AlarmName, about []string) (a engine.Alarm, on bool) {
	i := slices.IndexFunc(all, func(a engine.Alarm) bool {
		return a.Name == name && (len(about) == 0 || slices.Contains(about, a.About))
	})
	if i < 0 {
		return a, false
	}
	return all[i], true
}

// Raised waits until the node lists an alarm of a name, about what is named if anything is,
// and gives it. TestEveryAlarmIsRaisedAndHealed goes by its calls, and by those of Healed.
func (s *Shop) Raised(name engine.AlarmName, about ...string) (a engine.Alarm) {
	s.T.Helper()
	s.await(name, about, true, &a)
	return a
}

// Healed waits until the node lists none of a name, about what is named if anything is.
func (s *Shop) Healed(name engine.AlarmName, about ...string) {
	s.T.Helper()
	s.await(name, about, false, new(engine.Alarm))
}

func (s *Shop) await(name engine.AlarmName, about []string, want bool, a *engine.Alarm) {
	s.T.Helper()
	said := "it does not answer"
	s.Eventually(func() bool {
		all, ok := s.alarms()
		if !ok {
			return false
		}
		text, _ := json.Marshal(all)
		said = string(text)
		on := false
		*a, on = listed(all, name, about)
		return on == want
	}, func() string {
		text := "the alarm " + string(name) + " is never over: "
		if want {
			text = "no alarm " + string(name) + ": "
		}
		if s.Logs != nil {
			said += "\n" + TailOf(s.Logs.String(), 4000)
		}
		return text + said
	})
}
