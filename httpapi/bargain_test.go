package httpapi

import (
	"context"
	"encoding/json"
	"fmt"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/valyala/fasthttp"

	"doorbuster/engine"
	"doorbuster/httpapi/ratelimit"
)

const (
	startPath   = "/v1/sessions/fans-day-10/skus/mask-50/bargains"
	bargainPath = "/v1/bargains/" + fakeCode
	cutPath     = bargainPath + "/cuts"
	buyPath     = bargainPath + "/buy"
)

var (
	bob = map[string]string{"X-Shopper-Id": "bob"}
	cai = map[string]string{"X-Shopper-Id": "cai", "Idempotency-Key": "k1"}
)

const bargainShown = `{"code":"0123456789ABCDEFGHJKMNPQRS","session":"fans-day-10","sku":"mask-50","state":"open",` +
	`"currency":"CNY","start_price":4900,"price":4660,"floor":100,"cuts":1,"friends":20,` +
	`"expires_at":"2026-09-20T03:00:00Z","recent":[{"amount":240,"at":"2026-09-20T02:00:00Z"}],` +
	`"commitment":"0100000000000000000000000000000000000000000000000000000000000000"`

const bargainTime = `,"server_time":"2026-09-20T02:00:00Z"}`

// refusing is a reason as an error.
func refusing(why engine.Reason) error { return &engine.Refusal{Reason: why} }

func TestBargainRoutes(t *testing.T) {
	bought := openBargain()
	bought.State, bought.OrderNo, bought.Seed, bought.Revealed = engine.BargainBought, fakeOrderNo, [32]byte{2}, true
	boughtShown := strings.Replace(bargainShown, "open", "bought", 1) +
		`,"seed":"0200000000000000000000000000000000000000000000000000000000000000","mine":true,"order":` +
		`{"order_no":"0123456789ABCDEFGHJKMNPQ","session":"fans-day-10","sku":"mask-50","quantity":1,` +
		`"amount":100,"currency":"CNY","state":"held","pay_by":"2026-09-20T02:15:00Z",` +
		`"granted_at":"2026-09-20T02:00:00Z","changed_at":"2026-09-20T02:00:00Z"}` + bargainTime
	for name, c := range map[string]struct {
		method, path string
		who          map[string]string
		change       func(*fakeSeller)
		want         string
	}{
		"start": {"POST", startPath, ada, func(*fakeSeller) {},
			`{"code":"started","message":"Your bargain has begun. Send your friends its code.","bargain":` +
				bargainShown + `,"mine":true` + bargainTime + `}`},
		"start one that is over": {"POST", startPath, ada, func(f *fakeSeller) { f.bargain = bought },
			`{"code":"bargain_over","message":"This bargain is over.","bargain":` + boughtShown + `}`},
		"look": {"GET", bargainPath, nil, func(*fakeSeller) {}, bargainShown + bargainTime},
		"look in lower case": {"GET", strings.ToLower(bargainPath), nil, func(*fakeSeller) {},
			bargainShown + bargainTime},
		"its owner looks": {"GET", bargainPath, ada, func(*fakeSeller) {}, bargainShown + `,"mine":true` + bargainTime},
		"who helped looks": {"GET", bargainPath, bob, func(f *fakeSeller) { f.bargain = helpedBy("bob", 240) },
			bargainShown + `,"helped":{"amount":240,"at":"2026-09-20T02:00:00Z"}` + bargainTime},
		"its owner looks, who has bought": {"GET", bargainPath, ada, func(f *fakeSeller) { f.bargain = bought },
			boughtShown},
		"cut": {"POST", cutPath, cai, func(f *fakeSeller) { f.cut = engine.CutView{Number: 2, Amount: 205} },
			`{"code":"cut","message":"Thank you! You took 2.05 CNY off.","amount":205,"bargain":` + bargainShown +
				bargainTime + `}`},
		"cut again": {"POST", cutPath, bob, func(f *fakeSeller) {
			f.bargain, f.cutErr, f.cut = helpedBy("bob", 240), refusing(engine.ReasonHelped),
				engine.CutView{Number: 1, Amount: 240}
		}, `{"code":"already_helped","message":"You have helped already: you took 2.40 CNY off.","amount":240,` +
			`"bargain":` + bargainShown + `,"helped":{"amount":240,"at":"2026-09-20T02:00:00Z"}` + bargainTime + `}`},
		"cut one's own": {"POST", cutPath, ada, func(*fakeSeller) {},
			`{"code":"own_bargain","message":"This is your own bargain. Ask your friends to help.","bargain":` +
				bargainShown + `,"mine":true` + bargainTime + `}`},
		"cut, not known yet": {"POST", cutPath, cai, func(f *fakeSeller) { f.cutErr = engine.ErrOutcomeUnknown },
			`{"code":"processing","message":"Hold on, we are checking. Ask again in a moment: it counts once.",` +
				`"result_url":"` + bargainPath + `","bargain":` + bargainShown + bargainTime + `}`},
		"start before the opening": {"POST", startPath, ada, func(f *fakeSeller) {
			f.rules = engine.DoorRules{Session: 1, Closed: engine.ReasonNotOpen, Start: fakeNow.Add(time.Hour)}
		}, `{"code":"not_open","message":"Starts at 11:00.","start":"2026-09-20T03:00:00Z"}`},
		"start at one's limit": {"POST", startPath, ada,
			func(f *fakeSeller) { f.cutErr = refusing(engine.ReasonLimitSession) },
			`{"code":"limit_reached","message":"You have reached the limit for this session."}`},
	} {
		t.Run(name, func(t *testing.T) {
			f := &fakeSeller{bargain: openBargain(), sessions: fakeSessions()}
			c.change(f)
			s := newTestShopper(t, f)
			r := ask(s, c.method, c.path, c.who, "")
			status := 200
			if strings.Contains(c.want, `"processing"`) {
				status = 202
			}
			if got := string(payToken.ReplaceAll(r.Body(), nil)); r.StatusCode() != status || got != c.want {
				t.Errorf("status %d\n got %s\nwant %s", r.StatusCode(), got, c.want)
			}
			if !json.Valid(r.Body()) || string(r.Header.PeekBytes(headerCacheControl)) != "no-store" {
				t.Errorf("no JSON, or %s", r.Header.String())
			}
		})
	}
}

