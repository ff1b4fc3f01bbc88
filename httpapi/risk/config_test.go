package risk

import (
	"strings"
	"testing"
	"time"
)

func TestValidate(t *testing.T) {
	good := DefaultConfig()
	good.URL = "https://risk.example/judge?v=1"
	for _, cfg := range []Config{good, {URL: "http://127.0.0.1:9000"}} {
		if err := cfg.Validate(); err != nil {
			t.Errorf("%+v: %v", cfg, err)
		}
	}
	err := Config{
		URL: "ftp://risk.example", Token: "top secret\n", Timeout: time.Millisecond, WhenDown: Watch,
		CacheTTL: 2 * time.Hour, CacheSize: -1,
		MaxInFlight: 20_000, Breaker: Breaker{Failures: 2000, OpenFor: time.Hour, Probes: -5},
	}.Validate()
	if err == nil {
		t.Fatal("what is wrong is taken")
	}
	for _, want := range []string{
		`URL is "ftp://risk.example"; it must be like https://`, "Token has 11 characters",
		"WhenDown is watch; it must be allow, challenge or block",
		"Timeout is 1ms; it must be 10ms to 5s", "CacheTTL is 2h0m0s; it must be 1s to 1h0m0s",
		"CacheSize is -1; it must be 1 to 10000000",
		"MaxInFlight is 20000; it must be 1 to 10000", "Breaker.Failures is 2000", "Breaker.OpenFor is 1h0m0s",
		"Breaker.Probes is -5",
	} {
		if !strings.Contains(err.Error(), want) {
			t.Errorf("%q does not say %q", err, want)
		}
	}
	if strings.Contains(err.Error(), "secret") {
		t.Errorf("%q shows the token", err)
	}
	for _, url := range []string{"", "risk.example", "https://", "https://ops:word@risk.example",
		"https://risk.example/#top", "https://risk.example:port", "http://a b:c\x00"} {
		err := Config{URL: url}.Validate()
		if err == nil || strings.Contains(err.Error(), "word") {
			t.Errorf("%q: %v", url, err)
		}
		if _, err := New(Config{URL: url}); err == nil {
			t.Errorf("New takes %q", url)
		}
	}
}

func TestLevels(t *testing.T) {
	for _, level := range []Level{Allow, Watch, Challenge, Block} {
		if got, err := ParseLevel(level.String()); got != level || err != nil {
			t.Errorf("%s is read as %s, %v", level, got, err)
		}
	}
	if _, err := ParseLevel("deny"); err == nil {
		t.Error("deny is taken")
	}
	if Level(9).String() != "level 9" || Source(9).String() != "source 9" || FromMemory.String() != "memory" {
		t.Error("names are wrong")
	}
}

// FuzzAnswer: whatever is taken names its level, whole.
func FuzzAnswer(f *testing.F) {
	for _, said := range []string{`{"level":"allow"}`, `{"level":"block","level":"watch"}`, `{"level":1}`, `null`, "",
		"{\"Level\":\"watch\"}\n", strings.Repeat("[", 4096)} {
		f.Add([]byte(said))
	}
	f.Fuzz(func(t *testing.T, said []byte) {
		level, err := parseAnswer(said)
		if err != nil {
			if level != Allow {
				t.Errorf("%q gives %s and %v", said, level, err)
			}
			return
		}
		if level > Block || len(said) > maxAnswerBytes {
			t.Errorf("%q gives %s", said, level)
		}
	})
}
