package rpc

import (
	"context"
	"crypto/sha256"
	"encoding/json"
	"errors"
	"fmt"
	"math"
	"unicode/utf8"

	"doorbuster/cluster/ledger/trail"
	"doorbuster/engine"
)

type nothing = struct{}

var ask = question[nothing, engine.Outcome]{
	name: "ask",
	check: func(_ nothing, command []byte) error {
		if n := len(command); n == 0 || n > engine.MaxEntryBytes {
			return fmt.Errorf("a command of %d bytes, not 1 to %d", n, engine.MaxEntryBytes)
		}
		return nil
	},
	answer: func(ctx context.Context, h Handler, _ nothing, command []byte) (engine.Outcome, []byte, error) {
		o, err := h.AskFor(ctx, command)
		room := maxReportBytes
		o.Changes = fitting(o.Changes, &room, func(left int) engine.Change {
			return engine.Change{Path: fmt.Sprintf("(%d more changes, not shown)", left)}
		})
		o.Problems = fitting(o.Problems, &room, func(left int) engine.Problem {
			return engine.Problem{Path: "plan", Message: fmt.Sprintf("%d more problems, not shown", left)}
		})
		return o, nil, err
	},
}

// fitting cuts a list to the room there is, with a last entry of what was left out.
func fitting[T any](list []T, room *int, rest func(left int) T) []T {
	for i := range list {
		b, _ := json.Marshal(list[i])
		if *room -= len(b) + 1; *room < 0 {
			return append(list[:i:i], rest(len(list)-i))
		}
	}
	return list
}

// Ask takes an encoded engine.Command (1 to engine.MaxEntryBytes) through the
// log. An error of the other node's comes with what it told besides.
func (r *Peer) Ask(ctx context.Context, command []byte) (engine.Outcome, error) {
	o, _, err := ask.ask(ctx, r, nothing{}, command)
	return o, err
}

type lookedFor struct {
	Shopper, Key []byte
	Deadline     engine.Time
}

type looked struct {
	Answer  engine.Answer
	Found   bool
	Applied engine.LogIndex
}

var look = question[lookedFor, looked]{
	name: "look",
	check: func(q lookedFor, _ []byte) error {
		if !engine.ValidShopper(q.Shopper) || !engine.ValidKey(q.Key) {
			return fmt.Errorf("a shopper's id of %d bytes or a key of %d that is not printable ASCII of 1 to %d, "+
				"and 1 to %d",
				len(q.Shopper), len(q.Key), engine.MaxShopperBytes, engine.MaxKeyBytes)
		}
		return nil
	},
	answer: func(_ context.Context, h Handler, q lookedFor, _ []byte) (l looked, _ []byte, err error) {
		l.Answer, l.Found, err = h.LookFor(q.Shopper, q.Key, q.Deadline)
		l.Applied = h.Pulse().Applied
		return l, nil, err
	},
}

// Look tells what became of a grab, as the other node knows, and its applied
// index then. deadline is in state time; 0: an unknown key is not found.
func (r *Peer) Look(ctx context.Context, shopper, key []byte,
	deadline engine.Time) (a engine.Answer, found bool, applied engine.LogIndex, err error) {
	l, _, err := look.ask(ctx, r, lookedFor{shopper, key, deadline}, nil)
	return l.Answer, l.Found, l.Applied, err
}

var barrier = question[nothing, engine.LogIndex]{
	name: "barrier",
	answer: func(ctx context.Context, h Handler, _ nothing, _ []byte) (engine.LogIndex, []byte, error) {
		index, err := h.Barrier(ctx)
		return index, nil, err
	},
}

// Barrier gives an index that has everything that any node had told anybody
// when it was called.
func (r *Peer) Barrier(ctx context.Context) (engine.LogIndex, error) {
	index, _, err := barrier.ask(ctx, r, nothing{}, nil)
	return index, err
}

