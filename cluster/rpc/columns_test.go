package rpc

import (
	"errors"
	"math"
	"reflect"
	"strings"
	"testing"

	"google.golang.org/protobuf/proto"
	"pgregory.net/rapid"

	"doorbuster/cluster/rpc/peerpb"
	"doorbuster/engine"
)

func batchOf(grabs ...*engine.Grab) *peerpb.GrabBatch {
	m := new(peerpb.GrabBatch)
	for i, q := range grabs {
		addGrab(m, uint64(i), q, engine.Time(i))
	}
	return m
}

func TestMalformedGrabs(t *testing.T) {
	fine := grabOf("l", "s", "k")
	for _, c := range []struct {
		name  string
		batch *peerpb.GrabBatch
		spoil func(*peerpb.GrabBatch)
		want  string
	}{
		{"short column", batchOf(fine), func(m *peerpb.GrabBatch) { m.Quantities = nil }, "columns differ"},
		{"ids only", batchOf(fine), func(m *peerpb.GrabBatch) { *m = peerpb.GrabBatch{Ids: []uint64{1}} }, "columns differ"},
		{"text without grabs", new(peerpb.GrabBatch), func(m *peerpb.GrabBatch) { m.Text = []byte("x") }, "belong to no grab"},
		{"short text", batchOf(fine, fine), func(m *peerpb.GrabBatch) { m.Text = m.Text[:5] }, "grab 1 of 2: its lengths go beyond the 5 bytes"},
		{"long text", batchOf(fine), func(m *peerpb.GrabBatch) { m.Text = append(m.Text, 'x') }, "1 bytes of text that belong to no grab"},
		{"lengths of nothing", batchOf(fine), func(m *peerpb.GrabBatch) { m.Lengths[0] = math.MaxUint32 }, "go beyond"},
		{"no listing", batchOf(grabOf("", "s", "k")), nil, "a listing's name of 0 bytes"},
		{"long listing", batchOf(grabOf(strings.Repeat("l", 257), "s", "k")), nil, "a listing's name of 257 bytes"},
		{"no shopper", batchOf(grabOf("l", "", "k")), nil, "a shopper's id of 0 bytes"},
		{"long shopper", batchOf(grabOf("l", strings.Repeat("s", 129), "k")), nil, "a shopper's id of 129 bytes"},
		{"odd shopper", batchOf(grabOf("l", "s\x00", "k")), nil, "printable"},
		{"no key", batchOf(grabOf("l", "s", "")), nil, "an idempotency key of 0 bytes"},
		{"long key", batchOf(grabOf("l", "s", strings.Repeat("k", 256))), nil, "an idempotency key of 256 bytes"},
		{"quantity", batchOf(&engine.Grab{Listing: fine.Listing, Shopper: fine.Shopper, IdempotencyKey: fine.IdempotencyKey, Quantity: math.MaxUint32}), nil, "a quantity of 4294967295"},
		{"transactions cut", batchOf(&engine.Grab{Listing: fine.Listing, Shopper: fine.Shopper, IdempotencyKey: fine.IdempotencyKey, Transaction: engine.Transaction{1}}),
			func(m *peerpb.GrabBatch) { m.Transactions = m.Transactions[1:] }, "15 bytes of transactions"},
		{"too many", &peerpb.GrabBatch{Ids: make([]uint64, 1025)}, nil, "a batch of 1025 grabs, over 1024"},
	} {
		if c.spoil != nil {
			c.spoil(c.batch)
		}
		if grabs, err := readGrabs(c.batch); err == nil || !strings.Contains(err.Error(), c.want) || grabs != nil {
			t.Errorf("%s: got %v, want %q", c.name, err, c.want)
		}
	}
}

func TestMalformedAnswers(t *testing.T) {
	fine := func() *peerpb.AnswerBatch {
		m := new(peerpb.AnswerBatch)
		for i := range 3 {
			a := filledAnswer()
			addAnswer(m, &decided{id: uint64(i), answer: a})
		}
		addAnswer(m, &decided{id: 3, err: engine.ErrNotLeader})
		return m
	}
	for name, spoil := range map[string]func(*peerpb.AnswerBatch){
		"too many":              func(m *peerpb.AnswerBatch) { m.Ids = make([]uint64, 1024) },
		"kinds short":           func(m *peerpb.AnswerBatch) { m.Kinds = m.Kinds[1:] },
		"sessions short":        func(m *peerpb.AnswerBatch) { m.Sessions = m.Sessions[1:] },
		"ordinals short":        func(m *peerpb.AnswerBatch) { m.OrderOrdinals = m.OrderOrdinals[1:] },
		"limits long":           func(m *peerpb.AnswerBatch) { m.Limits = append(m.Limits, 1) },
		"order of nobody":       func(m *peerpb.AnswerBatch) { m.WithOrder[2] = 3 },
		"orders not in order":   func(m *peerpb.AnswerBatch) { m.WithOrder[0], m.WithOrder[1] = 1, 0 },
		"limits of one twice":   func(m *peerpb.AnswerBatch) { m.WithMore[1] = 0 },
		"kind out of range":     func(m *peerpb.AnswerBatch) { m.Kinds[0] = 1 << 24 },
		"number cut":            func(m *peerpb.AnswerBatch) { m.OrderNos = m.OrderNos[1:] },
		"number that is none":   func(m *peerpb.AnswerBatch) { m.OrderNos[7] = '"' },
		"transaction cut":       func(m *peerpb.AnswerBatch) { m.Transactions = m.Transactions[1:] },
		"failure without fault": func(m *peerpb.AnswerBatch) { m.Failures[0].Fault = nil },
	} {
		m := fine()
		spoil(m)
		err := readAnswers(m, func(*decided) error {
			t.Errorf("%s: an answer was taken", name)
			return nil
		})
		if err == nil {
			t.Errorf("%s: no error", name)
		}
	}
	if err := readAnswers(fine(), func(*decided) error { return nil }); err != nil {
		t.Errorf("fine: %v", err)
	}
}

