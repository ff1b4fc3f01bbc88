package challenge

import (
	"bytes"
	"encoding/base64"
	"errors"
	"fmt"
	"image/png"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"
)

func TestImage(t *testing.T) {
	c := newChallenges(t, secret1)
	expires := noon.Add(time.Minute)
	fresh := func() []byte {
		token, _ := c.sealImage([]byte{0, 1, 9, 5}, ada, masks, expires)
		return []byte(token)
	}
	changed := func(at int) []byte {
		token := fresh()
		if token[at]++; token[at] != 'R' {
			token[at] = 'Q'
		}
		return token
	}
	elsewhere, _ := newChallenges(t, secret2).sealImage([]byte{0, 1, 9, 5}, ada, masks, expires)
	for _, s := range []struct {
		name             string
		token            []byte
		answer           string
		shopper, listing string
		now              time.Time
		err              error
	}{
		{"good", fresh(), "0195", "ada", string(masks), noon, nil},
		{"with spaces", fresh(), " 01 95 ", "ada", string(masks), noon, nil},
		{"just before its expiry", fresh(), "0195", "ada", string(masks), expires.Add(-time.Millisecond), nil},
		{"at its expiry", fresh(), "0195", "ada", string(masks), expires, ErrExpired},
		{"another shopper's", fresh(), "0195", "bob", string(masks), noon, ErrBorrowed},
		{"of another listing", fresh(), "0195", "ada", "fans-day-10/skus/mask-51", noon, ErrBorrowed},
		{"wrong", fresh(), "0196", "ada", string(masks), noon, ErrWrong},
		{"too few digits", fresh(), "019", "ada", string(masks), noon, ErrWrong},
		{"too many digits", fresh(), "01955", "ada", string(masks), noon, ErrWrong},
		{"no digits", fresh(), "", "ada", string(masks), noon, ErrWrong},
		{"the bytes themselves", fresh(), "\x00\x01\x09\x05", "ada", string(masks), noon, ErrWrong},
		{"letters", fresh(), "OI9S", "ada", string(masks), noon, ErrWrong},
		{"an answer without end", fresh(), strings.Repeat(" ", maxAnswerBytes+1), "ada", string(masks), noon,
			ErrMalformed},
		{"other nonce", changed(5), "0195", "ada", string(masks), noon, ErrForged},
		{"other digits", changed(50), "0195", "ada", string(masks), noon, ErrForged},
		{"made elsewhere", []byte(elsewhere), "0195", "ada", string(masks), noon, ErrForged},
		{"cut", fresh()[:40], "0195", "ada", string(masks), noon, ErrForged},
		{"cut before the seal", fresh()[:16], "0195", "ada", string(masks), noon, ErrMalformed},
		{"empty", nil, "0195", "ada", string(masks), noon, ErrMalformed},
		{"other version", append([]byte("Ag"), fresh()[2:]...), "0195", "ada", string(masks), noon, ErrMalformed},
		{"no base64", []byte("!" + strings.Repeat("A", 79)), "0195", "ada", string(masks), noon, ErrMalformed},
		{"a line end inside", bytes.Replace(fresh(), []byte("A"), []byte("A\n"), 1), "0195", "ada", string(masks), noon,
			ErrMalformed},
		{"too long", bytes.Repeat([]byte("A"), maxInputBytes+1), "0195", "ada", string(masks), noon, ErrMalformed},
	} {
		t.Run(s.name, func(t *testing.T) {
			id, err := c.CheckImage(s.token, []byte(s.answer), []byte(s.shopper), []byte(s.listing), s.now)
			if !errors.Is(err, s.err) || (id == 0) == (err == nil) {
				t.Errorf("CheckImage gives %d, %v; want %v", id, err, s.err)
			}
		})
	}
}

func TestImageReadTwice(t *testing.T) {
	here, there := newChallenges(t, secret1), newChallenges(t, secret1)
	ids := map[uint64]int{}
	for range 2 {
		token, _ := here.sealImage([]byte{1, 2, 3, 4}, ada, masks, noon.Add(time.Minute))
		for _, node := range []*Challenges{here, here, there} {
			id, err := node.CheckImage([]byte(token), []byte("1234"), ada, masks, noon)
			if err != nil {
				t.Fatal(err)
			}
			ids[id]++
		}
	}
	for id, times := range ids {
		if times != 3 {
			t.Errorf("id %d comes %d times; want 3", id, times)
		}
	}
}

func TestWrongAnswers(t *testing.T) {
	c := newChallenges(t, secret1)
	make1 := func() []byte {
		token, _ := c.sealImage([]byte{1, 2, 3, 4}, ada, masks, noon.Add(time.Minute))
		return []byte(token)
	}
	first, second := make1(), make1()
	for i, s := range []struct {
		token  []byte
		answer string
		want   error
	}{
		{first, "1", ErrWrong}, {first, "1234", nil}, {first, "2", ErrWrong}, {first, "1234", nil},
		{second, "1", ErrWrong},
		{first, "3", ErrWrong}, {first, "1234", ErrSpent}, {first, "4", ErrSpent}, {second, "1234", nil},
	} {
		if _, err := c.CheckImage(s.token, []byte(s.answer), ada, masks, noon); !errors.Is(err, s.want) {
			t.Errorf("step %d: %v; want %v", i, err, s.want)
		}
	}
	if _, err := newChallenges(t, secret1).CheckImage(first, []byte("1234"), ada, masks, noon); err != nil {
		t.Errorf("on another node: %v", err)
	}
}

