package engine

import (
	"os"
	"regexp"
	"strings"
	"testing"
	"unicode"
)

// TestEveryAlarmHasItsPage: the runbook has every alarm, in order, and says all of each in
// sentences.
func TestEveryAlarmHasItsPage(t *testing.T) {
	source, err := os.ReadFile("alarm.go")
	if err != nil {
		t.Fatal(err)
	}
	names := regexp.MustCompile(`AlarmName = "(\w+)"`).FindAllSubmatch(source, -1)
	kinds := AlarmKinds()
	if len(names) != len(kinds) {
		t.Errorf("%d alarms, %d pages", len(names), len(kinds))
	}
	for i, k := range kinds[:min(len(names), len(kinds))] {
		if string(k.Name) != string(names[i][1]) {
			t.Errorf("page %d is of %s, and the alarm is %s", i, k.Name, names[i][1])
		}
		if k.Severity != SeverityTell && k.Severity != SeverityWake {
			t.Errorf("%s: severity %q", k.Name, k.Severity)
		}
		for _, says := range []string{k.Means, k.Felt, k.Look, k.Do, k.Heals} {
			if !strings.HasSuffix(says, ".") || strings.Contains(says, "|") ||
				!strings.ContainsFunc(says[:1], unicode.IsLetter) {
				t.Errorf("%s: %q is no sentence", k.Name, says)
			}
		}
	}
	if k := KindOf("of_another_build"); k.Severity != SeverityWake {
		t.Errorf("an unknown alarm is %q", k.Severity)
	}
}

// TestWildAlarmNotes: what no state could hold is refused.
func TestWildAlarmNotes(t *testing.T) {
	g := newGroup(t)
	for _, x := range []AlarmChange{{Action: AlarmSilence, Until: -1}, {Action: AlarmSilence, Until: 3 * maxTime},
		{Action: AlarmAcknowledge, Of: []string{strings.Repeat("x", maxWhoseBytes+1)}}} {
		x.Name = "no_leader"
		if e := g.one(Command{Kind: CmdNoteAlarm, Alarm: &x, Operator: "op"}); e.Kind != CommandRefused {
			t.Errorf("%+v: %v", x, e)
		}
	}
}