// Which of the words and statuses a reason comes to, of each that there is.
func TestReasonsOfBargains(t *testing.T) {
	codes := map[engine.Reason]string{
		engine.ReasonOwnBargain: "own_bargain", engine.ReasonHelped: "already_helped",
		engine.ReasonFloor:      "floor_reached",
		engine.ReasonHelpsToday: "helps_used_up", engine.ReasonBargainOver: "bargain_over",
		engine.ReasonBought: "bargain_over", engine.ReasonNotFirst: "limit_reached", engine.ReasonPlay: "missed",
		engine.ReasonRisk: "missed", engine.ReasonNotOpen: "not_open", engine.ReasonPaused: "not_open",
		engine.ReasonEnded: "ended", engine.ReasonSoldOut: "sold_out", engine.ReasonGone: "sold_out",
		engine.ReasonLimitListing: "limit_reached", engine.ReasonReleases: "limit_reached",
		engine.ReasonNotReserved: "not_reserved", engine.ReasonNotAllowed: "not_reserved",
		engine.ReasonFrozen:  "missed",
		engine.ReasonTooMany: "missed", engine.ReasonTicketMissing: "ticket_required",
	}
	problems := map[engine.Reason]int{engine.ReasonUnknown: 404, engine.ReasonKeyReused: 422,
		engine.ReasonQuantity: 400, engine.ReasonNotAtFloor: 409, engine.ReasonNone: 409}
	for i := range engine.Reasons() {
		why := engine.Reason(i)
		for _, path := range []string{startPath, cutPath} {
			s := newTestShopper(t, &fakeSeller{bargain: openBargain(), cutErr: refusing(why)})
			r := ask(s, "POST", path, cai, "")
			if status, is := problems[why]; is {
				if r.StatusCode() != status {
					t.Errorf("%s of %s: %d %s", why, path, r.StatusCode(), r.Body())
				}
				continue
			}
			var got struct {
				Code, Message string
				Bargain       *struct{ Code string }
			}
			if err := json.Unmarshal(r.Body(), &got); err != nil || r.StatusCode() != 200 || got.Message == "" {
				t.Errorf("%s of %s: %d %s", why, path, r.StatusCode(), r.Body())
			}
			if want, is := codes[why]; is && got.Code != want {
				t.Errorf("%s of %s is %s, want %s", why, path, got.Code, want)
			}
			if shown := got.Bargain != nil; shown != (path == cutPath && got.Code != "missed") {
				t.Errorf("%s of %s: %s", why, path, r.Body())
			}
			for i, code := range bargainCodes {
				counts := s.bargains.starts
				if path == cutPath {
					counts = s.bargains.cuts
				}
				if n := counts[i].Load(); (n == 1) != (code == got.Code) {
					t.Errorf("%s is counted %d times as %s", got.Code, n, code)
				}
			}
		}
	}
}

