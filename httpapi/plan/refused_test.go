package plan

import (
	"os"
	"strings"
	"testing"
)

// TestRefused holds what Parse says of plans that are wrong against the
// transcript in testdata: for each a title, the file, "----" and the problems.
// PLAN_TRANSCRIPT=rewrite writes it anew; read the difference before keeping it.
func TestRefused(t *testing.T) {
	const file = "testdata/refused.txt"
	text, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	var anew strings.Builder
	for entry := range strings.SplitSeq(strings.TrimSuffix(string(text), "====\n"), "====\n") {
		title, rest, _ := strings.Cut(entry, "\n")
		source, want, found := strings.Cut("\n"+rest, "\n----\n")
		if !found {
			t.Fatalf("%q has no line ----", title)
		}
		source = strings.TrimPrefix(source, "\n")
		result, problems := Parse([]byte(source), Options{Now: noon(), File: "plan.yaml"})
		if (result == nil) != (len(problems) > 0) {
			t.Errorf("%s: a result and problems, or neither", title)
		}
		got := problems.Error() + "\n"
		if got != want {
			t.Errorf("%s:\ngot:\n%swant:\n%s", title, got, want)
		}
		if source != "" {
			source += "\n"
		}
		anew.WriteString(title + "\n" + source + "----\n" + got + "====\n")
	}
	if os.Getenv("PLAN_TRANSCRIPT") == "rewrite" {
		if err := os.WriteFile(file, []byte(anew.String()), 0o644); err != nil {
			t.Fatal(err)
		}
	}
}
