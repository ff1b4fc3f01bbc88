package ticket

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

func newKeys(t testing.TB, secret []byte) *Keys {
	t.Helper()
	k, err := New(secret)
	if err != nil {
		t.Fatal(err)
	}
	return k
}

func TestCheck(t *testing.T) {
	k := newKeys(t, secret1)
	good := k.Issue(nil, ada, masks, 7, noon.Add(time.Minute))
	changed := func(at int, to byte) []byte {
		ticket := bytes.Clone(good)
		ticket[at] = to
		return ticket
	}
	for _, c := range []struct {
		name             string
		ticket           []byte
		shopper, listing string
		now              time.Time
		id               uint64
		err              error
	}{
		{"good", good, "ada", string(masks), noon, 7, nil},
		{"a millisecond before its expiry", good, "ada", string(masks), noon.Add(time.Minute - time.Millisecond), 7,
			nil},
		{"at its expiry", good, "ada", string(masks), noon.Add(time.Minute), 0, ErrExpired},
		{"years later", good, "ada", string(masks), noon.AddDate(50, 0, 0), 0, ErrExpired},
		{"another shopper's", good, "bob", string(masks), noon, 0, ErrForged},
		{"another shopper's, expired", good, "bob", string(masks), noon.Add(time.Hour), 0, ErrForged},
		{"of another listing", good, "ada", "fans-day-10/skus/mask-51", noon, 0, ErrForged},
		{"of another session", good, "ada", "fans-day-11/skus/mask-50", noon, 0, ErrForged},
		{"a letter moved from the listing to the shopper", good, "adaf", string(masks[1:]), noon, 0, ErrForged},
		{"nobody's", good, "", "", noon, 0, ErrForged},
		{"other id", changed(20, '-'), "ada", string(masks), noon, 0, ErrForged},
		{"other expiry", changed(5, '-'), "ada", string(masks), noon, 0, ErrForged},
		{"other signature", changed(EncodedBytes-1, '-'), "ada", string(masks), noon, 0, ErrForged},
		{"other version", changed(0, 'B'), "ada", string(masks), noon, 0, ErrMalformed},
		{"not of the alphabet", changed(9, '+'), "ada", string(masks), noon, 0, ErrMalformed},
		{"a line end inside", changed(9, '\n'), "ada", string(masks), noon, 0, ErrMalformed},
		{"one short", good[1:], "ada", string(masks), noon, 0, ErrMalformed},
		{"one long", append(bytes.Clone(good), 'A'), "ada", string(masks), noon, 0, ErrMalformed},
		{"empty", nil, "ada", string(masks), noon, 0, ErrMalformed},
		{"huge", bytes.Repeat([]byte("A"), 1<<20), "ada", string(masks), noon, 0, ErrMalformed},
		{"all A", bytes.Repeat([]byte("A"), EncodedBytes), "ada", string(masks), noon, 0, ErrMalformed},
		{"under another secret", newKeys(t, secret2).Issue(nil, ada, masks, 7, noon.Add(time.Minute)),
			"ada", string(masks), noon, 0, ErrForged},
	} {
		t.Run(c.name, func(t *testing.T) {
			id, err := k.Check(c.ticket, []byte(c.shopper), []byte(c.listing), c.now)
			if id != c.id || !errors.Is(err, c.err) {
				t.Errorf("Check gives %d, %v; want %d, %v", id, err, c.id, c.err)
			}
		})
	}
}

// TestSample keeps the format: a ticket of today passes after any change.
func TestSample(t *testing.T) {
	const kept = "AQAAAaDEUGwAAQIDBAUGBwguJtN9I1Wj1Rd_xn_Zurv-"
	k := newKeys(t, secret1)
	if got := k.Issue(nil, ada, masks, 0x0102030405060708, noon); string(got) != kept {
		t.Errorf("the ticket is %s; it was %s", got, kept)
	}
	if id, err := k.Check([]byte(kept), ada, masks, noon.Add(-1)); id != 0x0102030405060708 || err != nil {
		t.Errorf("the kept ticket gives %x, %v", id, err)
	}
}

func TestIssueAppends(t *testing.T) {
	k := newKeys(t, secret1)
	got := k.Issue([]byte("ticket="), ada, masks, 1, noon)
	if len(got) != len("ticket=")+EncodedBytes || !strings.HasPrefix(string(got), "ticket=") {
		t.Errorf("Issue gives %q", got)
	}
}

func TestIDsAreDrawn(t *testing.T) {
	k := newKeys(t, secret1)
	seen := map[uint64]bool{}
	for range 1000 {
		id, err := k.Check(k.Issue(nil, ada, masks, 0, noon), ada, masks, noon.Add(-time.Second))
		if id == 0 || err != nil || seen[id] {
			t.Fatalf("the id is %d (error %v), after %d others", id, err, len(seen))
		}
		seen[id] = true
	}
}