func TestBargainProblems(t *testing.T) {
	long, unknown := strings.Repeat("a", 256), "/v1/bargains/"+strings.Repeat("Z", 26)
	key := func(key string) map[string]string {
		return map[string]string{"X-Shopper-Id": "bob", "Idempotency-Key": key}
	}
	for name, c := range map[string]struct {
		method, path string
		who          map[string]string
		body         string
		status       int
		slug         string
	}{
		"unknown code":      {"GET", "/v1/bargains/" + strings.Repeat("0", 26), bob, "", 404, "unknown-bargain"},
		"a short code":      {"GET", "/v1/bargains/ABC", bob, "", 404, "unknown-bargain"},
		"a long code":       {"GET", bargainPath + "0", bob, "", 404, "unknown-bargain"},
		"no code":           {"GET", "/v1/bargains/", bob, "", 404, "not-found"},
		"an escaped code":   {"GET", "/v1/bargains/%30123456789ABCDEFGHJKMNPQRS", bob, "", 404, "not-found"},
		"all bargains":      {"GET", "/v1/bargains", bob, "", 404, "not-found"},
		"deeper":            {"POST", cutPath + "/1", bob, "", 404, "not-found"},
		"something else":    {"POST", bargainPath + "/share", bob, "", 404, "not-found"},
		"cut an unknown":    {"POST", unknown + "/cuts", bob, "", 404, "unknown-bargain"},
		"buy by an unknown": {"POST", unknown + "/buy", ada, "", 404, "unknown-bargain"},
		"buy by another's":  {"POST", buyPath, bob, "", 404, "unknown-bargain"},
		"look by POST":      {"POST", bargainPath, bob, "", 405, "method"},
		"cut by GET":        {"GET", cutPath, bob, "", 405, "method"},
		"cut by DELETE":     {"DELETE", cutPath, bob, "", 405, "method"},
		"buy by PUT":        {"PUT", buyPath, ada, "", 405, "method"},
		"start by GET":      {"GET", startPath, ada, "", 405, "method"},
		"start by nobody":   {"POST", startPath, nil, "", 401, "unauthorized"},
		"cut by nobody":     {"POST", cutPath, nil, "", 401, "unauthorized"},
		"buy by nobody":     {"POST", buyPath, nil, "", 401, "unauthorized"},
		"look by a bad id":  {"GET", bargainPath, map[string]string{"X-Shopper-Id": "a b"}, "", 401, "unauthorized"},
		"asked for more":    {"GET", bargainPath + "?recent=100", bob, "", 400, "malformed"},

		"broken JSON":       {"POST", cutPath, bob, `{"ticket":`, 400, "malformed"},
		"a list":            {"POST", startPath, ada, `[]`, 400, "malformed"},
		"unknown member":    {"POST", cutPath, bob, `{"amount":4900}`, 400, "malformed"},
		"a price to buy at": {"POST", buyPath, ada, `{"price":1}`, 400, "malformed"},
		"a member twice":    {"POST", buyPath, ada, `{"ticket":"a","ticket":"b"}`, 400, "malformed"},
		"a ticket too long": {"POST", startPath, ada, `{"ticket":"` + strings.Repeat("t", 513) + `"}`, 400, "malformed"},
		"no ticket but 1":   {"POST", buyPath, ada, `{"ticket":1}`, 400, "malformed"},
		"a key too long":    {"POST", cutPath, key(long), "", 400, "malformed"},
		"a key of two":      {"POST", cutPath, key("a b"), "", 400, "malformed"},
		"a key not ASCII":   {"POST", startPath, key("é"), "", 400, "malformed"},
	} {
		t.Run(name, func(t *testing.T) {
			f := (&fakeSeller{bargain: openBargain()}).keepGrabs()
			s := newTestShopper(t, f)
			wantProblem(t, ask(s, c.method, c.path, c.who, c.body), c.status, c.slug)
			if len(f.called) > 0 || f.grabbed.Listing != nil {
				t.Errorf("something was done: %v %v", f.called, f.grabbed)
			}
		})
	}
	t.Run("a listing without a bargain", func(t *testing.T) {
		for _, f := range []*fakeSeller{{cutErr: refusing(engine.ReasonUnknown)},
			{rules: engine.DoorRules{Session: 1, Closed: engine.ReasonUnknown}}} {
			wantProblem(t, ask(newTestShopper(t, f), "POST", startPath, ada, ""), 404, "unknown-listing")
		}
	})
	t.Run("no leader", func(t *testing.T) {
		s := newTestShopper(t, &fakeSeller{bargain: openBargain(), cutErr: engine.ErrNotLeader})
		wantProblem(t, ask(s, "POST", cutPath, bob, ""), 503, "unavailable")
		wantProblem(t, ask(s, "POST", startPath, ada, ""), 503, "unavailable")
	})
}

