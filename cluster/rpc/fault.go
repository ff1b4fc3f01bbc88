package rpc

import (
	"context"
	"errors"
	"math"
	"strings"

	"doorbuster/cluster/rpc/peerpb"
	"doorbuster/engine"
)

// crossed is an error that came from another node: its words, and what it is.
type crossed struct {
	message string
	is      error // nil: nothing that is known here
}

func (e *crossed) Error() string { return e.message }
func (e *crossed) Unwrap() error { return e.is }

// sentinels are the errors that keep their meaning. An error that is several of
// them crosses as the first: the careful reading wins.
var sentinels = []struct {
	kind peerpb.Fault_Kind
	err  error
}{
	{peerpb.Fault_OUTCOME_UNKNOWN, engine.ErrOutcomeUnknown},
	{peerpb.Fault_NOT_LEADER, engine.ErrNotLeader},
	{peerpb.Fault_CANCELED, context.Canceled},
	{peerpb.Fault_DEADLINE, context.DeadlineExceeded},
}

// faultOf gives err its form on the wire; nil for none.
func faultOf(err error) *peerpb.Fault {
	if err == nil {
		return nil
	}
	f := &peerpb.Fault{Message: words(err.Error(), maxFaultBytes)}
	for _, s := range sentinels {
		if errors.Is(err, s.err) {
			f.Kind = s.kind
			return f
		}
	}
	if refusal := (*engine.Refusal)(nil); errors.As(err, &refusal) && refusal != nil {
		f.Kind, f.Reason, f.State = peerpb.Fault_REFUSAL, uint32(refusal.Reason), uint32(refusal.State)
	}
	return f
}

// errorOf is the inverse of faultOf. Kinds that this build does not know are
// plain errors with the message.
func errorOf(f *peerpb.Fault) error {
	if f == nil {
		return nil
	}
	for _, s := range sentinels {
		if f.Kind == s.kind {
			return speak(f.Message, s.err)
		}
	}
	if f.Kind == peerpb.Fault_REFUSAL && f.Reason <= math.MaxUint8 && f.State <= math.MaxUint8 {
		return speak(f.Message, &engine.Refusal{Reason: engine.Reason(f.Reason), State: engine.OrderState(f.State)})
	}
	if f.Message == "" {
		return &crossed{message: "an error without words"}
	}
	return &crossed{message: f.Message}
}

func speak(message string, is error) error {
	if message == "" || message == is.Error() {
		return is
	}
	return &crossed{message, is}
}

// words makes a text fit for the wire: valid UTF-8 of at most most bytes.
func words(s string, most int) string {
	if len(s) > most {
		s = s[:most]
	}
	return strings.ToValidUTF8(s, "\uFFFD")
}