// TestGuessedAtOnce: guesses in parallel are no more than guesses in a row.
func TestGuessedAtOnce(t *testing.T) {
	c := newChallenges(t, secret1)
	token, _ := c.sealImage([]byte{9, 9, 9, 9}, ada, masks, noon.Add(time.Minute))
	var wrong, spent atomic.Int64
	var guessers sync.WaitGroup
	for g := range 8 {
		guessers.Go(func() {
			for i := range 50 {
				switch _, err := c.CheckImage([]byte(token), fmt.Append(nil, 1000+g*50+i), ada, masks, noon); {
				case errors.Is(err, ErrWrong):
					wrong.Add(1)
				case errors.Is(err, ErrSpent):
					spent.Add(1)
				}
			}
		})
	}
	guessers.Wait()
	if wrong.Load() != 3 || spent.Load() != 397 {
		t.Errorf("%d guesses were looked at, %d not; want 3, 397", wrong.Load(), spent.Load())
	}
}

// TestTriedImagesAreBounded: wrong answers to no end of images cost no end of
// nothing.
func TestTriedImagesAreBounded(t *testing.T) {
	c, err := New(Config{TriedImages: 1024}, secret1)
	if err != nil {
		t.Fatal(err)
	}
	for range 3000 {
		token, _ := c.sealImage([]byte{1, 2, 3, 4}, ada, masks, noon.Add(time.Minute))
		if _, err := c.CheckImage([]byte(token), []byte("1"), ada, masks, noon); !errors.Is(err, ErrWrong) {
			t.Fatal(err)
		}
	}
	if n := c.tried.Len(); n != 1024 {
		t.Errorf("%d images are remembered; want 1024", n)
	}
}

// TestDrawn: images of all lengths are drawn, and differ.
func TestDrawn(t *testing.T) {
	for digits := 4; digits <= 8; digits++ {
		c, err := New(Config{Digits: digits}, secret1)
		if err != nil {
			t.Fatal(err)
		}
		seen := map[string]bool{}
		for range 10 {
			made, err := c.MakeImage(ada, masks, noon)
			if err != nil {
				t.Fatal(err)
			}
			data, ok := strings.CutPrefix(made.Image, "data:image/png;base64,")
			if !ok {
				t.Fatalf("the image is %.40s…", made.Image)
			}
			drawn, err := png.Decode(base64.NewDecoder(base64.StdEncoding, strings.NewReader(data)))
			if err != nil {
				t.Fatal(err)
			}
			if size := drawn.Bounds().Size(); size.X != 240 || size.Y != 80 {
				t.Errorf("the image is %s", size)
			}
			if _, err := c.CheckImage([]byte(made.Token), []byte("x"), ada, masks,
				noon.Add(2*time.Minute-1)); !errors.Is(err, ErrWrong) {
				t.Errorf("the token gives %v", err)
			}
			if _, err := c.CheckImage([]byte(made.Token), []byte("x"), ada, masks,
				noon.Add(2*time.Minute)); !errors.Is(err, ErrExpired) {
				t.Errorf("the token gives %v after its time", err)
			}
			if seen[data] || seen[made.Token] {
				t.Error("two images are alike")
			}
			seen[data], seen[made.Token] = true, true
		}
	}
}

// keptToken is one of ada's for masks under secret1, with the digits 0195, until a
// minute past noon.
const keptToken = "AR1GupJ6cjfUDTASHaw-FZuqrJWQJRyRPKD2DF8XQFGvd1L-P1d5c5c4kN7yZfMTvpoIlV-T1Jk2"

// TestTokenSample keeps the format: a token of today is read after any change.
func TestTokenSample(t *testing.T) {
	if id, err := newChallenges(t, secret1).CheckImage([]byte(keptToken), []byte("0195"), ada, masks, noon); id == 0 ||
		err != nil {
		fresh, _ := newChallenges(t, secret1).sealImage([]byte{0, 1, 9, 5}, ada, masks, noon.Add(time.Minute))
		t.Errorf("the kept token gives %d, %v; one of now is %s", id, err, fresh)
	}
}

// FuzzCheckImage: nothing passes but the one token there is, with its answer.
func FuzzCheckImage(f *testing.F) {
	c := newChallenges(f, secret1)
	f.Add([]byte(keptToken), []byte("0195"))
	f.Add([]byte(keptToken), []byte("\xff\n"))
	f.Add([]byte(keptToken)[:17], []byte("0"))
	f.Add([]byte(keptToken+"\n"), []byte("0195"))
	f.Fuzz(func(t *testing.T, given, answer []byte) {
		id, err := c.CheckImage(given, answer, ada, masks, noon)
		if (id == 0) == (err == nil) {
			t.Errorf("%q and %q give %d, %v", given, answer, id, err)
		}
		if err == nil && (string(given) != keptToken || strings.ReplaceAll(string(answer), " ", "") != "0195") {
			t.Errorf("%q and %q pass", given, answer)
		}
	})
}

func BenchmarkMakeImage(b *testing.B) {
	c := newChallenges(b, secret1)
	for b.Loop() {
		if _, err := c.MakeImage(ada, masks, noon); err != nil {
			b.Fatal(err)
		}
	}
}