// What a look at the bargain decides asks nobody further.
func TestCutsThatComeToNothing(t *testing.T) {
	for want, change := range map[string]func(*fakeSeller){
		"bargain_over":  func(f *fakeSeller) { f.bargain.State = engine.BargainBought },
		"floor_reached": func(f *fakeSeller) { f.bargain.Price = f.bargain.Floor },
		"ended":         func(f *fakeSeller) { f.rules = engine.DoorRules{Session: 1, Closed: engine.ReasonEnded} },
		"not_open":      func(f *fakeSeller) { f.rules = engine.DoorRules{Session: 1, Closed: engine.ReasonPaused} },
		"ticket_required": func(f *fakeSeller) {
			f.rules = engine.DoorRules{Session: 1, Ticket: true}
		},
	} {
		f := &fakeSeller{bargain: openBargain()}
		change(f)
		r := ask(newTestShopper(t, f), "POST", cutPath, cai, "")
		if r.StatusCode() != 200 || !strings.HasPrefix(string(r.Body()), `{"code":"`+want+`"`) || len(f.called) > 0 {
			t.Errorf("%s: %d %s, and %v", want, r.StatusCode(), r.Body(), f.called)
		}
	}
}

// A key is the friend's own; one is made where there is none, and told.
func TestKeysOfCuts(t *testing.T) {
	f := &fakeSeller{bargain: openBargain(), cut: engine.CutView{Number: 2, Amount: 205}}
	s := newTestShopper(t, f)
	if r := ask(s, "POST", cutPath, cai, ""); len(r.Header.PeekBytes(headerIdempotencyKey)) != 0 {
		t.Errorf("a key beside the friend's: %s", r.Header.String())
	}
	made := ask(s, "POST", cutPath, bob, "").Header.PeekBytes(headerIdempotencyKey)
	if want := []string{"cut cai " + fakeCode + " k1", "cut bob " + fakeCode + " " + string(made)}; len(made) !=
		mintedKeyBytes || fmt.Sprint(f.called) != fmt.Sprint(want) {
		t.Errorf("%q, want %q", f.called, want)
	}
}

