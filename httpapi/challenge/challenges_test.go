package challenge

import (
	"bytes"
	"errors"
	"strings"
	"sync"
	"testing"
	"time"
)

var (
	noon    = time.UnixMilli(1_790_000_000_000)
	ada     = []byte("ada")
	masks   = []byte("fans-day-10/skus/mask-50")
	secret1 = bytes.Repeat([]byte{1}, SecretBytes)
	secret2 = bytes.Repeat([]byte{2}, SecretBytes)
)

// newChallenges makes easy ones.
func newChallenges(t testing.TB, secret []byte) *Challenges {
	t.Helper()
	c, err := New(Config{MaxNumber: minNumber}, secret)
	if err != nil {
		t.Fatal(err)
	}
	return c
}

func TestSecrets(t *testing.T) {
	c, other := newChallenges(t, nil), newChallenges(t, secret1)
	solution := solve(t, makeWork(t, other))
	token, _ := other.sealImage([]byte{1, 2, 3, 4}, ada, masks, noon.Add(time.Minute))
	check := func(want error) {
		t.Helper()
		if _, err := c.CheckWork(solution, ada, masks, noon); !errors.Is(err, want) {
			t.Errorf("work: %v; want %v", err, want)
		}
		if _, err := c.CheckImage([]byte(token), []byte("1234"), ada, masks, noon); !errors.Is(err, want) {
			t.Errorf("image: %v; want %v", err, want)
		}
	}
	check(ErrForged)
	for _, bad := range [][]byte{nil, {}, secret1[1:], append(bytes.Clone(secret1), 1)} {
		if err := c.SetSecret(bad); err == nil {
			t.Errorf("a secret of %d bytes is taken", len(bad))
		}
	}
	check(ErrForged)
	if err := c.SetSecret(secret1); err != nil {
		t.Fatal(err)
	}
	check(nil)
	if err := c.SetSecret(secret2); err != nil {
		t.Fatal(err)
	}
	check(ErrForged)
	if _, err := New(Config{}, secret1[1:]); err == nil {
		t.Error("New takes a short secret")
	}
}

// TestSecretWhileChecking is for the race detector: nobody sees half a secret.
func TestSecretWhileChecking(t *testing.T) {
	c := newChallenges(t, secret1)
	solution := solve(t, makeWork(t, c))
	var checkers sync.WaitGroup
	for range 4 {
		checkers.Go(func() {
			for range 100 {
				if _, err := c.CheckWork(solution, ada, masks, noon); err != nil && !errors.Is(err, ErrForged) {
					t.Error(err)
				}
			}
		})
	}
	for i := range 100 {
		if err := c.SetSecret([][]byte{secret1, secret2}[i%2]); err != nil {
			t.Error(err)
		}
	}
	checkers.Wait()
}

func TestValidate(t *testing.T) {
	for _, cfg := range []Config{{}, DefaultConfig(), {MaxNumber: 10_000_000, Lifetime: time.Hour, Digits: 8, Tries: 10,
		TriedImages: 1024}} {
		if err := cfg.Validate(); err != nil {
			t.Errorf("%+v: %v", cfg, err)
		}
	}
	bad := Config{MaxNumber: 999, Lifetime: time.Second, Digits: 9, Tries: -1, TriedImages: 2_000_000}
	err := bad.Validate()
	if err == nil {
		t.Fatal("what is wrong is taken")
	}
	for _, want := range []string{
		"MaxNumber is 999; it must be 1000 to 10000000", "Lifetime is 1s; it must be 10s to 1h0m0s",
		"Digits is 9; it must be 4 to 8",
		"Tries is -1; it must be 1 to 10", "TriedImages is 2000000; it must be 1024 to 1000000",
	} {
		if !strings.Contains(err.Error(), want) {
			t.Errorf("%q does not say %q", err, want)
		}
	}
	if _, err := New(bad, secret1); err == nil {
		t.Error("New takes it")
	}
}
