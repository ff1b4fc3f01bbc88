package httpapi

import (
	"fmt"
	"regexp"
	"strings"
	"sync"
	"testing"

	"doorbuster/engine"
	"doorbuster/httpapi/messages"
)

// ownWords are a sale's, with some that will not do.
func ownWords() []engine.Message {
	both := func(name, en, zh string) engine.Message {
		return engine.Message{Name: name, Text: engine.Text{{Lang: "en", Text: en}, {Lang: "zh", Text: zh}}}
	}
	return []engine.Message{
		both("granted", `"Yours" for {pay_within}.`, "{pay_within}内付款"),
		both("limit_reached", "No more for {scope}: {count}.", "{scope}：{count}"),
		both("missed", "Not today.", "下次吧"),
		{Name: "gone", Text: engine.Text{{Lang: "en", Text: "All gone."}}},
		{Name: "not_open", Text: engine.Text{{Lang: "en", Text: "Starts at {end}."}, {Lang: "fr", Text: "Bientôt."}}},
		{Name: "of_another_build", Text: engine.Text{{Lang: "en", Text: "?"}}},
		both("scope_listing", "masks", "口罩"),
		{Name: "ended", Text: engine.Text{{Lang: "en", Text: ""}}},
	}
}

func TestASaleHasItsOwnWords(t *testing.T) {
	limit := granted()
	limit.Code, limit.Reason, limit.Count = engine.CodeLimitReached, engine.ReasonLimitListing, 2
	for name, c := range map[string]struct {
		answer engine.Answer
		en, zh string
	}{
		"filled in":               {granted(), `\"Yours\" for 15 minutes.`, "15 分钟内付款"},
		"with a scope of its own": {limit, "No more for masks: 2.", "口罩：2"},
		"whole":                   {engine.Answer{Code: engine.CodeMissed}, "Not today.", "下次吧"},
		"in one language": {engine.Answer{Code: engine.CodeSoldOut, Reason: engine.ReasonGone}, "All gone.",
			"已售罄。"},
		"a placeholder it has not": {engine.Answer{Code: engine.CodeNotOpen, Start: fakeNow}, "Starts at 10:00.",
			"10:00 开始。"},
		"empty": {engine.Answer{Code: engine.CodeEnded}, "This session has ended.", "本场活动已结束。"},
		"none":  {engine.Answer{Code: engine.CodeSoldOut}, "All taken for now.", "暂时抢完了。"},
	} {
		t.Run(name, func(t *testing.T) {
			s := newTestShopper(t, &fakeSeller{answer: c.answer, wording: 7, messages: ownWords()})
			for language, want := range map[string]string{"en": c.en, "zh": c.zh} {
				r := ask(s, "POST", grabPath, map[string]string{"X-Shopper-Id": "ada", "Accept-Language": language}, "")
				if !strings.Contains(string(r.Body()), `"message":"`+want+`"`) {
					t.Errorf("%s; want %s", r.Body(), want)
				}
			}
		})
	}
}

// TestOwnWordsByKeyAndListing: a grab that was looked up is answered in the words
// of its sale, one of another sale in the shop's.
func TestOwnWordsByKeyAndListing(t *testing.T) {
	f := &fakeSeller{answer: granted(), found: true, wording: 7, messages: ownWords()}
	s := newTestShopper(t, f)
	who := map[string]string{"X-Shopper-Id": "ada"}
	if r := ask(s, "GET", "/v1/grabs/k1", who, ""); !strings.Contains(string(r.Body()), "Yours") {
		t.Errorf("%s", r.Body())
	}
	f.answer = engine.Answer{Code: engine.CodeMissed}
	if r := ask(s, "POST", "/v1/sessions/other-10/skus/mask-50/grab", who, ""); !strings.Contains(string(r.Body()),
		messages.Missed.Shop(english)) {
		t.Errorf("%s", r.Body())
	}
}

// TestOwnWordsChange: a new version is heard with the next answer.
func TestOwnWordsChange(t *testing.T) {
	f := &fakeSeller{answer: engine.Answer{Code: engine.CodeMissed}}
	s := newTestShopper(t, f)
	for version := range uint64(3 * maxOwnWordings) {
		want := messages.Missed.Shop(english)
		if f.wording = version; version > 0 {
			want = fmt.Sprint("Version ", version)
		}
		f.messages = []engine.Message{{Name: "missed", Text: engine.Text{{Lang: "en", Text: want}}}}
		for range 2 {
			if r := ask(s, "POST", grabPath, map[string]string{"X-Shopper-Id": "ada"},
				""); !strings.Contains(string(r.Body()), `"`+want+`"`) {
				t.Fatalf("%s; want %s", r.Body(), want)
			}
		}
		if known := s.own.all(); len(known) > maxOwnWordings {
			t.Fatalf("%d wordings are kept", len(known))
		}
	}
}

// dateLine is the header that tells the moment, and nothing else.
var dateLine = regexp.MustCompile(`(?m)^Date: .*\n`)

// TestMissedInOwnWordsIsOneAnswer: byte for byte, whatever is behind it and
// whatever else the answer carries.
func TestMissedInOwnWordsIsOneAnswer(t *testing.T) {
	for _, language := range []string{"en", "zh-CN"} {
		var want string
		for _, why := range engine.Reasons() {
			for _, carries := range []engine.Answer{{}, granted(), {Session: 1, Count: 5, Limit: 6, Start: 7,
				Deadline: 8}} {
				a := carries
				a.Code = engine.CodeMissed
				for reason := range engine.Reasons() {
					if engine.Reason(reason).String() == why {
						a.Reason = engine.Reason(reason)
					}
				}
				s := newTestShopper(t, &fakeSeller{answer: a, wording: 7, messages: ownWords()})
				r := ask(s, "POST", grabPath, map[string]string{"X-Shopper-Id": "ada", "Idempotency-Key": "k1",
					"Accept-Language": language}, "")
				r.Header.SetNoDefaultContentType(true)
				if got := dateLine.ReplaceAllString(r.String(), ""); want == "" {
					want = got
				} else if got != want {
					t.Errorf("%s:\n%s\nwant\n%s", why, got, want)
				}
			}
		}
		if !strings.Contains(want, "Not today.") && !strings.Contains(want, "下次吧") {
			t.Error(want)
		}
	}
}

func TestOwnWordsAllocateNothing(t *testing.T) {
	if raceDetector {
		t.Skip("with the race detector pools forget")
	}
	for _, answer := range []engine.Answer{{Code: engine.CodeMissed}, granted()} {
		s := newTestShopper(t, &fakeSeller{answer: answer, wording: 7, messages: ownWords()})
		ctx := newGrab("POST", grabPath, map[string]string{"X-Shopper-Id": "ada", "Idempotency-Key": "k1"}, "")
		allocations := testing.AllocsPerRun(200, func() {
			ctx.Response.Reset()
			s.handle(ctx)
		})
		if allocations != 0 {
			t.Errorf("%s: %v allocations", answer.Code, allocations)
		}
	}
}

// TestOwnWordingsTogether: many that ask at once for the same and for others get
// each its own.
func TestOwnWordingsTogether(t *testing.T) {
	own := few[uint64, string]{most: maxOwnWordings}
	var all sync.WaitGroup
	for i := range 8 {
		all.Go(func() {
			for n := range uint64(200) {
				version := n*7%64 + uint64(i%2)*64 + 1
				text := fmt.Sprint("Version ", version)
				own.keep(version, text)
				if got := own.all()[version]; got != text {
					t.Errorf("%q, want %q", got, text)
				}
			}
		})
	}
	all.Wait()
}