// Buying by a bargain is a grab of one, of the bargain's listing.
func TestBuyIsAGrab(t *testing.T) {
	f := (&fakeSeller{bargain: openBargain(), answer: granted()}).keepGrabs()
	s := newTestShopper(t, f)
	r := ask(s, "POST", buyPath, map[string]string{"X-Shopper-Id": "ada", "Idempotency-Key": "k1"}, `{"ticket":"t"}`)
	if got := f.grabbed; r.StatusCode() != 200 || !strings.Contains(string(r.Body()), `"code":"granted"`) ||
		string(got.Listing) != "fans-day-10/skus/mask-50" || got.Bargain != 7 || got.Quantity != 1 ||
		string(got.IdempotencyKey) != "k1" {
		t.Errorf("%d %s, for %+v", r.StatusCode(), r.Body(), got)
	}
	if ask(s, "POST", grabPath, ada, ""); f.grabbed.Bargain != 0 {
		t.Errorf("a grab after it: %+v", f.grabbed)
	}
	for why, want := range map[engine.Reason]string{engine.ReasonBargainOver: "This bargain is over.",
		engine.ReasonBought: "You have bought by this bargain already.", engine.ReasonRisk: "Sorry"} {
		f.answer = engine.Answer{Code: engine.CodeOf(why), Reason: why}
		if r := ask(s, "POST", buyPath, ada, ""); r.StatusCode() != 200 || !strings.Contains(string(r.Body()), want) {
			t.Errorf("%s: %d %s", why, r.StatusCode(), r.Body())
		}
	}
	f.answer = engine.Answer{Code: engine.CodeRefused, Reason: engine.ReasonNotAtFloor}
	wantProblem(t, ask(s, "POST", buyPath, ada, ""), 409, "not-at-floor")
	f.answer.Reason = engine.ReasonUnknown
	wantProblem(t, ask(s, "POST", buyPath, ada, ""), 404, "unknown-bargain")
	wantProblem(t, ask(s, "POST", grabPath, ada, ""), 404, "unknown-listing")
}

// bargaining is a guarded shop whose friends may cut a bargain.
func bargaining(t *testing.T, cfg GuardConfig) (*guarded, *ShopperServer) {
	g, s := newGuarded(t, cfg)
	g.bargain, g.cut = openBargain(), engine.CutView{Number: 2, Amount: 205}
	return g, s
}

// Starts and cuts meet the same guard as grabs.
func TestBargainsStandUnderTheGuard(t *testing.T) {
	rate := ratelimit.Config{PerSecond: 0.001, Burst: 1}
	send := func(s *ShopperServer, path, shopper, from, body string) *fasthttp.RequestCtx {
		ctx := come(shopper, from, body, "X-Shopper-Phone", "+8613800138000")
		ctx.Request.SetRequestURI(path)
		s.handle(ctx)
		return ctx
	}
	for path, done := range map[string]string{startPath: "started", cutPath: "cut"} {
		t.Run(done, func(t *testing.T) {
			g, s := bargaining(t, GuardConfig{ShopperRate: rate})
			send(s, path, "cai", "198.51.100.7", "")
			if got := codeIn(send(s, path, "cai", "198.51.100.8", "")); got != "missed" || len(g.called) != 1 {
				t.Errorf("over the shopper's rate: %s", got)
			}
			g, s = bargaining(t, GuardConfig{AddressRate: rate})
			send(s, path, "cai", "198.51.100.7", "")
			if got := codeIn(send(s, path, "dan", "198.51.100.7", "")); got != "missed" || len(g.called) != 1 {
				t.Errorf("over the address's rate: %s", got)
			}
			g, s = bargaining(t, GuardConfig{})
			g.level = engine.LevelBlock
			if got := codeIn(send(s, path, "cai", "198.51.100.7", "")); got != "missed" || len(g.called) != 0 ||
				g.visited.Phone != "+8613800138000" {
				t.Errorf("blocked: %s, %+v", got, g.visited)
			}
			g.level, g.rules.Ticket = engine.LevelNone, true
			told := send(s, path, "cai", "198.51.100.7", "")
			if got := codeIn(told); got != "ticket_required" || len(g.called) != 0 ||
				!strings.Contains(string(told.Response.Body()), "/v1/sessions/fans-day-10/skus/mask-50/ticket") {
				t.Errorf("without a ticket: %s", told.Response.Body())
			}
			body := `{"ticket":"` + ticketFor(t, s, "cai") + `"}`
			if got := codeIn(send(s, path, "cai", "198.51.100.7", body)); got != done || len(g.called) != 1 {
				t.Errorf("with a ticket: %s", got)
			}
			if got := codeIn(send(s, path, "dan", "198.51.100.7", body)); got != "missed" || len(g.called) != 1 {
				t.Errorf("with another's: %s", got)
			}
		})
	}
	t.Run("who has helped hears of it", func(t *testing.T) {
		g, s := bargaining(t, GuardConfig{ShopperRate: rate})
		g.rules.Ticket, g.bargain, g.level = true, helpedBy("bob", 240), engine.LevelBlock
		if got := codeIn(send(s, cutPath, "bob", "198.51.100.7", "")); got != "cut" {
			t.Errorf("by the key: %s", got)
		}
		over := send(s, cutPath, "bob", "198.51.100.7", "")
		if got := codeIn(over); got != "already_helped" || !strings.Contains(string(over.Response.Body()), `"amount":240`) {
			t.Errorf("over the rate: %s", over.Response.Body())
		}
	})
	t.Run("looks", func(t *testing.T) {
		_, s := bargaining(t, GuardConfig{LookRate: rate})
		look := func() int {
			ctx := come("cai", "198.51.100.7", "")
			ctx.Request.Header.SetMethod("GET")
			ctx.Request.SetRequestURI(bargainPath)
			s.handle(ctx)
			return ctx.Response.StatusCode()
		}
		if first, second := look(), look(); first != 200 || second != 429 {
			t.Errorf("%d, then %d", first, second)
		}
	})
}

