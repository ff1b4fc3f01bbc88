package rpc

import (
	"context"
	"errors"
	"fmt"
	"math"
	"strings"
	"testing"

	"google.golang.org/protobuf/proto"

	"doorbuster/cluster/rpc/peerpb"
	"doorbuster/engine"
)

// overWire gives err as the other end of a connection sees it.
func overWire(t *testing.T, err error) error {
	t.Helper()
	f := faultOf(err)
	if f == nil {
		return nil
	}
	b, marshalErr := proto.Marshal(f)
	if marshalErr != nil {
		t.Fatal(marshalErr)
	}
	var back peerpb.Fault
	if err := proto.Unmarshal(b, &back); err != nil {
		t.Fatal(err)
	}
	return errorOf(&back)
}

func TestErrorsCross(t *testing.T) {
	known := []error{engine.ErrNotLeader, engine.ErrOutcomeUnknown, context.Canceled, context.DeadlineExceeded}
	for _, c := range []struct {
		name string
		err  error
		is   error // the one of known that it is; nil for none
		text string
	}{
		{"none", nil, nil, ""},
		{"not leader", engine.ErrNotLeader, engine.ErrNotLeader, engine.ErrNotLeader.Error()},
		{"wrapped", fmt.Errorf("node b: %w", engine.ErrNotLeader), engine.ErrNotLeader,
			"node b: " + engine.ErrNotLeader.Error()},
		{"unknown outcome", engine.ErrOutcomeUnknown, engine.ErrOutcomeUnknown, engine.ErrOutcomeUnknown.Error()},
		{"careful", fmt.Errorf("%w: %w", engine.ErrNotLeader, engine.ErrOutcomeUnknown), engine.ErrOutcomeUnknown,
			engine.ErrNotLeader.Error() + ": " + engine.ErrOutcomeUnknown.Error()},
		{"canceled", context.Canceled, context.Canceled, "context canceled"},
		{"deadline", context.DeadlineExceeded, context.DeadlineExceeded, "context deadline exceeded"},
		{"other", engine.ErrMalformed, nil, "malformed"},
		{"no words", errors.New(""), nil, "an error without words"},
		{"no UTF-8", errors.New("a\xffb"), nil, "a\uFFFDb"},
		{"long", errors.New(strings.Repeat("x", 10_000)), nil, strings.Repeat("x", 4096)},
	} {
		got := overWire(t, c.err)
		if (got == nil) != (c.err == nil) || got != nil && got.Error() != c.text {
			t.Errorf("%s: got %v, want %q", c.name, got, c.text)
		}
		for _, k := range known {
			if errors.Is(got, k) != (k == c.is) {
				t.Errorf("%s: is %v: %v", c.name, k, errors.Is(got, k))
			}
		}
	}
	refusal := &engine.Refusal{Reason: engine.ReasonNotHeld, State: engine.Paid}
	for _, err := range []error{refusal, fmt.Errorf("order 7: %w", refusal)} {
		var back *engine.Refusal
		if got := overWire(t, err); !errors.As(got, &back) || *back != *refusal || got.Error() != err.Error() {
			t.Errorf("%v: got %v", err, got)
		}
	}
	for _, f := range []*peerpb.Fault{
		{Kind: 99, Message: "of a newer build"},
		{Kind: peerpb.Fault_REFUSAL, Message: "of a newer build", Reason: math.MaxUint8 + 1},
	} {
		if err := errorOf(f); err == nil || err.Error() != "of a newer build" {
			t.Errorf("%v: got %v", f, err)
		}
	}
}
