package httpapi

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"net/http"
	"strconv"
	"strings"
	"time"

	"doorbuster/engine"
	"doorbuster/httpapi/wire"
)

// Trail is what the admin API needs of the ledger: the committed events, the same
// on every node. Safe for concurrent use. Errors: *engine.TrailGone for a position
// whose events have been dropped; engine.ErrNotLeader where it can't be read now.
type Trail interface {
	// Events gives up to most events from a position on, and where to go on.
	Events(from engine.TrailPosition, most int) (events []engine.TrailEvent, next engine.TrailPosition, err error)
	// AwaitEvents waits until the trail reaches to a position, or ctx ends, and gives
	// up to which index it does.
	AwaitEvents(ctx context.Context, from engine.TrailPosition) engine.LogIndex
	// Last gives the position of the event behind which so many stand, it among them,
	// of one session or ("") of all; with 0, the one behind all that there is.
	Last(events int, session string) (engine.TrailPosition, error)
	// Audit gives a page of what the filter asks for, and where to go on. A page may
	// have fewer than asked for, and more may follow.
	Audit(f engine.TrailFilter) (events []engine.TrailEvent, next engine.TrailPosition, more bool, err error)
	// Horizon gives the first event since which the trail is kept, and when that was: of
	// all events, or of operators' deeds alone.
	Horizon(deeds bool) (engine.TrailPosition, engine.Time, error)
}

func trailOf(e *engine.TrailEvent) wire.TrailEvent {
	j := wire.TrailEvent{Index: uint64(e.Index), N: e.N, Time: milliseconds(e.Time), Kind: e.Kind.Word(),
		Session: e.Session, SKU: e.SKU, OrderNo: e.OrderNo,
		Shopper: e.Shopper, Quantity: e.Quantity, Limit: e.Limit, Operator: e.Operator, Note: e.Note, Detail: e.Detail,
		MissingFrom: uint64(e.Missing),
		Transaction: e.Transaction.String()}
	if e.Reason != engine.ReasonNone {
		j.Reason = e.Reason.String()
	}
	if e.State != 0 {
		j.State = e.State.String()
	}
	if e.Kind == engine.StockAdded {
		j.Units = e.Amount
	} else if e.OrderNo != "" {
		amount := e.Amount
		j.Amount, j.Currency = &amount, e.Currency
	}
	if e.PayBy != 0 {
		j.PayBy = rfc3339(e.PayBy)
	}
	if e.Missing != 0 {
		j.Kind = "missing"
	}
	return j
}

// milliseconds is rfc3339 to the millisecond.
func milliseconds(t engine.Time) string { return t.Wall().Format("2006-01-02T15:04:05.000Z07:00") }

// parsePosition reads "INDEX" or "INDEX.N".
func parsePosition(given string) (p engine.TrailPosition, ok bool) {
	index, n, found := strings.Cut(given, ".")
	i, err := strconv.ParseUint(index, 10, 64)
	if err != nil {
		return p, false
	}
	p.Index = engine.LogIndex(i)
	if found {
		n, err := strconv.ParseUint(n, 10, 32)
		if err != nil {
			return p, false
		}
		p.N = uint32(n)
	}
	return p, true
}

// Bounds of a stream of events.
const (
	eventPage       = 500
	eventReaders    = 64 // of one node, shared among operators
	eventBufferSize = 64 << 10
	// MostLastEvents is how far before the end a stream may begin.
	MostLastEvents = 10_000
)

// eventQuery is what a reader of events asks for.
type eventQuery struct {
	// Position to begin with: INDEX or INDEX.N; 0 is the first that is kept. Without it, and
	// without last, what comes next.
	From askedPosition `query:"from"`
	// Begin so many events before the end; with session, so many of its events.
	Last    int    `query:"last" most:"10000"`
	Session string `query:"session" as:"id"`     // Only events of this session.
	Follow  bool   `query:"follow" usual:"true"` // false: end with what there is.
}

