package httpapi

import (
	"testing"
	"time"

	"pgregory.net/rapid"

	"doorbuster/engine"
)

// What appendTime writes by hand is what the layout says.
func TestAppendTimeIsTheLayout(t *testing.T) {
	check := func(at engine.Time) string {
		want := `"` + at.Wall().Format(timeLayout) + `"`
		if got := string(appendTime(nil, at)); got != want {
			return got + ", want " + want
		}
		return ""
	}
	for _, at := range []engine.Time{0, -1, 1, 10, 100, 999, 1000,
		engine.TimeOf(time.Date(9999, 12, 31, 23, 59, 59, 999e6, time.UTC)),
		engine.TimeOf(time.Date(10000, 1, 1, 0, 0, 0, 0, time.UTC)),
		engine.TimeOf(time.Date(2028, 2, 29, 0, 0, 0, 50e6, time.UTC))} {
		if wrong := check(at); wrong != "" {
			t.Error(wrong)
		}
	}
	rapid.Check(t, func(r *rapid.T) {
		if wrong := check(engine.Time(rapid.Int64Range(-1e14, 3e14).Draw(r, "ms"))); wrong != "" {
			r.Fatal(wrong)
		}
	})
}
