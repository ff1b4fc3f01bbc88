package rpc

import (
	"bytes"
	"encoding/binary"
	"errors"
	"math"
	"reflect"
	"slices"
	"strings"
	"testing"

	"google.golang.org/protobuf/proto"
	"pgregory.net/rapid"

	"doorbuster/cluster/rpc/peerpb"
	"doorbuster/engine"
)

func batchOf(grabs ...*engine.Grab) *peerpb.GrabBatch {
	m := &peerpb.GrabBatch{Grabs: uint32(len(grabs))}
	for i, q := range grabs {
		m.Packed = appendGrab(m.Packed, uint64(i), q, engine.Time(i))
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
		{"one less", batchOf(fine, fine), func(m *peerpb.GrabBatch) { m.Grabs = 1 }, "more than its 1 grabs"},
		{"one more", batchOf(fine), func(m *peerpb.GrabBatch) { m.Grabs = 2 }, "grab 1 of 2"},
		{"text without grabs", new(peerpb.GrabBatch), func(m *peerpb.GrabBatch) { m.Packed = []byte("x") },
			"more than its 0 grabs"},
		{"short text", batchOf(fine, fine), func(m *peerpb.GrabBatch) { m.Packed = m.Packed[:len(m.Packed)-1] },
			"grab 1 of 2: damaged"},
		{"lengths of nothing", batchOf(fine), func(m *peerpb.GrabBatch) { m.Packed[3] = 0x7f }, "grab 0 of 1: damaged"},
		{"no listing", batchOf(grabOf("", "s", "k")), nil, "a listing's name of 0 bytes"},
		{"long listing", batchOf(grabOf(strings.Repeat("l", 257), "s", "k")), nil, "a listing's name of 257 bytes"},
		{"no shopper", batchOf(grabOf("l", "", "k")), nil, "a shopper's id of 0 bytes"},
		{"long shopper", batchOf(grabOf("l", strings.Repeat("s", 129), "k")), nil, "a shopper's id of 129 bytes"},
		{"odd shopper", batchOf(grabOf("l", "s\x00", "k")), nil, "printable"},
		{"no key", batchOf(grabOf("l", "s", "")), nil, "an idempotency key of 0 bytes"},
		{"long key", batchOf(grabOf("l", "s", strings.Repeat("k", 256))), nil, "an idempotency key of 256 bytes"},
		{"quantity", batchOf(&engine.Grab{Listing: fine.Listing, Shopper: fine.Shopper,
			IdempotencyKey: fine.IdempotencyKey, Quantity: math.MaxUint32}), nil, "a quantity of 4294967295"},
		{"quantity of more bits", &peerpb.GrabBatch{Grabs: 1, Packed: binary.AppendUvarint([]byte{1, 1},
			1<<(32+hasBits))}, nil, "damaged"},
		{"too many", &peerpb.GrabBatch{Grabs: 1025}, nil, "a batch of 1025 grabs, over 1024"},
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
	a := filledAnswer()
	one := appendAnswer(nil, &decided{id: 7, answer: a})
	fault := appendAnswer(nil, &decided{id: 3, err: engine.ErrNotLeader})
	fine := &peerpb.AnswerBatch{Answers: 3, Packed: slices.Concat(one, fault, one)}
	for n := range fine.Packed { // cut anywhere
		if _, err := readAnswers(&peerpb.AnswerBatch{Answers: 3, Packed: fine.Packed[:n]}, nil); err == nil {
			t.Errorf("cut at %d: no error", n)
		}
	}
	for name, m := range map[string]*peerpb.AnswerBatch{
		"too many":         {Answers: 1025, Packed: bytes.Repeat(fault, 1025)},
		"one more":         {Answers: 2, Packed: one},
		"one less":         {Answers: 1, Packed: slices.Concat(one, one)},
		"a code of 9 bits": {Answers: 1, Packed: binary.AppendUvarint([]byte{1, 0}, 256)},
		"a broken fault":   {Answers: 1, Packed: []byte{1, hasFault, 1, 0xff}},
	} {
		if _, err := readAnswers(m, nil); err == nil {
			t.Errorf("%s: no error", name)
		}
	}
	got, err := readAnswers(fine, nil)
	if err != nil || len(got) != 3 || got[0].answer != a || got[1].err != engine.ErrNotLeader || got[2].id != 7 {
		t.Errorf("fine: %+v, %v", got, err)
	}
}

// TestAnswersRoundTrip: any mix of answers and failures, in memory used before.
func TestAnswersRoundTrip(t *testing.T) {
	var used []decided
	rapid.Check(t, func(t *rapid.T) {
		m := new(peerpb.AnswerBatch)
		small := rapid.Uint32Range(0, 2)
		var want []decided
		for i := range rapid.IntRange(0, 20).Draw(t, "answers") {
			d := decided{id: rapid.Uint64().Draw(t, "id")}
			if rapid.IntRange(0, 5).Draw(t, "fails") == 0 {
				d.err = engine.ErrNotLeader
			} else {
				d.answer = engine.Answer{
					Code: engine.Code(rapid.Byte().Draw(t, "code")), Reason: engine.Reason(rapid.Byte().Draw(t,
						"reason")), State: engine.OrderState(rapid.Byte().Draw(t, "state")),
					Order: engine.OrderRef{Session: engine.SessionHandle(small.Draw(t, "of")),
						Ordinal: small.Draw(t, "ordinal")},
					Session: engine.SessionHandle(i), Listing: engine.ListingHandle(small.Draw(t, "listing")),
					Quantity: small.Draw(t, "quantity"),
					Amount:   rapid.Int64().Draw(t, "amount"), PayBy: engine.Time(small.Draw(t, "pay by")),
					Count: small.Draw(t, "count"), Life: engine.Life(small.Draw(t, "life")),
					Limit: small.Draw(t, "limit"), Start: engine.Time(rapid.Int64().Draw(t, "start")),
					Deadline: engine.Time(small.Draw(t, "deadline")),
				}
				if !d.answer.Order.IsZero() {
					d.answer.Transaction[15] = byte(small.Draw(t, "transaction"))
				}
			}
			want = append(want, d)
			m.Answers, m.Packed = m.Answers+1, appendAnswer(m.Packed, &d)
		}
		b, err := proto.Marshal(m)
		if err != nil {
			t.Fatal(err)
		}
		var back peerpb.AnswerBatch
		if err := proto.Unmarshal(b, &back); err != nil {
			t.Fatal(err)
		}
		got, err := readAnswers(&back, used)
		if err != nil {
			t.Fatal(err)
		}
		if used = got; !slices.Equal(got, want) {
			t.Fatalf("got %+v, want %+v", got, want)
		}
	})
}

// FuzzReadGrabs: nothing that comes in harms, and what is taken in is well-formed.
func FuzzReadGrabs(f *testing.F) {
	for _, m := range []*peerpb.GrabBatch{{}, batchOf(grabOf("l", "s", "k")),
		batchOf(grabOf("l", "s", "k"), grabOf("", "", ""))} {
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
		if err == nil && len(grabs) != int(m.Grabs) {
			t.Fatalf("%d of %d grabs", len(grabs), m.Grabs)
		}
	})
}