var operate = question[string, nothing]{
	name: "operate",
	check: func(name string, body []byte) error {
		switch {
		case name == "" || len(name) > maxNameBytes || !utf8.ValidString(name):
			return fmt.Errorf("an operation's name of %d bytes that is not 1 to %d of UTF-8", len(name), maxNameBytes)
		case len(body) > MaxBodyBytes:
			return fmt.Errorf("an operation's body of %d bytes, over %d", len(body), MaxBodyBytes)
		}
		return nil
	},
	answer: func(ctx context.Context, h Handler, name string, body []byte) (_ nothing, back []byte, err error) {
		if back, err = h.Operate(ctx, name, body); err == nil && len(back) > MaxBodyBytes {
			back, err = nil, fmt.Errorf("the answer to %s has %d bytes, over %d; ask for less", name,
				len(back), MaxBodyBytes)
		}
		return nothing{}, back, err
	},
}

// Operate carries an operator's request: a name (1 to 256 bytes) and JSON of at
// most MaxBodyBytes.
func (r *Peer) Operate(ctx context.Context, name string, body []byte) ([]byte, error) {
	_, back, err := operate.ask(ctx, r, name, body)
	return back, err
}

type refusedWhom struct{ Shopper, Session string }

var refusals = question[refusedWhom, engine.RefusalReport]{
	name: "refusals",
	check: func(q refusedWhom, _ []byte) error {
		switch {
		case !engine.ValidShopper(q.Shopper):
			return fmt.Errorf("a shopper's id of %d bytes that is not printable ASCII of 1 to %d",
				len(q.Shopper), engine.MaxShopperBytes)
		case q.Session != "" && !engine.ValidID(q.Session):
			return errors.New("a session that is no id")
		}
		return nil
	},
	answer: func(_ context.Context, h Handler, q refusedWhom, _ []byte) (engine.RefusalReport, []byte, error) {
		return h.Refusals(q.Shopper, q.Session), nil, nil
	},
}

// Refusals asks the other node why it refused a shopper (engine.ValidShopper), in
// one session or ("") in all.
func (r *Peer) Refusals(ctx context.Context, shopper, session string) (engine.RefusalReport, error) {
	report, _, err := refusals.ask(ctx, r, refusedWhom{shopper, session}, nil)
	return report, err
}

type pageAfter struct {
	After, Upto engine.LogIndex
	Deeds       bool
}

var trailPage = question[pageAfter, trail.Page]{
	name: "trail",
	answer: func(_ context.Context, h Handler, q pageAfter, _ []byte) (p trail.Page, frames []byte, err error) {
		p, err = h.Trail(q.After, q.Upto, q.Deeds)
		frames, p.Frames = p.Frames, nil
		return p, frames, err
	},
}

// Trail asks the other node for a page of its trail. What is in it is for the trail to
// check.
func (r *Peer) Trail(ctx context.Context, after, upto engine.LogIndex, deeds bool) (trail.Page, error) {
	p, frames, err := trailPage.ask(ctx, r, pageAfter{after, upto, deeds}, nil)
	p.Frames = frames
	return p, err
}

type pieceOf struct {
	Session engine.SessionHandle
	Offset  int64
}

var orders = question[pieceOf, int64]{
	name: "orders",
	check: func(q pieceOf, _ []byte) error {
		if q.Offset < 0 {
			return fmt.Errorf("a piece from byte %d on", q.Offset)
		}
		return nil
	},
	answer: func(_ context.Context, h Handler, q pieceOf, _ []byte) (total int64, chunk []byte, err error) {
		chunk, total, err = h.Orders(q.Session, q.Offset)
		return total, chunk, err
	},
}

// Orders asks the other node for a piece of its file of a settled session, and how
// many bytes that has.
func (r *Peer) Orders(ctx context.Context, h engine.SessionHandle,
	offset int64) (chunk []byte, total int64, err error) {
	total, chunk, err = orders.ask(ctx, r, pieceOf{h, offset}, nil)
	return chunk, total, err
}