// events streams the trail, one JSON object a line, and goes on as it grows.
func (s *AdminServer) events(w http.ResponseWriter, r *http.Request, q *eventQuery) error {
	if q.Last > 0 && q.From.given {
		return refuse(malformed, fmt.Sprintf("last must be 1 to %d, and goes without from.", MostLastEvents))
	}
	from := q.From.TrailPosition
	ctx, end := context.WithCancel(r.Context())
	defer end()
	leave := s.readers.enter(operatorOf(r), end)
	if leave == nil {
		return refuse(unavailable, fmt.Sprintf("%d readers follow this node's events already. Ask another node.",
			eventReaders))
	}
	defer leave()
	r = r.WithContext(ctx)
	var err error
	if !q.From.given {
		from, err = s.fromTheEnd(r.Context(), q.Last, q.Session)
	}
	var page []engine.TrailEvent
	next := from
	if err == nil {
		page, next, err = s.trail.Events(from, eventPage) // before anything is answered: it may be gone
	}
	var gone *engine.TrailGone
	if errors.As(err, &gone) && from == (engine.TrailPosition{}) {
		from = gone.First
		page, next, err = s.trail.Events(from, eventPage)
	}
	var first engine.TrailPosition
	var since engine.Time
	if err == nil {
		first, since, err = s.trail.Horizon(false)
	}
	if err != nil {
		return err
	}
	w.Header().Set(wire.HeaderFirstEvent, first.String())
	w.Header().Set(wire.HeaderKeptSince, milliseconds(since))
	w.Header().Set("Content-Type", "application/x-ndjson")
	w.Header().Set("X-Accel-Buffering", "no")
	w.Header().Set(wire.HeaderFromEvent, from.String())
	if r.Method == http.MethodHead {
		return nil
	}
	control := http.NewResponseController(w)
	_ = control.SetReadDeadline(time.Time{}) // nothing more is read; where there are no deadlines, there is none
	if a, ok := w.(*answer); ok {
		a.patience = s.eventPatience // else each write would have the time of a download
	}
	out := &trailStream{control: control, buffer: bufio.NewWriterSize(w, eventBufferSize), patience: s.eventPatience}
	if at, err := s.follow(r.Context(), out, q, page, next); err != nil {
		var late net.Error
		slow := errors.As(err, &late) && late.Timeout()
		if slow || errors.As(err, &gone) {
			s.metrics.readersCutOff.Add(1)
		}
		switch {
		case slow:
			s.log.Warn("a reader of events was cut off: it took nothing", "for", s.eventPatience, "at", at.String(),
				"operator", operatorOf(r), "address", r.RemoteAddr)
		case out.err == nil:
			s.log.Warn("a reader of events was cut off", "at", at.String(), "operator", operatorOf(r),
				"address", r.RemoteAddr,
				"error", err)
		} // else it left by itself
		panic(http.ErrAbortHandler) // an end in good order would say that this is all
	}
	return nil
}

// fromTheEnd gives the position behind which so many events stand now. A ledger
// that does not know yet whose it is does not know its end: it is waited for.
func (s *AdminServer) fromTheEnd(ctx context.Context, events int, session string) (p engine.TrailPosition, err error) {
	wait, cancel := context.WithTimeout(ctx, s.timeout)
	defer cancel()
	if s.trail.AwaitEvents(wait, engine.TrailPosition{Index: 1}) == 0 {
		return p, fmt.Errorf("%w: the ledger can't tell its end yet", engine.ErrNotLeader)
	}
	return s.trail.Last(events, session)
}

