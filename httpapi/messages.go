package httpapi

import (
	"strconv"
	"time"

	"golang.org/x/text/currency"

	"doorbuster/engine"
	"doorbuster/httpapi/messages"
)

// language is one that shoppers are spoken to in.
type language = messages.Language

const (
	english   = messages.English
	chinese   = messages.Chinese
	languages = messages.Languages
)

// grantedMessages says what became of an order since it was granted.
var grantedMessages = map[engine.OrderState]messages.Message{
	engine.Held: messages.Granted, engine.Paid: messages.Paid, engine.Expired: messages.Expired,
	engine.Cancelled: messages.Cancelled,
	engine.Voided:    messages.Voided, engine.RefundDue: messages.RefundDue, engine.Refunded: messages.Refunded,
	engine.Shipped:  messages.Shipped,
	engine.Received: messages.Received, engine.Completed: messages.Completed,
}

// messageFor chooses what a shopper is told. now decides whether a held order
// may still be paid.
func messageFor(a *engine.Answer, now engine.Time) messages.Message {
	switch a.Code {
	case engine.CodeGranted:
		if a.State == engine.Held && now >= a.PayBy {
			return messages.PayOverdue
		}
		return grantedMessages[a.State] // messages.Granted for a state that is not told
	case engine.CodeWaitlisted:
		return messages.Waitlisted
	case engine.CodeEntered:
		return messages.Entered
	case engine.CodeSoldOut:
		switch a.Reason {
		case engine.ReasonGone, engine.ReasonQuantity:
			return messages.Gone
		case engine.ReasonLeft:
			return messages.Left
		case engine.ReasonTooFew:
			return messages.TooFew
		case engine.ReasonDrawn:
			return messages.NotDrawn
		}
		return messages.SoldOut
	case engine.CodeLimitReached:
		switch a.Reason {
		case engine.ReasonReleases:
			return messages.Releases
		case engine.ReasonNotFirst:
			return messages.NotFirst
		case engine.ReasonBought:
			return messages.Bought
		}
		return messages.LimitReached
	case engine.CodeNotOpen:
		if a.Reason == engine.ReasonPaused || a.Start == 0 {
			return messages.Paused
		}
		return messages.NotOpen
	case engine.CodeEnded:
		if a.Reason == engine.ReasonBargainOver {
			return messages.BargainOver
		}
		return messages.Ended
	case engine.CodeNotReserved:
		return messages.NotReserved
	case engine.CodeTicketRequired:
		return messages.TicketRequired
	case engine.CodeProcessing:
		return messages.Processing
	}
	return messages.Missed
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

// appendMoney appends an amount of minor units as a person reads it, such as 12.30 CNY.
func appendMoney(dst []byte, amount int64, code string) []byte {
	digits := 2
	if unit, err := currency.ParseISO(code); err == nil {
		digits, _ = currency.Standard.Rounding(unit)
	}
	scale := int64(1)
	for range digits {
		scale *= 10
	}
	dst = strconv.AppendInt(dst, amount/scale, 10)
	if digits > 0 {
		dst = append(dst, '.')
		for rest := amount % scale; scale > 1; rest %= scale {
			scale /= 10
			dst = append(dst, byte('0'+rest/scale))
		}
	}
	return append(append(dst, ' '), code...)
}

// months are as English has them.
var months = [...]string{time.January: "January", time.February: "February", time.March: "March",
	time.April: "April", time.May: "May", time.June: "June", time.July: "July",
	time.August: "August", time.September: "September", time.October: "October", time.November: "November",
	time.December: "December"}

// appendMoment appends a time as a person of the zone says it: 10:00, with its day
// unless that is today, with its year unless that is this one. A sale that has no zone
// of its own is anywhere: its times say that they are UTC.
func appendMoment(dst []byte, at, now engine.Time, zone *time.Location, in language) []byte {
	t, today := at.Wall().In(zone), now.Wall().In(zone)
	year, month, day := t.Date()
	sameYear := year == today.Year()
	sameDay := sameYear && t.YearDay() == today.YearDay()
	if in == chinese && !sameDay {
		if !sameYear {
			dst = append(strconv.AppendInt(dst, int64(year), 10), "年"...)
		}
		dst = append(strconv.AppendInt(dst, int64(month), 10), "月"...)
		dst = append(strconv.AppendInt(dst, int64(day), 10), "日"...)
	}
	clock := "15:04"
	if t.Second() != 0 {
		clock = "15:04:05"
	}
	dst = t.AppendFormat(dst, clock)
	if zone == time.UTC {
		dst = append(dst, " UTC"...)
	}
	if in != chinese && !sameDay {
		dst = strconv.AppendInt(append(dst, " on "...), int64(day), 10)
		dst = append(append(dst, ' '), months[month]...)
		if !sameYear {
			dst = strconv.AppendInt(append(dst, ' '), int64(year), 10)
		}
	}
	return dst
}
