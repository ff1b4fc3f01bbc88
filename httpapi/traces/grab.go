package traces

import (
	"context"
	"sync/atomic"
	"time"

	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/propagation"
	"go.opentelemetry.io/otel/trace"

	"doorbuster/engine"
)

// maxParent bounds what is kept of a traceparent. Version 00 has 55 bytes; newer ones may have
// more behind them.
const maxParent = 128

// Grab takes down the moments of one grab. It is engine.Trace.
type Grab struct {
	began  time.Time
	parent []byte
	ends   [stages]atomic.Int64 // by engine.Stage, in Unix nanoseconds; 0: it was not there

	// Of the answer.
	listing     string
	answer      engine.Answer
	transaction engine.Transaction
}

const stages = int(engine.StageAnswer) + 1

// Begin traces a grab that came at a time, in the trace that its traceparent names. One that is
// malformed names none (W3C Trace Context, 3.2).
func Begin(parent []byte, at time.Time) *Grab {
	g := &Grab{began: at}
	if len(parent) <= maxParent {
		g.parent = append(g.parent, parent...)
	}
	return g
}

// Ended implements engine.Trace.
func (g *Grab) Ended(stage engine.Stage, at time.Time) {
	if !at.IsZero() {
		g.ends[stage].Store(at.UnixNano())
	}
}

// span is a part of a grab.
type span struct {
	name       string
	start, end time.Time
}

// spans gives the parts of a grab, in order. Between the gate and the answer a grab has no
// stages that was decided by another node, or by its listing's actor alone.
func (g *Grab) spans() (all []span) {
	at := g.began
	for stage := range g.ends {
		n := g.ends[stage].Load()
		if n == 0 {
			continue
		}
		end := time.Unix(0, n)
		if end.Before(at) { // the clock was set, or a grab was tried again
			end = at
		}
		name := engine.Stage(stage).String()
		if engine.Stage(stage) == engine.StageAnswer && len(all) > 0 && all[len(all)-1].name == "gate" {
			name = "decision"
		}
		all = append(all, span{name, at, end})
		at = end
	}
	return all
}

// record makes spans of a grab, which the tracer's processor gets.
func (t *Tracer) record(g *Grab) {
	parts := g.spans()
	if len(parts) == 0 {
		return
	}
	ctx := propagation.TraceContext{}.Extract(context.Background(),
		propagation.MapCarrier{"traceparent": string(g.parent)})
	ctx, whole := t.spans.Start(ctx, "grab", trace.WithTimestamp(g.began), trace.WithSpanKind(trace.SpanKindServer))
	for _, p := range parts {
		_, part := t.spans.Start(ctx, p.name, trace.WithTimestamp(p.start))
		part.End(trace.WithTimestamp(p.end))
	}
	whole.SetAttributes(attribute.String("doorbuster.listing", g.listing),
		attribute.String("doorbuster.code", g.answer.Code.String()))
	if why := g.answer.Reason; why != engine.ReasonNone {
		whole.SetAttributes(attribute.String("doorbuster.reason", why.String()))
	}
	if no := g.transaction.String(); no != "" {
		whole.SetAttributes(attribute.String("doorbuster.transaction_id", no))
	}
	whole.End(trace.WithTimestamp(parts[len(parts)-1].end))
}