// TestMissedOfBargainsIsOneAnswer: byte for byte, whatever is behind it.
func TestMissedOfBargainsIsOneAnswer(t *testing.T) {
	for _, path := range []string{startPath, cutPath} {
		want := ""
		hear := func(what string, s *ShopperServer, body string) {
			ctx := come("cai", "198.51.100.7", body, "Idempotency-Key", "k1")
			ctx.Request.SetRequestURI(path)
			s.handle(ctx)
			got := dateLine.ReplaceAllString(ctx.Response.String(), "")
			if want == "" {
				want = got
			}
			if got != want || !strings.Contains(got, `{"code":"missed","message":"Not today."}`) {
				t.Errorf("%s of %s:\n%s\nwant\n%s", what, path, got, want)
			}
		}
		shop := func(cfg GuardConfig) (*guarded, *ShopperServer) {
			g, s := bargaining(t, cfg)
			g.wording, g.messages = 7, ownWords()
			return g, s
		}
		for i, name := range engine.Reasons() {
			why := engine.Reason(i)
			_, own := bargainRefusals[why]
			if why != engine.ReasonNone && engine.CodeOf(why) == engine.CodeMissed && !own {
				g, s := shop(GuardConfig{})
				g.cutErr = refusing(why)
				hear(name, s, "")
			}
		}
		g, s := shop(GuardConfig{})
		g.level = engine.LevelBlock
		hear("a list", s, "")
		g.level, g.rules.Ticket = engine.LevelNone, true
		hear("a ticket", s, `{"ticket":"forged"}`)
		_, s = shop(GuardConfig{ShopperRate: ratelimit.Config{PerSecond: 0.001, Burst: 1}})
		s.guard.shopper.Allow(s.guard.shopper.ShopperKey([]byte("cai")), time.Now())
		hear("the rate", s, "")
	}
}

// lastCut is a bargain that one more cut brings to its floor.
type lastCut struct {
	fakeSeller
	mu   sync.Mutex
	made int
}

func (f *lastCut) Bargain(context.Context, string, string) (engine.BargainView, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	v := openBargain()
	if f.made > 0 {
		v.Price = v.Floor
	}
	return v, nil
}

func (f *lastCut) CutBargain(context.Context, string, string, []byte) (cut engine.CutView, v engine.BargainView,
	err error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.made++; f.made > 1 {
		err = refusing(engine.ReasonFloor)
	}
	v = openBargain()
	v.Price = v.Floor
	return engine.CutView{Number: 2, Amount: 4560}, v, err
}

