package statement

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"hash/maphash"
	"io"
	"math"
	"slices"
	"strconv"

	"doorbuster/engine"
)

// Summary is what a statement says as a whole. Lines that are there twice count
// once.
type Summary struct {
	Format   Format
	Payments int64 // rows
	Refunds  int64
	// First and Last are the times of the first and the last payment or refund; 0
	// for a statement without rows.
	First, Last engine.Time
	NotOurs     NotOurs

	repeated []pair // by line
}

// pair is a line and an earlier one.
type pair struct {
	line, earlier uint32
	kind          Kind
}

// what is the id that both have.
func (p pair) what() string {
	if p.kind == Refund {
		return columnNames[colRefund]
	}
	return columnNames[colPayment]
}

func byLine(a, b pair) int { return cmp.Compare(a.line, b.line) }

// Repeats gives the line that a line says over again; false for all others.
func (s *Summary) Repeats(line int64) (earlier int64, repeated bool) {
	at, repeated := slices.BinarySearchFunc(s.repeated, pair{line: uint32(line)}, byLine)
	if !repeated {
		return 0, false
	}
	return int64(s.repeated[at].earlier), true
}

// Repeated tells how many lines say what others have said.
func (s *Summary) Repeated() int { return len(s.repeated) }

// Check reads a statement whole. It takes 24 bytes of memory a row, and a third of
// that more in passing. The error is a *Malformed with all that is wrong, that of
// from, or that of ctx. heard, if not nil, is told now and then how many rows were
// read.
func Check(ctx context.Context, from io.Reader, how *Reading, heard func(rows int64)) (*Summary, error) {
	r, err := Open(from, how)
	if err != nil {
		return nil, err
	}
	s := &Summary{Format: r.format, NotOurs: NotOurs{Tally: Tally{Money: []Sum{}}, By: []NotOursBy{}}}
	var (
		row    Row
		bad    Malformed
		seen   = newSightings()
		varied = newVariety()
		total  int64
	)
	for {
		err := r.Next(&row)
		var problem *lineProblem
		switch {
		case err == io.EOF:
			var again rowCounts
			s.repeated, again = seen.resolve(&bad)
			if len(bad.Problems) > 0 {
				return nil, &bad
			}
			s.Payments -= again.payments
			s.Refunds -= again.refunds
			return s, nil
		case errors.As(err, &problem):
			bad.add(problem.Problem)
			continue
		case err != nil:
			return nil, err
		}
		if n := s.Payments + s.Refunds + s.NotOurs.Count; n%4096 == 4095 {
			if heard != nil {
				heard(n)
			}
			if err := ctx.Err(); err != nil {
				return nil, err
			}
		}
		switch row.Kind {
		case Payment:
			s.Payments++
		case Refund:
			s.Refunds++
		default:
			s.NotOurs.add(&row)
			continue
		}
		if total > math.MaxInt64-row.Amount {
			bad.add(Problem{row.Line, fmt.Sprintf("with this line the amounts come to more than %d",
				int64(math.MaxInt64))})
			return nil, &bad
		}
		total += row.Amount
		if wrong := varied.add(&row); wrong != "" {
			bad.add(Problem{row.Line, wrong})
			return nil, &bad
		}
		if s.First == 0 || row.At < s.First {
			s.First = row.At
		}
		s.Last = max(s.Last, row.At)
		seen.add(&row)
	}
}

// sighting is one row of a statement: 96 bits that stand for its payment and kind,
// 63 for all that it says with the kind beside them, and its line.
type sighting [6]uint32

// sightings finds rows that are about the same payment, or the same refund: the one
// of that id, or, without an id, one that says the very same. So each of the parts in
// which a payment goes back stands for itself. Rows are spread over
// shards, so that none of the arrays is large when it grows.
type sightings struct {
	seeds  [2]maphash.Seed
	shards [256][]sighting
	text   []byte
}

func newSightings() *sightings {
	return &sightings{seeds: [2]maphash.Seed{maphash.MakeSeed(), maphash.MakeSeed()}}
}

func (s *sightings) add(row *Row) {
	s.text = append(append(s.text[:0], byte(row.Kind)), row.PaymentID...)
	s.text = append(append(s.text, ' '), row.RefundID...)
	id := len(s.text)
	s.text = append(append(append(s.text, ' '), row.OrderNo...), row.Currency...)
	s.text = strconv.AppendInt(append(s.text, ' '), row.Amount, 10)
	s.text = strconv.AppendInt(append(s.text, ' '), row.Paid, 10)
	s.text = strconv.AppendInt(append(s.text, ' '), int64(row.At), 10)
	if row.Kind == Refund && row.RefundID == "" {
		id = len(s.text)
	}
	a, b := maphash.Bytes(s.seeds[0], s.text[:id]), maphash.Bytes(s.seeds[1], s.text[:id])
	says := maphash.Bytes(s.seeds[0], s.text)&^1 | uint64(row.Kind&1)
	shard := &s.shards[byte(a)]
	if len(*shard) == cap(*shard) {
		*shard = slices.Grow(*shard, max(16, len(*shard)/3))
	}
	*shard = append(*shard, sighting{uint32(a >> 32), uint32(a), uint32(b), uint32(says >> 32), uint32(says),
		uint32(row.Line)})
}

// rowCounts are numbers of rows.
type rowCounts struct{ payments, refunds int64 }

// resolve gives the lines that repeat others, and how many they are; those that
// contradict others go to bad.
func (s *sightings) resolve(bad *Malformed) (repeated []pair, n rowCounts) {
	var against []pair
	for i := range s.shards {
		shard := s.shards[i]
		slices.SortFunc(shard, func(a, b sighting) int {
			return cmp.Or(cmp.Compare(a[0], b[0]), cmp.Compare(a[1], b[1]), cmp.Compare(a[2], b[2]),
				cmp.Compare(a[5], b[5]))
		})
		first := 0
		for j := 1; j < len(shard); j++ {
			a, b := &shard[first], &shard[j]
			kind := Refund
			if Kind(b[4]&1) == Payment&1 {
				kind = Payment
			}
			switch {
			case a[0] != b[0] || a[1] != b[1] || a[2] != b[2]:
				first = j
			case a[3] != b[3] || a[4] != b[4]:
				against = append(against, pair{b[5], a[5], kind})
			case kind == Payment:
				repeated = append(repeated, pair{b[5], a[5], kind})
				n.payments++
			default:
				repeated = append(repeated, pair{b[5], a[5], kind})
				n.refunds++
			}
		}
		s.shards[i] = nil
	}
	slices.SortFunc(repeated, byLine)
	slices.SortFunc(against, byLine)
	for i, p := range against {
		if len(bad.Problems) >= MostProblems {
			bad.More += int64(len(against) - i)
			break
		}
		bad.add(Problem{int64(p.line), fmt.Sprintf("it says of its %s something else than line %d", p.what(),
			p.earlier)})
	}
	slices.SortStableFunc(bad.Problems, func(a, b Problem) int { return cmp.Compare(a.Line, b.Line) })
	return repeated, n
}