func TestReplace(t *testing.T) {
	k := newKeys(t, nil)
	before := k.Issue(nil, ada, masks, 1, noon)
	if _, err := k.Check(before, ada, masks, noon.Add(-1)); err != nil {
		t.Errorf("own ticket, before a secret is known: %v", err)
	}
	if err := k.Replace(secret1); err != nil {
		t.Fatal(err)
	}
	if _, err := k.Check(before, ada, masks, noon.Add(-1)); !errors.Is(err, ErrForged) {
		t.Errorf("a ticket from before the secret: %v; want %v", err, ErrForged)
	}
	after := newKeys(t, secret1).Issue(nil, ada, masks, 1, noon)
	if _, err := k.Check(after, ada, masks, noon.Add(-1)); err != nil {
		t.Errorf("another node's ticket: %v", err)
	}
	for _, bad := range [][]byte{nil, {}, secret1[1:], append(bytes.Clone(secret1), 1)} {
		if err := k.Replace(bad); err == nil {
			t.Errorf("a secret of %d bytes is taken", len(bad))
		}
	}
	if _, err := k.Check(after, ada, masks, noon.Add(-1)); err != nil {
		t.Errorf("after refused secrets: %v", err)
	}
	if _, err := New(secret1[1:]); err == nil {
		t.Error("New takes a short secret")
	}
}

// TestReplaceWhileChecking is for the race detector: nobody sees half a secret.
func TestReplaceWhileChecking(t *testing.T) {
	k := newKeys(t, secret1)
	one, two := k.Issue(nil, ada, masks, 1, noon), newKeys(t, secret2).Issue(nil, ada, masks, 2, noon)
	var checkers sync.WaitGroup
	for range 4 {
		checkers.Go(func() {
			for range 200 {
				for want, ticket := range map[uint64][]byte{1: one, 2: two} {
					if id, err := k.Check(ticket, ada, masks, noon.Add(-1)); id != want && !errors.Is(err, ErrForged) {
						t.Errorf("ticket %d gives %d, %v", want, id, err)
					}
				}
			}
		})
	}
	for i := range 200 {
		if err := k.Replace([][]byte{secret1, secret2}[i%2]); err != nil {
			t.Error(err)
		}
	}
	checkers.Wait()
}

func TestCheckAllocates(t *testing.T) {
	if raceDetector {
		t.Skip("pools forget at random under the race detector")
	}
	k := newKeys(t, secret1)
	good := k.Issue(nil, ada, masks, 7, noon)
	forged := k.Issue(nil, []byte("bob"), masks, 7, noon)
	into := make([]byte, 0, EncodedBytes)
	for name, f := range map[string]func(){
		"good":      func() { _, _ = k.Check(good, ada, masks, noon.Add(-1)) },
		"forged":    func() { _, _ = k.Check(forged, ada, masks, noon) },
		"expired":   func() { _, _ = k.Check(good, ada, masks, noon) },
		"malformed": func() { _, _ = k.Check(masks, ada, masks, noon) },
		"issue":     func() { k.Issue(into, ada, masks, 7, noon) },
	} {
		if n := testing.AllocsPerRun(1000, f); n != 0 {
			t.Errorf("%s: %v allocations; want none", name, n)
		}
	}
}

// FuzzCheck: whatever passes is what Issue would have issued.
func FuzzCheck(f *testing.F) {
	k := newKeys(f, secret1)
	good := k.Issue(nil, ada, masks, 7, noon)
	f.Add(good, ada, masks)
	f.Add(good[:20], ada, masks)
	f.Add(bytes.ToUpper(good), ada, masks)
	f.Add([]byte("AQ\n\n"+string(good)), []byte(nil), []byte("/"))
	f.Fuzz(func(t *testing.T, ticket, shopper, listing []byte) {
		id, err := k.Check(ticket, shopper, listing, noon.Add(-1))
		if (id == 0) == (err == nil) {
			t.Fatalf("id %d with error %v", id, err)
		}
		if err == nil && !bytes.Equal(ticket, k.Issue(nil, shopper, listing, id, noon)) {
			t.Fatalf("%q passes for %q and %q", ticket, shopper, listing)
		}
		own := k.Issue(nil, shopper, listing, 9, noon)
		if id, err := k.Check(own, shopper, listing, noon.Add(-1)); id != 9 || err != nil {
			t.Fatalf("an issued ticket gives %d, %v", id, err)
		}
	})
}

func BenchmarkCheck(b *testing.B) {
	k := newKeys(b, secret1)
	good := k.Issue(nil, ada, masks, 7, noon)
	b.ReportAllocs()
	for b.Loop() {
		if _, err := k.Check(good, ada, masks, noon.Add(-1)); err != nil {
			b.Fatal(err)
		}
	}
}
