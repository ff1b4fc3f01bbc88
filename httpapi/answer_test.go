package httpapi

import (
	"bytes"
	"encoding/json"
	"strings"
	"testing"
	"time"

	"doorbuster/engine"
)

// TestWhatTheShopperIsTold is the table of outcomes and words.
func TestWhatTheShopperIsTold(t *testing.T) {
	const order = `"order":{"order_no":"0123456789ABCDEFGHJKMNPQ","session":"fans-day-10","sku":"mask-50","quantity":1,"amount":100,"currency":"CNY","state":"held","pay_by":"2026-09-20T02:15:00Z","pay_token":"`
	since := func(state engine.OrderState) engine.Answer {
		a := granted()
		a.State = state
		return a
	}
	overdue := granted()
	overdue.PayBy = fakeNow
	limit := func(why engine.Reason) engine.Answer {
		a := granted()
		a.Code, a.Reason, a.Count, a.Limit = engine.CodeLimitReached, why, 2, 2
		return a
	}
	for name, c := range map[string]struct {
		answer engine.Answer
		status int
		en, zh string // the message
		rest   string // what follows it
	}{
		"granted": {granted(), 200, "You got it. Pay within 15 minutes.", "抢到了！请在 15 分钟内付款。", order},
		"granted, late": {overdue, 200, "You got it, but the time to pay is over.", "已抢到，但付款时间已过。",
			`"pay_by":"2026-09-20T02:00:00Z"`},
		"paid since": {since(engine.Paid), 200, "You got it, and it is paid.", "已抢到并已付款。", `"state":"paid"`},
		"expired since": {since(engine.Expired), 200, "You got it, but did not pay in time. It went back on sale.",
			"未在规定时间内付款，商品已释放。", `"state":"expired"`},
		"cancelled since": {since(engine.Cancelled), 200, "You got it, and cancelled it since.",
			"您已取消该订单。", `"state":"cancelled"`},
		"voided since": {since(engine.Voided), 200, "You got it, but the order was taken back by the shop.",
			"订单已被商家作废。", `"state":"voided"`},
		"refund due": {since(engine.RefundDue), 200, "The order could not be kept. Your money is on its way back.",
			"订单未能保留，正在为您退款。", `"state":"refund_due"`},
		"sold out": {engine.Answer{Code: engine.CodeSoldOut, Reason: engine.ReasonSoldOut}, 200,
			"All taken for now.", "暂时抢完了。", ""},
		"gone": {engine.Answer{Code: engine.CodeSoldOut, Reason: engine.ReasonGone}, 200, "Sold out.",
			"已售罄。", ""},
		"limit, item": {limit(engine.ReasonLimitListing), 200,
			"You have already bought 2, the limit for this item.", "您已购买 2 件，达到本商品的限购数量。", order},
		"limit, session": {limit(engine.ReasonLimitSession), 200,
			"You have already bought 2, the limit for this session.", "您已购买 2 件，达到本场的限购数量。", order},
		"limit, month": {limit(engine.ReasonLimitMonth), 200, "You have already bought 2, the limit for this month.",
			"您已购买 2 件，达到本月的限购数量。", order},
		"left": {engine.Answer{Code: engine.CodeSoldOut, Reason: engine.ReasonLeft}, 200,
			"You gave up your place.", "您已放弃候补或抽签资格。", ""},
		"too few": {engine.Answer{Code: engine.CodeSoldOut, Reason: engine.ReasonTooFew}, 200,
			"Not enough came back in time for what you asked.", "等待时间内没有足够的数量，候补已结束。", ""},
		"not drawn": {engine.Answer{Code: engine.CodeSoldOut, Reason: engine.ReasonDrawn}, 200,
			"The draw is over, and nothing was left when your turn came.", "抽签已结束，很遗憾您未中签。", ""},
		"limit, let go": {engine.Answer{Code: engine.CodeLimitReached, Reason: engine.ReasonReleases, Count: 3}, 200,
			"You have let it go 3 times, the limit for this item.", "您已放弃 3 次，达到本商品的上限。", ""},
		"not open": {engine.Answer{Code: engine.CodeNotOpen, Reason: engine.ReasonNotOpen, Start: fakeNow}, 200,
			"Starts at 10:00.", "10:00 开始。", `"start":"2026-09-20T02:00:00Z"`},
		"paused": {engine.Answer{Code: engine.CodeNotOpen, Reason: engine.ReasonPaused}, 200,
			"Not on sale just now.", "暂停销售。", ""},
		"ended": {engine.Answer{Code: engine.CodeEnded, Reason: engine.ReasonEnded}, 200,
			"This session has ended.", "本场活动已结束。", ""},
		"not reserved": {engine.Answer{Code: engine.CodeNotReserved}, 200, "This one is for those who reserved.",
			"仅限预约用户购买。", ""},
		"ticket needed": {engine.Answer{Code: engine.CodeTicketRequired}, 200,
			"Get a ticket for this listing first, then ask again.", "请先领取抢购资格，再来抢购。",
			`"challenge":"none","ticket_url":"/v1/sessions/fans-day-10/skus/mask-50/ticket"}`},
		"waitlisted": {engine.Answer{Code: engine.CodeWaitlisted, Count: 7, No: fakeNo}, 200,
			"All taken for now. You are number 7 in line.", "暂时抢完了，您在候补队列第 7 位。",
			`"position":7,"entry":"0123456789ABCDEFGHJKMNPQ","result_url":"/v1/grabs/0123456789ABCDEFGHJKMNPQ"}`},
		"entered": {engine.Answer{Code: engine.CodeEntered, Start: fakeNow, No: fakeNo}, 200,
			"You are in the draw. Results at 10:00.", "已参与抽签，10:00 公布结果。",
			`"draw_at":"2026-09-20T02:00:00Z","entry":"0123456789ABCDEFGHJKMNPQ","result_url":"/v1/grabs/0123456789ABCDEFGHJKMNPQ"}`},
		"missed": {engine.Answer{Code: engine.CodeMissed, Reason: engine.ReasonQuota}, 200,
			"Sorry, you missed it this time. Better luck next time.", "很遗憾，这次没抢到，下次好运！", ""},
		"processing": {engine.Answer{Code: engine.CodeProcessing, Deadline: 1789869603000}, 202,
			"Hold on, we are checking. Ask at /v1/grabs/k1?deadline=1789869603000.",
			"正在确认，请稍候到 /v1/grabs/k1?deadline=1789869603000 查询。",
			`"result_url":"/v1/grabs/k1?deadline=1789869603000"`},
	} {
		t.Run(name, func(t *testing.T) {
			s := newTestShopper(t, &fakeSeller{answer: c.answer})
			for language, want := range map[string]string{"": c.en, "en-GB,zh;q=0.9": c.en, "zh-CN,en": c.zh,
				"ZH": c.zh, "fr, zh;q=0.9": c.zh, "fr": c.en} {
				r := ask(s, "POST", grabPath, map[string]string{"X-Shopper-Id": "ada", "Idempotency-Key": "k1",
					"Accept-Language": language}, "")
				var told struct{ Code, Message string }
				if err := json.Unmarshal(r.Body(), &told); err != nil {
					t.Fatalf("%v: %s", err, r.Body())
				}
				if r.StatusCode() != c.status || told.Code != c.answer.Code.String() || told.Message != want {
					t.Errorf("%q: status %d, %s: %s; want %s", language, r.StatusCode(), told.Code, told.Message, want)
				}
				if !strings.Contains(string(r.Body()), c.rest) || c.rest == "" &&
					bytes.Count(r.Body(), []byte(`":`)) != 2 {
					t.Errorf("%s; want %s", r.Body(), c.rest)
				}
			}
		})
	}
}

