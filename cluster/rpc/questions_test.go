package rpc

import (
	"context"
	"errors"
	"fmt"
	"reflect"
	"strings"
	"testing"
	"time"

	"doorbuster/engine"
)

// filled gives a T none of whose fields is zero or like another, so that one
// which is added later and does not cross is found.
func filled[T any]() (v T) {
	n := uint64(0)
	fill(reflect.ValueOf(&v).Elem(), &n)
	return v
}

func fill(v reflect.Value, n *uint64) {
	*n++
	switch v.Kind() {
	case reflect.Struct:
		if v.Type() == reflect.TypeFor[time.Time]() {
			v.Set(reflect.ValueOf(time.Unix(1_700_000_000, int64(*n))))
			return
		}
		for i := range v.NumField() {
			fill(v.Field(i), n)
		}
	case reflect.String:
		v.SetString(fmt.Sprint("text ", *n, " 口罩"))
	case reflect.Bool:
		v.SetBool(true)
	case reflect.Int64:
		v.SetInt(-int64(*n) << 40)
	case reflect.Int32:
		v.SetInt(-int64(*n))
	case reflect.Uint8:
		v.SetUint(255 - *n)
	case reflect.Uint32:
		v.SetUint(1<<32 - *n)
	case reflect.Uint64:
		v.SetUint(-*n)
	case reflect.Array:
		for i := range v.Len() {
			v.Index(i).SetUint(*n + uint64(i))
		}
	case reflect.Slice:
		v.Set(reflect.MakeSlice(v.Type(), 3, 3))
		for i := range 3 {
			fill(v.Index(i), n)
		}
	case reflect.Map:
		v.Set(reflect.ValueOf(map[string]string{"a": "b", "c": "口"}))
	default:
		panic("no filling for a " + v.Kind().String())
	}
}

// filledAnswer is one whose number the node makes that asked.
func filledAnswer() engine.Answer {
	a := filled[engine.Answer]()
	a.No = engine.OrderNo{}
	return a
}

// TestEveryFieldCrosses asks with everything filled in, through a server.
func TestEveryFieldCrosses(t *testing.T) {
	f := newFake()
	asked, answer, pulse := filled[engine.Outcome](), filledAnswer(), filled[Pulse]()
	f.pulse = pulse
	f.ask = func(_ context.Context, command []byte) (engine.Outcome, error) {
		if string(command) == "with an error" {
			return asked, &engine.Refusal{Reason: engine.ReasonAmount}
		}
		return asked, nil
	}
	f.look = func(shopper, key []byte, deadline engine.Time) (engine.Answer, bool, error) {
		if string(shopper) != "someone" || string(key) != "key" || deadline != 77 {
			t.Errorf("asked for %s, %s, %d", shopper, key, deadline)
		}
		return answer, true, nil
	}
	f.barrier = func(context.Context) (engine.LogIndex, error) { return 1 << 63, nil }
	f.operate = func(_ context.Context, name string, body []byte) ([]byte, error) {
		return append([]byte(name+"="), body...), nil
	}
	report := filled[engine.RefusalReport]()
	f.refused = func(shopper, session string) engine.RefusalReport {
		if shopper != "someone" || session != "day" {
			t.Errorf("asked for %s in %s", shopper, session)
		}
		return report
	}
	f.onGrab(func(*engine.Grab, engine.Time) (engine.Answer, error) { return answer, nil })
	_, r := pair(t, f)
	ctx := t.Context()
	if got, err := r.Ask(ctx, []byte{1}); err != nil || !reflect.DeepEqual(got, asked) {
		t.Errorf("Ask: got %+v, %v; want %+v", got, err, asked)
	}
	var refusal *engine.Refusal
	if got, err := r.Ask(ctx, []byte("with an error")); !errors.As(err, &refusal) || !reflect.DeepEqual(got, asked) {
		t.Errorf("Ask: got %+v, %v; want %+v and a refusal", got, err, asked)
	}
	if got, found, applied, err := r.Look(ctx, []byte("someone"), []byte("key"), 77); err != nil || !found ||
		got != answer || applied != pulse.Applied {
		t.Errorf("Look: got %+v, %v, %d, %v; want %+v", got, found, applied, err, answer)
	}
	if got, err := r.Barrier(ctx); err != nil || got != 1<<63 {
		t.Errorf("Barrier: got %d, %v", got, err)
	}
	if got, err := r.Operate(ctx, "remove", []byte(`{"node":"a2"}`)); err != nil ||
		string(got) != `remove={"node":"a2"}` {
		t.Errorf("Operate: got %s, %v", got, err)
	}
	if got, err := r.Refusals(ctx, "someone", "day"); err != nil || !reflect.DeepEqual(got, report) {
		t.Errorf("Refusals: got %+v, %v; want %+v", got, err, report)
	}
	if got, err := r.AboutSession(ctx, "day", true); err != nil || string(got) != "day kept" {
		t.Errorf("AboutSession: got %s, %v", got, err)
	}
	if got, applied, err := r.grab(grabOf("l", "s", "k"), 0, patience); err != nil || got != answer ||
		applied != pulse.Applied {
		t.Errorf("Grab: got %+v at %d, %v; want %+v", got, applied, err, answer)
	}
	if got, err := r.Trail(ctx, 8, 9, true); err != nil || got.After != 8 || got.Upto != 9 || got.Time != 5 ||
		string(got.Frames) != "frames" || got.Group != [16]byte{1, 2} || got.Dropped != 3 {
		t.Errorf("Trail: got %+v, %v", got, err)
	}
	if _, err := r.Trail(ctx, 404, 0, false); !errors.Is(err, engine.ErrOutcomeUnknown) {
		t.Errorf("Trail: got %v", err)
	}
	if chunk, total, err := r.Orders(ctx, 7, 1<<40); err != nil || total != 1<<40+1 || string(chunk) != "\a" {
		t.Errorf("Orders: got %q of %d, %v", chunk, total, err)
	}
	if _, _, err := r.Orders(ctx, 404, 0); !errors.Is(err, engine.ErrOutcomeUnknown) {
		t.Errorf("Orders: got %v", err)
	}
	pulses := make(chan Pulse, 1)
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	go r.Follow(ctx, time.Hour, func(p Pulse, _ time.Time) { pulses <- p }, func(err error) { t.Log(err) })
	got := receive(t, "a pulse", pulses)
	if !got.Wall.Equal(pulse.Wall) {
		t.Errorf("Follow: by its clock %s, want %s", got.Wall, pulse.Wall)
	}
	if got.Wall = pulse.Wall; !reflect.DeepEqual(got, pulse) {
		t.Errorf("Follow: got %+v, want %+v", got, pulse)
	}
}

