package engine

import (
	"bytes"
	"fmt"
	"math/rand/v2"
	"testing"
)

// life is a group that began with some state, and what its shoppers were told.
type life struct {
	*group
	random *rand.Rand
}

// begin opens an epoch on a state that a restore, a promotion or a rollback has
// left, as a new leader does: with a nonce of its own.
func begin(t *testing.T, s *State, random *rand.Rand) *life {
	l := &life{&group{tb: t, state: s, clock: max(clockStart, s.now)}, random}
	for range s.index {
		l.entries = append(l.entries, nil)
	}
	l.lead()
	return l
}

func (l *life) lead() {
	c := Command{Kind: CmdOpenEpoch, Node: "a1", Nonce: l.random.Uint64(), Secret: [16]byte{byte(l.random.Uint32()), 1}}
	l.apply(EncodeBatch(BatchHeader{Time: l.clock}, c))
	l.epoch, l.sequence = Epoch(len(l.entries)), 0
}

func TestNoOrderNumberIsGivenOutInTwoLives(t *testing.T) {
	seed := uint64(20_260_920)
	random := rand.New(rand.NewPCG(seed, 0))
	l := begin(t, NewState(), random)
	stock := ListingSpec{Stock: 1_000_000, Price: 100}
	sessions := []*Session{l.session("ten", nil, stock), l.session("eleven", nil, stock)}
	listings := []ListingHandle{sessions[0].Listings[0], sessions[1].Listings[0]}
	told := map[string]string{}
	copies := [][]byte{encoded(t, l.state.Snapshot())}
	for n := range 200 {
		for range random.IntN(8) {
			shopper := fmt.Sprint("s", random.Uint64())
			e := l.grab(listings[random.IntN(2)], shopper, "k", 1)
			if v, _ := l.state.View(e.Order); told[v.OrderNo] != "" {
				t.Fatalf("life %d (seed %d): %s is told that their order is %s, as %s was", n, seed, shopper, v.OrderNo,
					told[v.OrderNo])
			} else {
				told[v.OrderNo] = shopper
			}
			switch random.IntN(4) {
			case 0:
				l.lead() // another leader of the same life
			case 1:
				copies = append(copies, encoded(t, l.state.Snapshot()))
			}
		}
		// What a backup, a promoted node or an older copy of a directory has is some
		// state of before.
		s, err := ReadState(bytes.NewReader(copies[random.IntN(len(copies))]))
		if err != nil {
			t.Fatal(err)
		}
		l = begin(t, s, random)
	}
	if len(told) < 300 {
		t.Fatalf("%d orders were told of, too few to show anything", len(told))
	}
}
