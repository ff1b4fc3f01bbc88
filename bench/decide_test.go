package bench

import (
	"bytes"
	"context"
	"errors"
	"strings"
	"sync"
	"testing"
	"time"
)

// countingSubmitter grants everything once and fails every failEvery-th.
type countingSubmitter struct {
	mu        sync.Mutex
	seen      map[string]bool
	granted   int64
	failEvery int
	asked     int
}

func (s *countingSubmitter) Grab(_ context.Context, _, _, shopper, _ string, _ int) (string, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.asked++
	if s.failEvery > 0 && s.asked%s.failEvery == 0 {
		return "", errors.New("lost")
	}
	if s.seen[shopper] {
		return codeLimit, nil
	}
	s.seen[shopper] = true
	s.granted++
	return codeGranted, nil
}

func TestDecide(t *testing.T) {
	s := &countingSubmitter{seen: make(map[string]bool)}
	c := DefaultDecideConfig()
	c.Submit, c.Listings = s, []Listing{{Session: "s", SKU: "a"}}
	c.Submitters, c.RoundTime, c.WarmUp = 32, 200*time.Millisecond, 5*time.Millisecond
	c.DataDir, c.ResultsDir = t.TempDir(), t.TempDir()
	r, err := Decide(t.Context(), c)
	if err != nil {
		t.Fatal(err)
	}
	if !r.OK() || r.Granted != s.granted || r.PerSecond <= 0 || len(r.Rounds) != 3 || r.Rounds[0].Latency.Count == 0 {
		t.Errorf("granted %d: %+v", s.granted, r)
	}
	var text bytes.Buffer
	if err := WriteTable(&text, r); err != nil || !strings.Contains(text.String(), "granted") {
		t.Errorf("%v: %s", err, text.String())
	}
	if paths, err := Save(r); err != nil || len(paths) != 2 {
		t.Errorf("%v, %v", paths, err)
	}

	bare := &countingSubmitter{seen: make(map[string]bool)}
	c.Submit, c.Bare = &countingSubmitter{seen: make(map[string]bool)}, bare
	if r, err = Decide(t.Context(), c); err != nil || !r.OK() || bare.granted == 0 || r.OfBare <= 0 {
		t.Errorf("%v: bare %d, %+v", err, bare.granted, r)
	}
	c.Submit, c.Bare = s, nil

	s.failEvery = 10
	if r, err = Decide(t.Context(), c); err != nil || r.OK() || r.Unknown == 0 {
		t.Errorf("lost decisions passed: %+v, %v", r, err)
	}
	c.Submitters, c.Want = 0, "nothing"
	if _, err = Decide(t.Context(), c); err == nil || !strings.Contains(err.Error(), "submitters 0") ||
		!strings.Contains(err.Error(), "want") {
		t.Errorf("%v", err)
	}
}