// follow writes pages until the reader goes, the server stops, or (without
// q.Follow) there is no more. It gives the position behind what it has read for
// the reader, who may have taken less.
func (s *AdminServer) follow(ctx context.Context, out *trailStream, q *eventQuery, page []engine.TrailEvent,
	next engine.TrailPosition) (_ engine.TrailPosition, err error) {
	out.flush() // the head
	for told := time.Now(); ; {
		if q.Follow && ctx.Err() != nil {
			return next, nil
		}
		for i := range page {
			if q.Session == "" || page[i].Session == q.Session {
				out.write(trailOf(&page[i]))
				told = time.Now()
			}
		}
		if out.flush(); out.err != nil {
			return next, out.err
		}
		if len(page) < eventPage {
			if !q.Follow {
				return next, nil
			}
			wait, cancel := context.WithDeadline(ctx, told.Add(s.eventHeartbeat))
			stop := context.AfterFunc(s.ending, cancel)
			s.trail.AwaitEvents(wait, next)
			stop()
			cancel()
			if ctx.Err() != nil || s.ending.Err() != nil {
				return next, nil
			}
		}
		if time.Since(told) >= s.eventHeartbeat && next.Index > 0 {
			out.write(wire.TrailHeartbeat{Heartbeat: true, Index: uint64(next.Index - 1)})
			told = time.Now()
		}
		if page, next, err = s.trail.Events(next, eventPage); err != nil {
			return next, err // a reader that was slower than what is dropped
		}
	}
}

// trailStream writes to a reader, who has a bounded time to take each part.
type trailStream struct {
	control  *http.ResponseController
	buffer   *bufio.Writer
	patience time.Duration
	err      error
}

func (o *trailStream) write(v any) { o.put("", v, "\n") }

// event writes a server-sent event.
func (o *trailStream) event(name, id string, v any) {
	o.put("event: "+name+"\nid: "+id+"\ndata: ", v, "\n\n")
}

func (o *trailStream) put(before string, v any, after string) {
	if o.err != nil {
		return
	}
	line, err := json.Marshal(v)
	if err == nil {
		if o.buffer.Available() < len(before)+len(line)+len(after) {
			o.flush()
		}
		_, err = o.buffer.WriteString(before)
		_, second := o.buffer.Write(line)
		_, third := o.buffer.WriteString(after)
		err = errors.Join(err, second, third)
	}
	o.err = errors.Join(o.err, err)
}

func (o *trailStream) flush() {
	if o.err != nil {
		return
	}
	_ = o.control.SetWriteDeadline(time.Now().Add(o.patience))
	o.err = o.buffer.Flush()
	if err := o.control.Flush(); o.err == nil && err != nil && !errors.Is(err, http.ErrNotSupported) {
		o.err = err
	}
}

// auditQuery is which part of the trail is asked for.
type auditQuery struct {
	Order    string        `query:"order" as:"order"`              // An order number.
	Session  string        `query:"session" as:"id"`               // Of this session.
	Operator string        `query:"operator" as:"operator"`        // What this operator did.
	From     askedPosition `query:"from"`                          // Where to go on: next of the page before.
	Limit    int           `query:"limit" usual:"100" most:"1000"` // Events a page.
}

// audit gives a page of the trail: of an order, a session, an operator, or all.
func (s *AdminServer) audit(_ *http.Request, q *auditQuery) (page wire.TrailPage, err error) {
	f := engine.TrailFilter{OrderNo: strings.ToUpper(q.Order), Session: q.Session, Operator: q.Operator,
		From: q.From.TrailPosition, Limit: q.Limit}
	named := 0
	for _, name := range []string{f.OrderNo, f.Session, f.Operator} {
		if name != "" {
			named++
		}
	}
	if named > 1 {
		return page, refuse(malformed, "Ask for one of order, session and operator.")
	}
	found, next, more, err := s.trail.Audit(f)
	if err != nil {
		return page, err
	}
	first, since, err := s.trail.Horizon(f.Operator != "")
	page = wire.TrailPage{First: first.String(), Since: milliseconds(since), Events: listOf(found, trailOf)}
	if more {
		page.Next = next.String()
	}
	return page, err
}