// TestAnswersRoundTrip: any mix of answers and failures, in memory used before.
func TestAnswersRoundTrip(t *testing.T) {
	m := new(peerpb.AnswerBatch)
	rapid.Check(t, func(t *rapid.T) {
		emptyAnswers(m)
		small := rapid.Uint32Range(0, 2)
		var want []decided
		for i := range rapid.IntRange(0, 20).Draw(t, "answers") {
			d := decided{id: rapid.Uint64().Draw(t, "id")}
			if rapid.IntRange(0, 5).Draw(t, "fails") == 0 {
				d.err = engine.ErrNotLeader
			} else {
				d.answer = engine.Answer{
					Code: engine.Code(rapid.Byte().Draw(t, "code")), Reason: engine.Reason(rapid.Byte().Draw(t, "reason")), State: engine.OrderState(rapid.Byte().Draw(t, "state")),
					Order:   engine.OrderRef{Session: engine.SessionHandle(small.Draw(t, "of")), Ordinal: small.Draw(t, "ordinal")},
					Session: engine.SessionHandle(i), Listing: engine.ListingHandle(small.Draw(t, "listing")), Quantity: small.Draw(t, "quantity"),
					Amount: rapid.Int64().Draw(t, "amount"), PayBy: engine.Time(small.Draw(t, "pay by")), Count: small.Draw(t, "count"),
					Limit: small.Draw(t, "limit"), Start: engine.Time(rapid.Int64().Draw(t, "start")), Deadline: engine.Time(small.Draw(t, "deadline")),
				}
				if !d.answer.Order.IsZero() {
					d.answer.Transaction[15] = byte(small.Draw(t, "transaction"))
				}
			}
			want = append(want, d)
			addAnswer(m, &d)
		}
		b, err := proto.Marshal(m)
		if err != nil {
			t.Fatal(err)
		}
		var back peerpb.AnswerBatch
		if err := proto.Unmarshal(b, &back); err != nil {
			t.Fatal(err)
		}
		var answers, failures []decided
		for _, d := range want {
			if d.err != nil {
				failures = append(failures, d)
			} else {
				answers = append(answers, d)
			}
		}
		var got []decided
		if err := readAnswers(&back, func(d *decided) error { got = append(got, *d); return nil }); err != nil {
			t.Fatal(err)
		}
		if want := append(answers, failures...); !reflect.DeepEqual(got, want) {
			t.Fatalf("got %+v, want %+v", got, want)
		}
	})
}

// FuzzReadGrabs: nothing that comes in harms, and what is taken in is well-formed.
func FuzzReadGrabs(f *testing.F) {
	for _, m := range []*peerpb.GrabBatch{{}, batchOf(grabOf("l", "s", "k")), batchOf(grabOf("l", "s", "k"), grabOf("", "", ""))} {
		b, err := proto.Marshal(m)
		if err != nil {
			f.Fatal(err)
		}
		f.Add(b)
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		m := new(peerpb.GrabBatch)
		if proto.Unmarshal(b, m) != nil {
			return
		}
		grabs, err := readGrabs(m)
		for i := range grabs {
			if checkGrab(&grabs[i].Grab) != nil {
				t.Fatalf("took in %+v", grabs[i])
			}
		}
		if err == nil && len(grabs) != len(m.Ids) {
			t.Fatalf("%d of %d grabs", len(grabs), len(m.Ids))
		}
	})
}

// FuzzReadAnswers: nothing that comes back harms.
func FuzzReadAnswers(f *testing.F) {
	m := new(peerpb.AnswerBatch)
	a := filledAnswer()
	addAnswer(m, &decided{id: 1, answer: a})
	addAnswer(m, &decided{id: 2, err: errors.New("words")})
	b, err := proto.Marshal(m)
	if err != nil {
		f.Fatal(err)
	}
	f.Add(b)
	f.Fuzz(func(t *testing.T, b []byte) {
		m := new(peerpb.AnswerBatch)
		if proto.Unmarshal(b, m) != nil {
			return
		}
		n := 0
		err := readAnswers(m, func(*decided) error { n++; return nil })
		if err == nil && n != len(m.Ids)+len(m.Failures) || err != nil && n > 0 {
			t.Fatalf("%d taken, %v", n, err)
		}
	})
}
