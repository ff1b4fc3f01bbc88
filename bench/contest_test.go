package bench

import (
	"encoding/base64"
	"errors"
	"fmt"
	"io"
	"net"
	"strings"
	"testing"
	"time"

	altcha "github.com/altcha-org/altcha-lib-go"
)

func TestParseDefence(t *testing.T) {
	all, err := ParseDefence("all")
	if want := (Defence{"all", true, true, true, true, true, true, true}); err != nil || all != want {
		t.Errorf("all: %+v, %v", all, err)
	}
	if none, err := ParseDefence("none"); err != nil || none != (Defence{Name: "none"}) {
		t.Errorf("none: %+v, %v", none, err)
	}
	if some, err := ParseDefence("draw+risk"); err != nil ||
		some != (Defence{Name: "draw+risk", Draw: true, Risk: true}) {
		t.Errorf("some: %+v, %v", some, err)
	}
	for _, text := range []string{"", "moat", "draw+", "draw+none"} {
		if d, err := ParseDefence(text); err == nil {
			t.Errorf("%q: %+v", text, d)
		}
	}
	if n := len(DefaultDefences()); n != 11 {
		t.Errorf("%d defences", n)
	}
}

// TestWordJudge tries what people may hear, and what they may not.
func TestWordJudge(t *testing.T) {
	const missed, soldOut = "Sorry, you missed it this time. Better luck next time.", "All taken for now."
	said := func(code, message string) verdictOn {
		status := 200
		if code == codeProcessing {
			status = 202
		}
		return verdictOn{status: status, said: shopping{Code: code, Message: message}, body: []byte(code + message),
			sentAt: time.Second, heardAt: 2 * time.Second}
	}
	with := func(v verdictOn, change func(*verdictOn)) verdictOn { change(&v); return v }
	for _, c := range []struct {
		name string
		d    Defence
		v    verdictOn
		good bool
	}{
		{"granted", Defence{}, said(codeGranted, "You got it. Pay within 15 minutes."), true},
		{"sold out", Defence{}, said(codeSoldOut, soldOut), true},
		{"sold out, in other words", Defence{}, said(codeSoldOut, "System busy."), false},
		{"sold out to a holder", Defence{}, with(said(codeSoldOut, soldOut), func(v *verdictOn) { v.holds = true }),
			false},
		{"missed without a rule for it", Defence{Draw: true, Risk: true}, said(codeMissed, missed), false},
		{"missed by the quota", Defence{Quota: true}, said(codeMissed, missed), true},
		{"missed with a unit", Defence{Quota: true},
			with(said(codeMissed, missed), func(v *verdictOn) { v.holds = true }), false},
		{"a limit without a unit", Defence{},
			said(codeLimit, "You have already bought 1, the limit for this session."), false},
		{"a limit with one", Defence{}, with(said(codeLimit, "You have already bought 1, the limit for this session."),
			func(v *verdictOn) { v.holds = true }), true},
		{"a draw where there is none", Defence{},
			said(codeEntered, "You are in the draw. Results at 10:00:03."), false},
		{"the draw", Defence{Draw: true}, said(codeEntered, "You are in the draw. Results at 10:00:03."), true},
		{"a ticket", Defence{Ticket: true},
			said(codeTicket, "Get a ticket for this listing first, then ask again."), true},
		{"a ticket for a ticket", Defence{Ticket: true}, with(said(codeTicket, "Get a ticket for this listing "+
			"first, then ask again."), func(v *verdictOn) { v.ticket = true }), false},
		{"not reserved, but they have", Defence{Reservation: true},
			said(codeReserved, "This one is for those who reserved."), false},
		{"not open", Defence{}, said(codeNotOpen, "Starts at 10:00."), true},
		{"processing", Defence{}, said(codeProcessing, "Hold on, we are checking. Ask at /v1/grabs/k."), true},
		{"processing as if it were certain", Defence{}, with(said(codeProcessing, "Hold on, we are checking. Ask at "+
			"/v1/grabs/k."), func(v *verdictOn) { v.status = 200 }), false},
		{"an error", Defence{}, verdictOn{status: 500}, false},
		{"too often", Defence{Rates: true}, verdictOn{status: 429}, true},
		{"too often without a limit", Defence{}, verdictOn{status: 429}, false},
	} {
		j := wordJudge{d: c.d, findings: newFindings()}
		if j.weigh(c.v); j.findings.any() == c.good {
			t.Errorf("%s: judged otherwise: %v", c.name, j.findings.named)
		}
	}

	j := wordJudge{d: Defence{Quota: true}, findings: newFindings()}
	j.weigh(said(codeMissed, missed))
	j.weigh(said(codeMissed, missed))
	if j.findings.any() {
		t.Error(j.findings.named)
	}
	j.weigh(with(said(codeMissed, missed), func(v *verdictOn) { v.body = []byte("another body") }))
	if !j.findings.any() {
		t.Error("two kinds of missed pass")
	}
	j = wordJudge{findings: newFindings()}
	j.weigh(said(codeSoldOut, soldOut)) // heard at 2 s
	j.weigh(with(said(codeNotOpen, "Starts at 10:00."), func(v *verdictOn) { v.sentAt = 3 * time.Second }))
	if !j.findings.any() {
		t.Error("not open, after others heard otherwise, passes")
	}
}

