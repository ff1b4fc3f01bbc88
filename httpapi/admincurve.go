package httpapi

import (
	"bufio"
	"cmp"
	"context"
	"fmt"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"time"

	"doorbuster/httpapi/curve"
	"doorbuster/httpapi/wire"
)

// curveQuery is which part of a curve is asked for.
type curveQuery struct {
	// Unix seconds: only what came after; without it, the last hour.
	After  int64 `query:"after" least:"0" most:"253402300799"`
	Stream bool  `query:"stream"` // Go on, as with Accept: text/event-stream.
}

// sessionCurve tells how a session sells, and with a stream goes on telling.
func (s *AdminServer) sessionCurve(w http.ResponseWriter, r *http.Request, q *curveQuery) error {
	session := r.PathValue("session")
	if !s.hasSession(session) {
		return refuse(notFound, "No session has this id. The sessions are listed at /admin/v1/sessions.")
	}
	if !q.Stream && !strings.Contains(r.Header.Get("Accept"), eventStreamType) {
		c, _ := s.curves.Session(session, q.After)
		return s.reply(w, curveOf(session, &c))
	}
	after := q.After
	// A page that was cut off goes on behind what it has.
	if last, err := strconv.ParseInt(r.Header.Get("Last-Event-ID"), 10, 64); err == nil && last > after {
		after = last
	}
	ctx, end := context.WithCancel(r.Context())
	defer end()
	leave := s.readers.enter(operatorOf(r), end)
	if leave == nil {
		return refuse(unavailable, fmt.Sprintf("%d readers follow this node already. Ask another node, or without a "+
			"stream.", eventReaders))
	}
	defer leave()
	w.Header().Set("Content-Type", eventStreamType)
	w.Header().Set("X-Accel-Buffering", "no")
	if r.Method == http.MethodHead {
		return nil
	}
	control := http.NewResponseController(w)
	_ = control.SetReadDeadline(time.Time{}) // nothing more is read
	if a, ok := w.(*answer); ok {
		a.patience = s.eventPatience
	}
	out := &trailStream{control: control, buffer: bufio.NewWriterSize(w, eventBufferSize), patience: s.eventPatience}
	for {
		c, changed := s.curves.Session(session, after)
		after = max(after, c.Last)
		out.event("curve", strconv.FormatInt(c.Last, 10), curveOf(session, &c))
		if out.flush(); out.err != nil {
			panic(http.ErrAbortHandler) // it went, or took nothing for too long
		}
		select {
		case <-changed:
		case <-ctx.Done(): // so have the right to it, or its place
			panic(http.ErrAbortHandler)
		case <-s.ending.Done():
			return nil
		}
	}
}

// hasSession reports whether there is a session.
func (s *AdminServer) hasSession(id string) bool {
	for _, x := range s.operator.AllSessions() {
		if x.ID == id {
			return true
		}
	}
	return false
}

func curveOf(session string, c *curve.Curve) *wire.Curve {
	j := &wire.Curve{Session: session, Last: c.Last, Refusals: wire.CurveRefusals{From: c.RefusedFrom,
		Reasons: map[string][]uint32{}}}
	for why, counts := range c.Refused {
		j.Refusals.Reasons[why.String()] = counts
	}
	j.Listings = listOf(c.Listings, func(l *curve.Listing) wire.CurveListing {
		one := func(of func(*curve.Point) int32) []int32 { return listOf(l.Points, of) }
		return wire.CurveListing{SKU: l.SKU, From: l.From,
			Granted:   one(func(p *curve.Point) int32 { return p.Granted }),
			Stock:     one(func(p *curve.Point) int32 { return p.Stock }),
			Available: one(func(p *curve.Point) int32 { return p.Available }),
			Held:      one(func(p *curve.Point) int32 { return p.Held }),
			Paid:      one(func(p *curve.Point) int32 { return p.Paid }),
			Waiting:   one(func(p *curve.Point) int32 { return p.Waiting })}
	})
	slices.SortFunc(j.Listings, func(a, b wire.CurveListing) int { return cmp.Compare(a.SKU, b.SKU) })
	return j
}