type reportsTold struct {
	Kept []engine.KeptReport
	Sum  [sha256.Size]byte // of the piece
}

var reports = question[engine.ReportsRequest, reportsTold]{
	name: "reports",
	check: func(q engine.ReportsRequest, _ []byte) error {
		switch {
		case q.ID != "" && !engine.ValidID(q.ID):
			return errors.New("a report that is no id")
		case q.From < 0:
			return fmt.Errorf("a piece from byte %d on", q.From)
		}
		return nil
	},
	answer: func(_ context.Context, h Handler, q engine.ReportsRequest, _ []byte) (reportsTold, []byte, error) {
		p, err := h.Reports(q)
		if err == nil && len(p.Piece) > engine.MaxReportPieceBytes {
			p, err = engine.ReportsPage{},
				fmt.Errorf("a piece of %d bytes, not up to %d", len(p.Piece), engine.MaxReportPieceBytes)
		}
		return reportsTold{p.Kept[:min(len(p.Kept), MaxReports)], sha256.Sum256(p.Piece)}, p.Piece, err
	},
	judge: func(q engine.ReportsRequest, t reportsTold, piece []byte) error {
		if q.ID != "" && (len(piece) > engine.MaxReportPieceBytes || sha256.Sum256(piece) != t.Sum) {
			return fmt.Errorf("a piece of a report with %d bytes that its checksum does not fit, or over %d",
				len(piece), engine.MaxReportPieceBytes)
		}
		if n := len(t.Kept); n > MaxReports {
			return fmt.Errorf("a list of %d reports, over %d", n, MaxReports)
		}
		for _, k := range t.Kept {
			if !engine.ValidID(k.ID) || min(k.Whole, k.Findings) < 0 || max(k.Whole, k.Findings) > math.MaxInt32 {
				return errors.New("a report in a list that has no id, or is of no such length")
			}
		}
		return nil
	},
}

// Reports asks the other node for the list of its reports, or for a piece of one.
// Besides the errors of all methods: ErrOlderBuild.
func (r *Peer) Reports(ctx context.Context, q engine.ReportsRequest) (engine.ReportsPage, error) {
	t, piece, err := reports.ask(ctx, r, q, nil)
	if err != nil || q.ID == "" {
		piece = nil
	}
	return engine.ReportsPage{Kept: t.Kept, Piece: piece}, err
}

type sessionAsked struct {
	Session string
	Kept    bool
}

var aboutSession = question[sessionAsked, [sha256.Size]byte]{
	name: "session",
	check: func(q sessionAsked, _ []byte) error {
		if !engine.ValidID(q.Session) {
			return errors.New("a session that is no id")
		}
		return nil
	},
	answer: func(_ context.Context, h Handler, q sessionAsked, _ []byte) (sum [sha256.Size]byte, back []byte,
		err error) {
		if back, err = h.AboutSession(q.Session, q.Kept); err == nil && len(back) > MaxBodyBytes {
			back, err = nil, fmt.Errorf("the report of a session has %d bytes, over %d", len(back), MaxBodyBytes)
		}
		return sha256.Sum256(back), back, err
	},
	judge: func(_ sessionAsked, sum [sha256.Size]byte, back []byte) error {
		if len(back) > MaxBodyBytes || sha256.Sum256(back) != sum {
			return fmt.Errorf("%d bytes about a session that their checksum does not fit, or over %d", len(back),
				MaxBodyBytes)
		}
		return nil
	},
}

// AboutSession asks the other node what its doors have counted of a session, or for the report
// of it that it keeps.
func (r *Peer) AboutSession(ctx context.Context, session string, kept bool) ([]byte, error) {
	_, back, err := aboutSession.ask(ctx, r, sessionAsked{session, kept}, nil)
	return back, err
}
