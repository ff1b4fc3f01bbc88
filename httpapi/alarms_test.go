package httpapi

import (
	"encoding/json"
	"errors"
	"os"
	"regexp"
	"slices"
	"strings"
	"testing"

	"doorbuster/engine"
)

// TestDoorThatFailsIsAnAlarm: a door that can't accept connections says so, until it
// can.
func TestDoorThatFailsIsAnAlarm(t *testing.T) {
	s := newTestShopper(t, &fakeSeller{})
	s.front.acceptFailed(errors.New("too many open files"))
	if all := s.Alarms(); len(all) != 1 || all[0].Name != engine.AlarmAcceptFails || all[0].About != "shopper" ||
		!strings.Contains(all[0].Detail, "too many open files") {
		t.Errorf("%+v", all)
	}
	s.front.accepted()
	if all := s.Alarms(); len(all) != 0 {
		t.Errorf("still %+v", all)
	}
}

// TestAlarmNamesAreDescribed: the document has all names of alarms, and no others.
func TestAlarmNamesAreDescribed(t *testing.T) {
	var document struct {
		Components struct {
			Schemas map[string]struct {
				Properties map[string]struct{ Enum []string }
			}
		}
	}
	if err := json.Unmarshal(openAPIDocument, &document); err != nil {
		t.Fatal(err)
	}
	described := document.Components.Schemas["Alarm"].Properties["name"].Enum
	source, err := os.ReadFile("../engine/alarm.go")
	if err != nil {
		t.Fatal(err)
	}
	var names []string
	for _, found := range regexp.MustCompile(`AlarmName = "(\w+)"`).FindAllSubmatch(source, -1) {
		names = append(names, string(found[1]))
	}
	if len(names) == 0 || !slices.Equal(names, described) {
		t.Errorf("described are %q, and there are %q", described, names)
	}
}

// TestRunbookHasEveryAlarm: the console's list of alarms leads to a heading of the runbook.
func TestRunbookHasEveryAlarm(t *testing.T) {
	w := askAdmin(newTestAdmin(t, &fakeOperator{}), "GET", "/runbook", "")
	for _, k := range engine.AlarmKinds() {
		if !strings.Contains(w.Body.String(), `<section id="`+string(k.Name)+`">`) {
			t.Errorf("no page of %s", k.Name)
		}
	}
	if w.Code != 200 || w.Header().Get("Content-Security-Policy") == "" {
		t.Errorf("%d %v", w.Code, w.Header())
	}
}