// TestMissedIsOneAnswer: byte for byte, whatever is behind it.
func TestMissedIsOneAnswer(t *testing.T) {
	var want string
	for _, why := range []engine.Reason{engine.ReasonQuota, engine.ReasonDepth, engine.ReasonOverload,
		engine.ReasonFrozen, engine.ReasonDeadline, engine.ReasonRefused} {
		a := granted() // whatever else an answer carries does not show
		a.Code, a.Reason, a.Count, a.Limit, a.Start, a.Deadline = engine.CodeMissed, why, 5, 6, 7, 8
		r := ask(newTestShopper(t, &fakeSeller{answer: a}), "POST", grabPath, map[string]string{"X-Shopper-Id": "ada",
			"Idempotency-Key": "k1"}, "")
		r.Header.SetNoDefaultContentType(true)
		r.Header.Set("Date", "(the moment's)")
		if got := r.String(); want == "" {
			want = got
		} else if got != want {
			t.Errorf("%s:\n%s\nwant\n%s", why, got, want)
		}
	}
}

func TestAppendDuration(t *testing.T) {
	for d, want := range map[time.Duration]string{
		15 * time.Minute: "15 minutes", 14*time.Minute + 59*time.Second + 997*time.Millisecond: "15 minutes",
		90 * time.Second: "1 minute 30 seconds",
		time.Hour:        "1 hour", 25*time.Hour + time.Second: "1 day 1 hour 1 second", time.Second: "1 second",
		300 * time.Millisecond: "0 seconds",
	} {
		if got := string(appendDuration(nil, d, english)); got != want {
			t.Errorf("%s: %q; want %q", d, got, want)
		}
	}
}

// TestAppendStringIsJSON: whatever bytes go in, JSON comes out that reads back
// as those bytes, with U+FFFD for what is no UTF-8.
func TestAppendStringIsJSON(t *testing.T) {
	for _, s := range []string{"", "plain", `"quoted\"`, "a\x00b\x1f\x7f\n\t", "医用口罩", "broken \xff\xfe utf8 \xe5",
		"\u2028", "\ufffd", "😀"} {
		var back string
		got := appendString(nil, s)
		if err := json.Unmarshal(got, &back); err != nil {
			t.Errorf("%q: %s: %v", s, got, err)
		}
		if want := strings.ToValidUTF8(s, "\ufffd"); back != want &&
			strings.Count(back, "\ufffd") != strings.Count(string([]rune(s)), "\ufffd") {
			t.Errorf("%q came back as %q", s, back)
		}
		if other := appendString(nil, []byte(s)); !bytes.Equal(got, other) {
			t.Errorf("%q as bytes: %s", s, other)
		}
	}
}
