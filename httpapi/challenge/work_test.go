package challenge

import (
	"bytes"
	"encoding/base64"
	"encoding/json"
	"errors"
	"maps"
	"slices"
	"strings"
	"testing"
	"time"

	altcha "github.com/altcha-org/altcha-lib-go"
)

func makeWork(t testing.TB, c *Challenges) Work {
	t.Helper()
	work, err := c.MakeWork(ada, masks, noon)
	if err != nil {
		t.Fatal(err)
	}
	return work
}

// solve finds the number with the library's own solver, and writes what the
// widget would send.
func solve(t testing.TB, work Work) []byte {
	t.Helper()
	found, err := altcha.SolveChallenge(work.Challenge, work.Salt, altcha.Algorithm(work.Algorithm),
		int(work.MaxNumber), 0, nil)
	if err != nil || found == nil {
		t.Fatalf("%+v is not solved: %v, %v", work, found, err)
	}
	return payload(t, map[string]any{
		"algorithm": work.Algorithm, "challenge": work.Challenge, "number": found.Number, "salt": work.Salt,
		"signature": work.Signature, "took": 12,
	})
}

func payload(t testing.TB, fields map[string]any) []byte {
	t.Helper()
	text, err := json.Marshal(fields)
	if err != nil {
		t.Fatal(err)
	}
	return []byte(base64.StdEncoding.EncodeToString(text))
}

func TestWork(t *testing.T) {
	c := newChallenges(t, secret1)
	work := makeWork(t, c)
	good := solve(t, work)
	var fields map[string]any
	if text, err := base64.StdEncoding.DecodeString(string(good)); err != nil || json.Unmarshal(text, &fields) != nil {
		t.Fatal(err)
	}
	with := func(field string, value any) []byte {
		changed := maps.Clone(fields)
		changed[field] = value
		return payload(t, changed)
	}
	number := int(fields["number"].(float64))
	for _, s := range []struct {
		name             string
		solution         []byte
		shopper, listing string
		after            time.Duration
		err              error
	}{
		{"good", good, "ada", string(masks), 0, nil},
		{"a second before its expiry", good, "ada", string(masks), 2*time.Minute - time.Second, nil},
		{"at its expiry", good, "ada", string(masks), 2 * time.Minute, ErrExpired},
		{"another shopper's", good, "bob", string(masks), 0, ErrBorrowed},
		{"of another listing", good, "ada", "fans-day-10/skus/mask-51", 0, ErrBorrowed},
		{"a letter moved from the listing to the shopper", good, "adaf", string(masks[1:]), 0, ErrBorrowed},
		{"wrong number", with("number", number+1), "ada", string(masks), 0, ErrWrong},
		{"negative number", with("number", -number-1), "ada", string(masks), 0, ErrWrong},
		{"later expiry", with("salt", strings.Replace(work.Salt, "expires=1", "expires=2", 1)), "ada", string(masks), 0,
			ErrWrong},
		{"other signature", with("signature", strings.Repeat("0", 64)), "ada", string(masks), 0, ErrForged},
		{"signature that is none", with("signature", "zz"), "ada", string(masks), 0, ErrForged},
		{"other challenge", with("challenge", strings.Repeat("0", 64)), "ada", string(masks), 0, ErrForged},
		{"no salt", with("salt", ""), "ada", string(masks), 0, ErrMalformed},
		{"salt without its end", with("salt", strings.TrimSuffix(work.Salt, "&")), "ada", string(masks), 0,
			ErrMalformed},
		{"salt with digits of the number", with("salt", work.Salt+"1"), "ada", string(masks), 0, ErrMalformed},
		{"salt with more", with("salt", work.Salt+"expires=9&"), "ada", string(masks), 0, ErrMalformed},
		{"salt of others", with("salt", "a&b?expires=9999999999"), "ada", string(masks), 0, ErrMalformed},
		{"weaker algorithm", with("algorithm", "SHA-1"), "ada", string(masks), 0, ErrMalformed},
		{"unknown algorithm", with("algorithm", "MD5"), "ada", string(masks), 0, ErrMalformed},
		{"number that is text", with("number", "7"), "ada", string(masks), 0, ErrMalformed},
		{"number beyond all", with("number", 1e30), "ada", string(masks), 0, ErrMalformed},
		{"only the number", payload(t, map[string]any{"number": number}), "ada", string(masks), 0, ErrMalformed},
		{"a list", []byte("W10="), "ada", string(masks), 0, ErrMalformed},
		{"no base64", []byte("{}"), "ada", string(masks), 0, ErrMalformed},
		{"empty", nil, "ada", string(masks), 0, ErrMalformed},
		{"too long", with("took", strings.Repeat("1", maxInputBytes)), "ada", string(masks), 0, ErrMalformed},
		{"made elsewhere", solve(t, makeWork(t, newChallenges(t, secret2))), "ada", string(masks), 0, ErrForged},
	} {
		t.Run(s.name, func(t *testing.T) {
			id, err := c.CheckWork(s.solution, []byte(s.shopper), []byte(s.listing), noon.Add(s.after))
			if !errors.Is(err, s.err) || (id == 0) == (err == nil) {
				t.Errorf("CheckWork gives %d, %v; want %v", id, err, s.err)
			}
		})
	}
}

// TestSolvedTwice: a challenge has one id, whoever checks it, and its own.
func TestSolvedTwice(t *testing.T) {
	here, there := newChallenges(t, secret1), newChallenges(t, secret1)
	seen := map[uint64]bool{}
	for range 20 {
		solution := solve(t, makeWork(t, here))
		var ids []uint64
		for _, node := range []*Challenges{here, here, there} {
			id, err := node.CheckWork(solution, ada, masks, noon)
			if err != nil {
				t.Fatal(err)
			}
			ids = append(ids, id)
		}
		if len(slices.Compact(ids)) != 1 || seen[ids[0]] {
			t.Errorf("the ids are %d; %t: one of them was another challenge's", ids, seen[ids[0]])
		}
		seen[ids[0]] = true
	}
}

