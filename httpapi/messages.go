package httpapi

import (
	"strconv"
	"strings"
	"time"

	"doorbuster/engine"
)

// language is one that shoppers are spoken to in.
type language uint8

const (
	english language = iota
	chinese
	languages
)

// languageOf reads an Accept-Language header: the first language named decides,
// Chinese of any region for "zh", English for everything else.
func languageOf(header []byte) language {
	for len(header) > 0 && header[0] == ' ' {
		header = header[1:]
	}
	if len(header) >= 2 && header[0]|0x20 == 'z' && header[1]|0x20 == 'h' &&
		(len(header) == 2 || header[2] == '-' || header[2] == ',' || header[2] == ';' || header[2] == ' ') {
		return chinese
	}
	return english
}

// tag is the language as products and sales name theirs.
func (l language) tag() string { return [...]string{"en", "zh"}[l] }

// message names one thing that a shopper may be told of a grab.
type message uint8

const (
	msgGranted message = iota
	msgPayOverdue
	msgPaid
	msgExpired
	msgCancelled
	msgVoided
	msgRefundDue
	msgRefunded
	msgShipped
	msgReceived
	msgCompleted
	msgWaitlisted
	msgEntered
	msgSoldOut
	msgGone
	msgLimit
	msgReleases
	msgNotOpen
	msgPaused
	msgEnded
	msgNotReserved
	msgTicketRequired
	msgMissed
	msgProcessing
	scopeListing
	scopeSession
	messages
)

// messageTable is every word that a shopper is told of a grab. Placeholders:
// {pay_within} {position} {count} {scope} {start} {draw_at} {result_url}.
var messageTable = [messages][languages]string{
	msgGranted:        {"You got it. Pay within {pay_within}.", "抢到了！请在 {pay_within}内付款。"},
	msgPayOverdue:     {"You got it, but the time to pay is over.", "已抢到，但付款时间已过。"},
	msgPaid:           {"You got it, and it is paid.", "已抢到并已付款。"},
	msgExpired:        {"You got it, but did not pay in time. It went back on sale.", "未在规定时间内付款，商品已释放。"},
	msgCancelled:      {"You got it, and cancelled it since.", "您已取消该订单。"},
	msgVoided:         {"You got it, but the order was taken back by the shop.", "订单已被商家作废。"},
	msgRefundDue:      {"The order could not be kept. Your money is on its way back.", "订单未能保留，正在为您退款。"},
	msgRefunded:       {"The order could not be kept. Your money was given back.", "订单未能保留，已退款。"},
	msgShipped:        {"You got it, and it is on its way.", "已抢到，商品已发货。"},
	msgReceived:       {"You got it, and it has arrived.", "已抢到，商品已签收。"},
	msgCompleted:      {"You got it, and all is done.", "订单已完成。"},
	msgWaitlisted:     {"All taken for now. You are number {position} in line.", "暂时抢完了，您在候补队列第 {position} 位。"},
	msgEntered:        {"You are in the draw. Results at {draw_at}.", "已参与抽签，{draw_at} 公布结果。"},
	msgSoldOut:        {"All taken for now.", "暂时抢完了。"},
	msgGone:           {"Sold out.", "已售罄。"},
	msgLimit:          {"You have already bought {count}, the limit for {scope}.", "您已购买 {count} 件，达到{scope}的限购数量。"},
	msgReleases:       {"You have let it go {count} times, the limit for {scope}.", "您已放弃 {count} 次，达到{scope}的上限。"},
	msgNotOpen:        {"Starts at {start}.", "{start} 开始。"},
	msgPaused:         {"Not on sale just now.", "暂停销售。"},
	msgEnded:          {"This session has ended.", "本场活动已结束。"},
	msgNotReserved:    {"This one is for those who reserved.", "仅限预约用户购买。"},
	msgTicketRequired: {"Get a ticket for this listing first, then ask again.", "请先领取抢购资格，再来抢购。"},
	msgMissed:         {"Sorry, you missed it this time. Better luck next time.", "很遗憾，这次没抢到，下次好运！"},
	msgProcessing:     {"Hold on, we are checking. Ask at {result_url}.", "正在确认，请稍候到 {result_url} 查询。"},
	scopeListing:      {"this item", "本商品"},
	scopeSession:      {"this session", "本场"},
}