// FuzzReadAnswers: nothing that comes back harms.
func FuzzReadAnswers(f *testing.F) {
	m := &peerpb.AnswerBatch{Answers: 2}
	m.Packed = appendAnswer(m.Packed, &decided{id: 1, answer: filledAnswer()})
	m.Packed = appendAnswer(m.Packed, &decided{id: 2, err: errors.New("words")})
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
		if got, err := readAnswers(m, nil); err == nil && len(got) != int(m.Answers) {
			t.Fatalf("%d of %d", len(got), m.Answers)
		}
	})
}

func TestGrabsComeAsTheyWent(t *testing.T) {
	full := grabOf("l", "s", "k")
	full.Quantity, full.Waitlist, full.Ticket, full.Bargain, full.Transaction = 1<<19, true, 7, 3, engine.Transaction{1}
	bargain := grabOf("l", "s", "k")
	bargain.Bargain = math.MaxUint32
	for i, q := range []*engine.Grab{grabOf("l", "s", "k"), full, bargain} {
		got, err := readGrabs(batchOf(q))
		if err == nil && !reflect.DeepEqual(got[0].Grab, *q) {
			t.Errorf("grab %d: %+v, want %+v", i, got[0].Grab, *q)
		} else if err != nil {
			t.Errorf("grab %d: %v", i, err)
		}
	}
}