// TestAThousandHelpAtOnce: one of them makes the last cut, all others hear that there is
// nothing left to cut.
func TestAThousandHelpAtOnce(t *testing.T) {
	s, err := NewShopper(ShopperConfig{Seller: selling(&lastCut{}), Dev: true})
	if err != nil {
		t.Fatal(err)
	}
	codes := make(chan string, 1000)
	var all sync.WaitGroup
	for i := range cap(codes) {
		all.Go(func() {
			ctx := newGrab("POST", cutPath, map[string]string{"X-Shopper-Id": fmt.Sprint("friend-", i)}, "")
			s.handle(ctx)
			codes <- codeIn(ctx)
		})
	}
	all.Wait()
	close(codes)
	told := map[string]int{}
	for code := range codes {
		told[code]++
	}
	if told["cut"] != 1 || told["floor_reached"] != cap(codes)-1 {
		t.Error(told)
	}
}

// watched is a bargain that a test changes while others look; the first of them is told.
type watched struct {
	fakeSeller
	mu    sync.Mutex
	watch sync.Once
}

func (f *watched) WatchBargain(string) (changed <-chan struct{}, stop func()) {
	changed = make(chan struct{})
	f.watch.Do(func() { changed = f.changed })
	return changed, func() {}
}

func (f *watched) Bargain(context.Context, string, string) (engine.BargainView, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.bargain, nil
}

func (f *watched) change(change func(*engine.BargainView)) {
	f.mu.Lock()
	change(&f.bargain)
	f.mu.Unlock()
	select {
	case f.changed <- struct{}{}:
	default: // one stands for all
	}
}

// A stream tells of a bargain whenever it changes, to people nobody knows, too, and ends
// with it.
func TestBargainStream(t *testing.T) {
	f := &watched{fakeSeller: fakeSeller{bargain: openBargain(), changed: make(chan struct{}, 1)}}
	_, addr := serveShopper(t, ShopperConfig{Seller: selling(f), Dev: true})
	const request = "GET " + bargainPath + " HTTP/1.1\r\nHost: s\r\nAccept: text/event-stream\r\n"
	others := make([]*caller, 2*streamsPerShopper) // of one address, and nobody in particular
	for i := range others {
		others[i] = dial(t, addr)
		others[i].send(t, request+"\r\n")
		if line, err := others[i].in.ReadString('\n'); err != nil || !strings.Contains(line, "200") {
			t.Fatalf("stream %d: %q %v", i, line, err)
		}
		if i > 0 {
			_ = others[i].Close()
		}
	}
	in := others[0].in
	event := func() string {
		t.Helper()
		for {
			line, err := in.ReadString('\n')
			if err != nil {
				return ""
			}
			if data, is := strings.CutPrefix(line, "data: "); is {
				return data
			}
		}
	}
	if got := event(); got != bargainShown+bargainTime+"\n" {
		t.Errorf("first %s", got)
	}
	f.change(func(v *engine.BargainView) { v.Price, v.Cuts = 4000, 2 })
	if got := event(); !strings.Contains(got, `"price":4000`) {
		t.Errorf("then %s", got)
	}
	f.change(func(*engine.BargainView) {}) // nothing to tell
	f.change(func(v *engine.BargainView) { v.State = engine.BargainExpired })
	if got := event(); !strings.Contains(got, `"state":"expired"`) {
		t.Errorf("at last %s", got)
	}
	if got := event(); got != "" {
		t.Errorf("after its end %s", got)
	}
	again := dial(t, addr)
	again.send(t, request+"Last-Event-ID: 3\r\n\r\n")
	if status, _, body := again.receive(t); status != 204 || body != "" {
		t.Errorf("who comes back: %d %s", status, body)
	}
}

