package httpapi

import (
	"testing"
	"time"

	"doorbuster/engine"
)

// TestMomentsAreSaidInTheSalesZone: a shopper hears of times as a person of the zone
// says them.
func TestMomentsAreSaidInTheSalesZone(t *testing.T) {
	zone := func(name string) *time.Location {
		z, err := time.LoadLocation(name)
		if err != nil {
			t.Fatal(err)
		}
		return z
	}
	shanghai := zone("Asia/Shanghai")
	for _, c := range []struct {
		at, now string
		zone    *time.Location
		en, zh  string
	}{
		{"2026-09-20T02:00:00Z", "2026-09-20T01:00:00Z", shanghai, "10:00", "10:00"},
		{"2026-09-20T02:00:03Z", "2026-09-20T01:00:00Z", shanghai, "10:00:03", "10:00:03"},
		{"2026-09-21T02:00:00Z", "2026-09-20T01:00:00Z", shanghai, "10:00 on 21 September", "9月21日10:00"},
		// an hour from now, and tomorrow
		{"2026-09-20T16:30:00Z", "2026-09-20T15:30:00Z", shanghai, "00:30 on 21 September", "9月21日00:30"},
		{"2026-09-20T16:30:00Z", "2026-09-20T16:10:00Z", shanghai, "00:30", "00:30"},
		{"2027-01-01T02:00:00Z", "2026-12-31T02:00:00Z", shanghai, "10:00 on 1 January 2027", "2027年1月1日10:00"},
		{"2027-09-20T02:00:00Z", "2026-09-20T02:00:00Z", shanghai, "10:00 on 20 September 2027", "2027年9月20日10:00"},
		{"2026-09-21T04:30:00Z", "2026-09-20T04:30:00Z", zone("America/St_Johns"), "02:00 on 21 September",
			"9月21日02:00"},
		{"2026-09-21T02:00:00Z", "2026-09-20T01:00:00Z", time.UTC, "02:00 UTC on 21 September", "9月21日02:00 UTC"},
	} {
		at, _ := time.Parse(time.RFC3339, c.at)
		now, _ := time.Parse(time.RFC3339, c.now)
		for in, want := range map[language]string{english: c.en, chinese: c.zh} {
			if got := string(appendMoment(nil, engine.TimeOf(at), engine.TimeOf(now), c.zone, in)); got != want {
				t.Errorf("%s at %s in %s: %q, want %q", c.at, c.now, c.zone, got, want)
			}
		}
	}
}

// TestNotOpenAllocatesNothing: also with a day to say, and a language to find.
func TestNotOpenAllocatesNothing(t *testing.T) {
	if raceDetector {
		t.Skip("with the race detector pools forget")
	}
	s := newTestShopper(t, &fakeSeller{answer: engine.Answer{Code: engine.CodeNotOpen, Reason: engine.ReasonNotOpen,
		Start: fakeNow.Add(400 * 24 * time.Hour)}})
	for _, header := range []string{"", "zh-CN,zh;q=0.9,en-US;q=0.8,en;q=0.7",
		"fr;q=0.9, de;q=0.8, zh;q=0.7, *;q=0.1"} {
		ctx := newGrab("POST", grabPath, map[string]string{"X-Shopper-Id": "ada", "Idempotency-Key": "k1",
			"Accept-Language": header}, "")
		if n := testing.AllocsPerRun(200, func() {
			ctx.Response.Reset()
			s.handle(ctx)
		}); n != 0 {
			t.Errorf("%q: %v allocations", header, n)
		}
	}
}

// TestLanguagesAreBounded: whoever sends ever new headers fills nothing.
func TestLanguagesAreBounded(t *testing.T) {
	s := newTestShopper(t, &fakeSeller{answer: engine.Answer{Code: engine.CodeMissed}})
	for i := range 3 * maxLanguages {
		header := string(rune('a'+i%26)) + string(rune('a'+i/26%26)) + "-" + string(rune('A'+i/676)) + "A, zh;q=0.1"
		ask(s, "POST", grabPath, map[string]string{"X-Shopper-Id": "ada", "Accept-Language": header}, "")
		if n := len(s.spoken.all()); n == 0 || n > maxLanguages {
			t.Fatalf("%d headers are kept", n)
		}
	}
}
