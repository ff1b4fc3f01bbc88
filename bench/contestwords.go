package bench

import (
	"bytes"
	"fmt"
	"strings"
	"sync"
	"sync/atomic"
	"time"
)

// honestWords are how the English words of each code begin.
var honestWords = map[string][]string{
	codeGranted:    {"You got it. Pay within ", "You got it, and cancelled it since."},
	codeWaitlisted: {"All taken for now. You are number "},
	codeEntered:    {"You are in the draw. Results at "},
	codeSoldOut:    {"All taken for now.", "Sold out.", "The draw is over, and nothing was left when your turn came."},
	codeLimit:      {"You have already bought 1, the limit for "},
	codeNotOpen:    {"Starts at "},
	codeTicket:     {"Get a ticket for this listing first, then ask again."},
	codeMissed:     {"Sorry, you missed it this time. Better luck next time."},
	codeProcessing: {"Hold on, we are checking. Ask at "},
}

// wordJudge looks at what people are told: only what the rules of the contest
// allow, in its words. Safe for concurrent use.
type wordJudge struct {
	d        Defence
	findings *findings
	judged   atomic.Int64

	opened atomic.Int64 // when somebody was first told what only an open listing says, in ns of the run; 0 not yet
	mu     sync.Mutex
	missed []byte // the first "missed", which all others must be
}

// verdictOn is one answer to a person.
type verdictOn struct {
	who             string
	status          int
	body            []byte
	said            shopping
	ticket          bool // was sent
	holds           bool // a unit, before the answer
	mayHold         bool // one, by an earlier grab of unknown outcome
	sentAt, heardAt time.Duration
}

func (j *wordJudge) weigh(v verdictOn) {
	j.judged.Add(1)
	if why := j.fault(&v); why != "" {
		j.findings.add(checkHonestWords, "%s, at %v: %s: %d %.300s", v.who,
			v.heardAt.Round(time.Millisecond), why, v.status, v.body)
	}
}

// fault says what is wrong with an answer; "" if nothing.
func (j *wordJudge) fault(v *verdictOn) string {
	code := v.said.Code
	switch {
	case v.status == 429 && j.d.Rates && code == "": // to who asks for a challenge or a ticket
		return ""
	case v.status != 200 && v.status != 202:
		return "no answer to a shopper"
	case (v.status == 202) != (code == codeProcessing):
		return "the status and the code say different things"
	}
	if code != codeNotOpen && v.sentAt > 0 {
		j.opened.CompareAndSwap(0, int64(v.heardAt))
	}
	if !j.allows(v) {
		return "the rules do not say this to them"
	}
	if code == codeMissed {
		j.mu.Lock()
		defer j.mu.Unlock()
		if j.missed == nil {
			j.missed = bytes.Clone(v.body)
		} else if !bytes.Equal(j.missed, v.body) {
			return fmt.Sprintf("another one read %.300s", j.missed)
		}
	}
	for _, words := range honestWords[code] {
		if strings.HasPrefix(v.said.Message, words) {
			return ""
		}
	}
	return "these are not its words"
}

// allows reports whether the rules of the contest can lead to what was said.
func (j *wordJudge) allows(v *verdictOn) bool {
	switch v.said.Code {
	case codeGranted, codeProcessing:
		return true
	case codeSoldOut:
		return !v.holds
	case codeLimit:
		return v.holds || v.mayHold
	case codeNotOpen:
		at := j.opened.Load()
		return at == 0 || int64(v.sentAt) <= at
	case codeWaitlisted:
		return j.d.Waitlist
	case codeEntered:
		return j.d.Draw
	case codeTicket:
		return j.d.Ticket && !v.ticket
	case codeMissed:
		return (j.d.Rates || j.d.Quota) && !v.holds
	}
	return false
}