func TestBargainsOfOperators(t *testing.T) {
	const shown = `{"code":"0123456789ABCDEFGHJKMNPQRS","session":"fans-day-10","sku":"mask-50","shopper":"ada",` +
		`"state":"%s","start_price":4900,"price":4660,"floor":100,"currency":"CNY","cuts":1,"friends":20,` +
		`"started_at":"2026-09-20T02:00:00Z","expires_at":"2026-09-20T03:00:00Z",` +
		`"commitment":"0100000000000000000000000000000000000000000000000000000000000000"`
	f := &fakeOperator{}
	s := newTestAdmin(t, f)
	for name, c := range map[string]struct{ method, path, body, want string }{
		"list": {"GET", "/admin/v1/bargains?session=fans-day-10&shopper=ada&state=open&limit=5", "",
			`{"bargains":[` + fmt.Sprintf(shown, "open") + `}],"cursor":"more"}`},
		"one": {"GET", "/admin/v1/bargains/" + strings.ToLower(fakeCode) + "?cursor=9&limit=4", "",
			fmt.Sprintf(shown, "open") + `,"cuts_made":[{"number":1,"friend":"bob","amount":240,"weight":100,` +
				`"new":true,"at":"2026-09-20T02:00:00Z"}]}`},
		"end": {"POST", "/admin/v1/bargains/" + fakeCode + "/end", `{"note":"bots"}`, fmt.Sprintf(shown, "ended") + `}`},
		"plays": {"GET", "/admin/v1/plays", "",
			`{"plays":[{"id":"bargain","version":2,"since":"2026-09-20T02:00:00Z","text":"id: bargain"}]}`},
	} {
		if w := askAdmin(s, c.method, c.path, c.body); w.Code != 200 || strings.TrimSpace(w.Body.String()) != c.want {
			t.Errorf("%s: status %d\n got %s\nwant %s", name, w.Code, w.Body, c.want)
		}
	}
	if want := (engine.BargainFilter{Session: "fans-day-10", Shopper: "ada", State: engine.BargainOpen,
		Limit: 5}); f.bargains != want || f.code != fakeCode || f.behind != 9 || f.most != 4 || f.note != "bots" {
		t.Errorf("asked for %+v", f)
	}
	wantAdminProblem(t, askAdmin(s, "GET", "/admin/v1/bargains?state=held", ""), 400, "malformed")
	for why, c := range map[engine.Reason]struct {
		status int
		slug   string
	}{engine.ReasonUnknown: {404, "not-found"}, engine.ReasonBargainOver: {409, "conflict"}} {
		f.err = refusing(why)
		wantAdminProblem(t, askAdmin(s, "POST", "/admin/v1/bargains/"+fakeCode+"/end", ""), c.status, c.slug)
	}
	f.err = refusing(engine.ReasonConflict)
	wantAdminProblem(t, askAdmin(s, "GET", "/admin/v1/bargains?cursor=x", ""), 400, "malformed")
}

func TestListingsShowTheirPlay(t *testing.T) {
	for name, c := range map[string]struct {
		play engine.Play
		want string
	}{
		"cut": {engine.Play{Price: engine.PriceRule{Kind: engine.PriceCut, Floor: 100}, Cut: engine.CutRule{Friends: 20,
			Window: 24 * time.Hour, PerDay: 3, Weight: "150"}, Who: engine.WhoRule{MaxRisk: engine.LevelChallenge}},
			`"price":"cut","floor":100,"friends":20,"window_seconds":86400,"per_day":3,"at_floor":false,` +
				`"unit_set_aside":false}`},
		"steps": {engine.Play{Price: engine.PriceRule{Kind: engine.PriceSteps, Floor: 50,
			Steps: []engine.PriceStep{{Sold: 10, Price: 90}, {Sold: 20, Price: 50}}}},
			`"price":"steps","floor":50,"steps":[{"sold":10,"price":90},{"sold":20,"price":50}]}`},
		"clock": {engine.Play{Price: engine.PriceRule{Kind: engine.PriceClock, Every: time.Minute, By: 7}},
			`"price":"clock","floor":0,"every_seconds":60,"by":7}`},
		"fixed": {engine.Play{Who: engine.WhoRule{FirstOfDay: true}}, `"price":"fixed","floor":0,"first_of_day":true}`},
	} {
		f := &fakeSeller{sessions: fakeSessions()}
		c.play.Name = "it"
		f.sessions[1].Listings[2].Play = &c.play
		s := newTestShopper(t, f)
		for _, path := range []string{"/v1/sessions/fans-day-10/skus/mask-50", "/v1/sessions"} {
			if r := ask(s, "GET", path, nil, ""); !strings.Contains(string(r.Body()), `,"play":{"kind":"it",`+c.want) {
				t.Errorf("%s: %s", name, r.Body())
			}
		}
	}
}