// TestWorkJSON holds what the widget reads.
func TestWorkJSON(t *testing.T) {
	olga := []byte("olga") // no part of hexadecimal text
	work, err := newChallenges(t, secret1).MakeWork(olga, masks, noon)
	if err != nil {
		t.Fatal(err)
	}
	text, err := json.Marshal(work)
	if err != nil {
		t.Fatal(err)
	}
	var fields map[string]any
	if err := json.Unmarshal(text, &fields); err != nil {
		t.Fatal(err)
	}
	names := slices.Sorted(maps.Keys(fields))
	if !slices.Equal(names, []string{"algorithm", "challenge", "maxNumber", "maxnumber", "salt", "signature"}) {
		t.Errorf("the fields are %v", names)
	}
	salt, _ := fields["salt"].(string)
	if fields["algorithm"] != "SHA-256" || fields["maxnumber"] != 1000.0 || fields["maxNumber"] != 1000.0 ||
		!strings.Contains(salt, "?expires=1790000120&") {
		t.Errorf("the challenge is %s", text)
	}
	if bytes.Contains(text, olga) || bytes.Contains(text, masks) {
		t.Errorf("the challenge tells for whom it is: %s", text)
	}
}

func TestSetMaxNumber(t *testing.T) {
	c := newChallenges(t, secret1)
	if err := c.SetMaxNumber(5000); err != nil {
		t.Fatal(err)
	}
	for _, bad := range []int64{-1, 0, 999, 10_000_001} {
		if err := c.SetMaxNumber(bad); err == nil {
			t.Errorf("%d is taken", bad)
		}
	}
	if work := makeWork(t, c); work.MaxNumber != 5000 {
		t.Errorf("the bound is %d; want 5000", work.MaxNumber)
	}
}

// keptSolution is one of ada's for masks under secret1, of a challenge made at
// noon, and keptID its id.
const (
	keptSolution = "eyJhbGdvcml0aG0iOiJTSEEtMjU2IiwiY2hhbGxlbmdlIjoiMmRmNWE0MWJhOGMwNmQwOTY1NDUwNGY5YWJmOWQ4M2Q2Yjc0M2EwNDFkYTg5ZTRkMzk0NDk0YzhlMTRlM2EyOSIsIm51bWJlciI6NDQ1LCJzYWx0IjoiNTRjMzk4NWVmNTQ1YmZlYzk4MzZmYmQzYzY5MjRmN2Y/ZXhwaXJlcz0xNzkwMDAwMTIwXHUwMDI2Zm9yPWQ3ZjU4ODg0NDM1YmY1NDg4MzNmMjU4MmYxZjYwMTQ5XHUwMDI2Iiwic2lnbmF0dXJlIjoiNmU3OTg4Mjc1MjljNGQwNDgxOWNlYWFhNTJjNDc3MWM0MzlkYzBmNzM0MmU0ZTA2MjI3ZjZmNzAyOTkyMGExMyIsInRvb2siOjEyfQ=="
	keptID       = 2306642665999664258
)

// TestWorkSample keeps the format: a solution of today passes after any change,
// with the same id.
func TestWorkSample(t *testing.T) {
	if id, err := newChallenges(t, secret1).CheckWork([]byte(keptSolution), ada, masks, noon); id != keptID ||
		err != nil {
		t.Errorf("the kept solution gives %d, %v; it gave %d", id, err, uint64(keptID))
	}
}

// FuzzCheckWork: nothing passes but a solution of the one challenge there is,
// however it is written.
func FuzzCheckWork(f *testing.F) {
	c := newChallenges(f, secret1)
	text, err := base64.StdEncoding.DecodeString(keptSolution)
	if err != nil {
		f.Fatal(err)
	}
	f.Add(text)
	f.Add(bytes.ReplaceAll(text, []byte("="), []byte("%3d")))
	f.Add([]byte(`{"algorithm":"SHA-256","number":-1,"salt":"?expires=&for=&"}`))
	f.Fuzz(func(t *testing.T, text []byte) {
		for _, solution := range [][]byte{text, []byte(base64.StdEncoding.EncodeToString(text))} {
			id, err := c.CheckWork(solution, ada, masks, noon)
			if err == nil && id != keptID || err != nil && id != 0 {
				t.Errorf("%q gives %d, %v", solution, id, err)
			}
			if id, err := c.CheckWork(solution, []byte("bob"), masks, noon); err == nil || id != 0 {
				t.Errorf("%q passes for another", solution)
			}
		}
	})
}

// FuzzSalt: what is read as a salt has all its parts.
func FuzzSalt(f *testing.F) {
	f.Add([]byte(makeWork(f, newChallenges(f, secret1)).Salt))
	f.Add([]byte("?expires=1&for=&"))
	f.Fuzz(func(t *testing.T, text []byte) {
		s, ok := parseSalt(text)
		if ok && (len(s.nonce) != workNonceBytes || len(s.binding) != bindingBytes ||
			!bytes.HasSuffix(text, []byte("&"))) {
			t.Errorf("%q is read as %+v", text, s)
		}
	})
}

func BenchmarkCheckWork(b *testing.B) {
	c := newChallenges(b, secret1)
	good := solve(b, makeWork(b, c))
	b.ReportAllocs()
	for b.Loop() {
		if _, err := c.CheckWork(good, ada, masks, noon); err != nil {
			b.Fatal(err)
		}
	}
}
