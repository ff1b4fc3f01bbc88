package engine

import (
	"flag"
	"os"
	"testing"
)

// TestMain lets rapid look further than it does by itself. Its own flags still
// decide where they are given: -rapid.checks=20000 -rapid.steps=100. Under the race
// detector it need not: 'make invariants' looks as far, and checks more at each step.
func TestMain(m *testing.M) {
	flag.Parse()
	given := map[string]bool{}
	flag.Visit(func(f *flag.Flag) { given[f.Name] = true })
	for name, value := range map[string]string{"rapid.checks": "1000", "rapid.steps": "60"} {
		if !given[name] && !testing.Short() && !raceDetector {
			if err := flag.Set(name, value); err != nil {
				panic(err)
			}
		}
	}
	os.Exit(m.Run())
}