// grantedMessages says what became of an order since it was granted.
var grantedMessages = map[engine.OrderState]message{
	engine.Held: msgGranted, engine.Paid: msgPaid, engine.Expired: msgExpired, engine.Cancelled: msgCancelled,
	engine.Voided: msgVoided, engine.RefundDue: msgRefundDue, engine.Refunded: msgRefunded, engine.Shipped: msgShipped,
	engine.Received: msgReceived, engine.Completed: msgCompleted,
}

// messageFor chooses what a shopper is told. now decides whether a held order
// may still be paid.
func messageFor(a *engine.Answer, now engine.Time) message {
	switch a.Code {
	case engine.CodeGranted:
		if a.State == engine.Held && now >= a.PayBy {
			return msgPayOverdue
		}
		return grantedMessages[a.State] // msgGranted for a state that is not told
	case engine.CodeWaitlisted:
		return msgWaitlisted
	case engine.CodeEntered:
		return msgEntered
	case engine.CodeSoldOut:
		if a.Reason == engine.ReasonGone {
			return msgGone
		}
		return msgSoldOut
	case engine.CodeLimitReached:
		if a.Reason == engine.ReasonReleases {
			return msgReleases
		}
		return msgLimit
	case engine.CodeNotOpen:
		if a.Reason == engine.ReasonPaused || a.Start == 0 {
			return msgPaused
		}
		return msgNotOpen
	case engine.CodeEnded:
		return msgEnded
	case engine.CodeNotReserved:
		return msgNotReserved
	case engine.CodeTicketRequired:
		return msgTicketRequired
	case engine.CodeProcessing:
		return msgProcessing
	}
	return msgMissed
}

// blank is a placeholder in a message.
type blank uint8

const (
	noBlank blank = iota
	blankPayWithin
	blankPosition
	blankCount
	blankScope
	blankStart
	blankDrawAt
	blankResultURL
)

var blanks = map[string]blank{
	"pay_within": blankPayWithin, "position": blankPosition, "count": blankCount, "scope": blankScope,
	"start": blankStart, "draw_at": blankDrawAt, "result_url": blankResultURL,
}

// phrase is a message taken apart once, so that filling it in is appending:
// JSON-escaped text, each piece followed by a placeholder or none.
type phrase []struct {
	text []byte
	then blank
}

// parsePhrase takes a message apart. A brace that names no placeholder stays text.
func parsePhrase(text string) (p phrase) {
	for text != "" {
		before, then, after := text, noBlank, ""
		if open := strings.IndexByte(text, '{'); open >= 0 {
			if end := strings.IndexByte(text[open:], '}'); end > 0 {
				if b, ok := blanks[text[open+1:open+end]]; ok {
					before, then, after = text[:open], b, text[open+end+1:]
				}
			}
		}
		p = append(p, struct {
			text []byte
			then blank
		}{appendEscaped(nil, before), then})
		text = after
	}
	return p
}

// appendDuration appends how long there is to pay, to the second: people read it.
func appendDuration(dst []byte, d time.Duration, in language) []byte {
	seconds := int64((d + time.Second/2) / time.Second)
	units := [...]struct {
		size   int64
		en, zh string
	}{{86400, " day", " 天"}, {3600, " hour", " 小时"}, {60, " minute", " 分钟"}, {1, " second", " 秒"}}
	first := true
	for i, u := range units {
		n := seconds / u.size
		seconds %= u.size
		if n == 0 && (i < len(units)-1 || !first) {
			continue
		}
		if !first {
			dst = append(dst, ' ')
		}
		first = false
		dst = strconv.AppendInt(dst, n, 10)
		if in == chinese {
			dst = append(dst, u.zh...)
			continue
		}
		dst = append(dst, u.en...)
		if n != 1 {
			dst = append(dst, 's')
		}
	}
	return dst
}

// appendMoment appends a time for people to read.
func appendMoment(dst []byte, t engine.Time) []byte {
	return t.Wall().AppendFormat(dst, "2006-01-02 15:04:05 UTC")
}