// TestLongReports are cut to what a message takes, and say so.
func TestLongReports(t *testing.T) {
	const n = 40_000
	var a engine.Outcome
	for i := range n {
		a.Problems = append(a.Problems, engine.Problem{Path: fmt.Sprintf("sales[s].sessions[x].listings[%d].price",
			i), Message: strings.Repeat("m", 60)})
		a.Changes = append(a.Changes, engine.Change{Path: fmt.Sprintf("products[%d].image", i), Before: "\xff",
			After: strings.Repeat("u", 5000)})
	}
	f := newFake()
	_, r := pair(t, f)
	for _, part := range []engine.Outcome{{Problems: a.Problems}, {Changes: a.Changes}, a} {
		f.ask = func(context.Context, []byte) (engine.Outcome, error) { return part, nil }
		got, err := r.Ask(t.Context(), []byte{1})
		if err != nil {
			t.Fatal(err)
		}
		if k := len(got.Problems); part.Problems != nil &&
			got.Problems[k-1].Message != fmt.Sprintf("%d more problems, not shown", n-k+1) {
			t.Errorf("%d problems, the last %v", k, got.Problems[k-1])
		}
		if k := len(got.Changes); part.Changes != nil &&
			got.Changes[k-1].Path != fmt.Sprintf("(%d more changes, not shown)", n-k+1) {
			t.Errorf("%d changes, the last %v", k, got.Changes[k-1])
		}
	}
}

// TestBounds of single calls: refused here, without a word to the other node.
func TestBounds(t *testing.T) {
	_, r := pair(t, newFake())
	ctx := t.Context()
	for name, ask := range map[string]func() error{
		"no command": func() error { _, err := r.Ask(ctx, nil); return err },
		"long command": func() error {
			_, err := r.Ask(ctx, make([]byte, engine.MaxEntryBytes+1))
			return err
		},
		"no shopper":      func() error { _, _, _, err := r.Look(ctx, nil, []byte("k"), 0); return err },
		"long key":        func() error { _, _, _, err := r.Look(ctx, []byte("s"), make([]byte, 300), 0); return err },
		"no name":         func() error { _, err := r.Operate(ctx, "", nil); return err },
		"garbled name":    func() error { _, err := r.Operate(ctx, "\xff", nil); return err },
		"nobody refused":  func() error { _, err := r.Refusals(ctx, "", ""); return err },
		"garbled session": func() error { _, err := r.Refusals(ctx, "s", "\xff"); return err },
		"no session":      func() error { _, err := r.AboutSession(ctx, "", false); return err },
		"long body":       func() error { _, err := r.Operate(ctx, "x", make([]byte, MaxBodyBytes+1)); return err },
	} {
		if err := ask(); err == nil || errors.Is(err, engine.ErrNotLeader) || errors.Is(err, engine.ErrOutcomeUnknown) {
			t.Errorf("%s: got %v, want words", name, err)
		}
	}
}

// TestLongAnswers of operators' requests become an error, not a broken connection.
func TestLongAnswers(t *testing.T) {
	f := newFake()
	f.operate = func(_ context.Context, name string, _ []byte) ([]byte, error) {
		return make([]byte, len(name)+MaxBodyBytes-3), nil
	}
	_, r := pair(t, f)
	if got, err := r.Operate(t.Context(), "fit", make([]byte, MaxBodyBytes)); err != nil || len(got) != MaxBodyBytes {
		t.Errorf("got %d bytes, %v", len(got), err)
	}
	if _, err := r.Operate(t.Context(), "long", nil); err == nil || !strings.Contains(err.Error(), "ask for less") {
		t.Errorf("got %v", err)
	}
}