// TestSolvers has work solved that the library makes, and the library check it.
func TestSolvers(t *testing.T) {
	made, err := altcha.CreateChallenge(altcha.ChallengeOptions{Algorithm: altcha.SHA256,
		MaxNumber: 2000, HMACKey: "key"})
	if err != nil {
		t.Fatal(err)
	}
	s := newSolvers(1, 2)
	solutions := make(chan string, 2)
	work := workText(made)
	s.jobs <- solverJob{work, func(solution string) { solutions <- solution }}
	if ok, err := altcha.VerifySolutionSafe(<-solutions, "key", false); err != nil || !ok {
		t.Errorf("the library does not take it: %v", err)
	}
	work.Challenge = strings.Repeat("0", 64)
	s.jobs <- solverJob{work, func(solution string) { solutions <- solution }}
	if got := <-solutions; got != "" {
		text, _ := base64.StdEncoding.DecodeString(got)
		t.Errorf("a solution of what has none: %s", text)
	}
	s.close()
	if r := s.report(); r.Solved != 2 || r.Failed != 1 || r.MeanMS <= 0 {
		t.Errorf("%+v", r)
	}
}

// TestExchange sends requests one behind the other over one connection.
func TestExchange(t *testing.T) {
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer ln.Close()
	answers := func(n int) (all string) {
		for i := range n {
			body := strings.Repeat("x", i*1500) // some answers do not fit the first read
			all += fmt.Sprintf("HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n%s", len(body), body)
		}
		return all
	}
	script := make(chan string)
	go func() {
		for text := range script {
			c, err := ln.Accept()
			if err != nil {
				return
			}
			if _, err := io.ReadFull(c, make([]byte, 4)); err == nil {
				_, _ = io.WriteString(c, text)
			}
			c.Close()
		}
	}()
	defer close(script)
	for _, c := range []struct {
		name, text string
		answered   int
		want       error
	}{
		{"all", answers(4), 4, nil},
		{"cut off", answers(3), 3, io.ErrUnexpectedEOF},
		{"cut off in the middle", answers(4)[:len(answers(4))-10], 3, io.ErrUnexpectedEOF},
		{"closed in between", strings.Replace(answers(4), "OK\r\n", "OK\r\nConnection: close\r\n", 1),
			1, io.ErrUnexpectedEOF},
		{"one too many", answers(4) + answers(1), 4, errBadAnswer},
		{"garbage", answers(2) + "garbage\r\n\r\n", 2, errBadAnswer},
	} {
		n := newConn([]string{ln.Addr().String()}, 0, 5*time.Second)
		script <- c.text
		got, sizes := 0, 0
		answered, err := n.exchange([]byte("1234"), 4, func(i int, a reply) {
			if i != got || a.status != 200 {
				t.Errorf("%s: answer %d: %d", c.name, i, a.status)
			}
			got++
			sizes += len(a.body)
		})
		n.close()
		if answered != c.answered || got != answered || !errors.Is(err, c.want) ||
			sizes != answered*(answered-1)/2*1500 {
			t.Errorf("%s: %d answered with %d bytes, %v", c.name, answered, sizes, err)
		}
	}
}

func TestContestConfigRefused(t *testing.T) {
	cfg := DefaultContestConfig()
	cfg.Networks, cfg.Units, cfg.KnownShare, cfg.Tries = []string{"moon"}, 0, 2, 255
	err := cfg.Validate()
	for _, want := range []string{"no way to start a shop", `network "moon": want shared or rented`,
		"units 0: want 1", "known share 2: want 0 to 1", "tries 255: want 1 to 254"} {
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("no %q in %v", want, err)
		}
	}
}

// TestContestGoals judges figures by what the defences are for.
func TestContestGoals(t *testing.T) {
	cfg := DefaultContestConfig()
	row := func(name string, people, bots int64) ContestRow {
		d, err := ParseDefence(name)
		if err != nil {
			t.Fatal(err)
		}
		r := ContestRow{Defence: d, Network: NetworkRented}
		for range cfg.rounds(d) {
			r.Rounds = append(r.Rounds, ContestRound{PeopleUnits: people, BotUnits: bots})
		}
		r.sumUp()
		return r
	}
	r := ContestReport{Config: cfg, Rows: []ContestRow{row("none", 1, 499), row("draw", 145, 355),
		row("reservation+risk", 410, 90)}}
	if r.judge(); len(r.Goals) != 2 || !r.Reached() {
		t.Errorf("%+v", r.Goals)
	}
	r = ContestReport{Config: cfg, Rows: []ContestRow{row("draw", 120, 380), row("all", 399, 101)}}
	if r.judge(); len(r.Goals) != 2 || r.Goals[0].OK || r.Goals[1].OK {
		t.Errorf("%+v", r.Goals)
	}
	cfg.Units = 20
	r = ContestReport{Config: cfg, Rows: []ContestRow{row("draw", 20, 0)}}
	if r.judge(); len(r.Goals) != 0 {
		t.Errorf("so few units were judged: %+v", r.Goals)
	}
}
