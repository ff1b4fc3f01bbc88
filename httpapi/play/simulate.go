package play

import (
	"context"
	"crypto/sha256"
	"encoding/binary"
	"fmt"
	"maps"
	"math/rand/v2"
	"slices"
	"time"

	"doorbuster/engine"
)

// Options of Simulate.
type Options struct {
	Bargains int    // of a price that friends cut
	Seed     uint64 // the same gives the same
	// NewFriends is how many of a hundred friends have never done anything here.
	NewFriends int
	// Friends is how many each shopper finds; 0 = as many as it takes.
	Friends int
	// Progress is told now and then how many are done; nil if nobody asks.
	Progress func(done int)
}

// Report is what a play brought.
type Report struct {
	Kind string `json:"price"`
	Sold int64  `json:"sold"` // units, or bargains
	// Revenue is what they paid in all, and Mean on average, in minor units.
	Revenue int64        `json:"revenue"`
	Mean    float64      `json:"mean_price"`
	Prices  []PriceCount `json:"prices"`            // what they paid, falling; at most mostPrices
	Friends *Friends     `json:"friends,omitempty"` // of a price that they cut
}

// PriceCount is how many paid a price, or between two.
type PriceCount struct {
	Price int64 `json:"price"`
	To    int64 `json:"to"` // the least of them; Price, where it is one
	Count int64 `json:"count"`
}

// Friends is how many it took to reach the floor.
type Friends struct {
	Planned      uint32        `json:"planned"`
	Expected     float64       `json:"expected"` // on average, if all cuts have weight 100
	Mean         float64       `json:"mean"`     // of those that reached the floor
	ReachedFloor int64         `json:"reached_floor"`
	Counts       []FriendCount `json:"counts"`
}

// FriendCount is how many bargains took a number of friends.
type FriendCount struct {
	Friends  uint32 `json:"friends"`
	Bargains int64  `json:"bargains"`
}

// mostPrices bounds the rows of a report.
const mostPrices = 20

// checkEvery is after how many rounds somebody may stop a simulation, or be told of it.
const checkEvery = 100

// Simulate sells by a play: so many bargains, each until its floor or its friends are at an
// end, or else the whole stock, evenly over the session. Each shopper buys one unit, their
// first of the day; each friend is on no list, and helps once, right after the start.
func Simulate(ctx context.Context, p *engine.Play, at Listing, o Options) (*Report, error) {
	if at.Length <= 0 {
		at.Length = usualLength
	}
	s := simulation{play: p, at: at, Options: o, prices: map[int64]int64{}, formulas: NewFormulas(),
		report: &Report{Kind: p.Price.Kind.String()}}
	sell := s.sellOut
	if p.Price.Kind == engine.PriceCut {
		sell = s.bargains
	}
	if err := sell(ctx); err != nil {
		return nil, err
	}
	s.sum()
	return s.report, nil
}

// simulation holds one Simulate.
type simulation struct {
	Options
	play     *engine.Play
	at       Listing
	prices   map[int64]int64 // how many paid it
	formulas *Formulas
	report   *Report
}

// paid counts what somebody paid.
func (s *simulation) paid(price int64) {
	s.prices[price]++
	s.report.Sold++
	s.report.Revenue += price
}

// pause reports whether to stop, and tells of what is done.
func (s *simulation) pause(ctx context.Context, done int) error {
	if done%checkEvery != 0 {
		return nil
	}
	if s.Progress != nil {
		s.Progress(done)
	}
	return ctx.Err()
}

// MaxSimulated bounds the bargains and the units that are sold, one by one: all of them at
// the highest price are a revenue that can be counted.
const MaxSimulated = 1_000_000

func (s *simulation) sellOut(ctx context.Context) error {
	stock := s.at.Stock
	if stock <= 0 || stock > MaxSimulated {
		return fmt.Errorf("a stock of %d is not between 1 and %d", stock, MaxSimulated)
	}
	for sold := range stock {
		if err := s.pause(ctx, int(sold)); err != nil {
			return err
		}
		open := time.Duration(float64(s.at.Length) * float64(sold) / float64(stock))
		price := s.play.PriceAt(s.at.Price, sold, open)
		if s.play.Price.Kind == engine.PriceFormula {
			said, err := s.formulas.Number(engine.FormulaPrice, s.play.Price.Amount, &engine.FormulaInput{
				Start: s.at.Price, Floor: s.play.Price.Floor, Stock: stock, Sold: sold,
				Elapsed: int64(open / time.Second), Quantity: 1, FirstToday: true})
			if err != nil {
				return fmt.Errorf("the price of unit %d: %w", sold+1, err)
			}
			price = min(max(said, s.play.Price.Floor), s.at.Price)
		}
		s.paid(price)
	}
	return nil
}

// bargains plays them one after the other, each cut by the draw that a listing's state makes.
func (s *simulation) bargains(ctx context.Context) error {
	var key [8]byte
	binary.BigEndian.PutUint64(key[:], s.Seed)
	seed := sha256.Sum256(key[:])
	chance := rand.New(rand.NewPCG(s.Seed, s.Seed)) // of what is not drawn: who is new
	r := &s.play.Cut
	friends := &Friends{Planned: r.Friends, Expected: Distribute(s.play, s.at.Price).Mean}
	s.report.Friends = friends
	counts := map[uint32]int64{}
	total, sum, most := s.at.Price-s.play.Price.Floor, uint64(0), uint32(engine.MaxBargainCuts)
	if s.Options.Friends > 0 {
		most = min(most, uint32(s.Options.Friends))
	}
	for i := range s.Bargains {
		if err := s.pause(ctx, i); err != nil {
			return err
		}
		code, left, helped := fmt.Sprint(i), total, uint32(0)
		for left > 0 && helped < most {
			weight, err := s.weight(helped, chance)
			if err != nil {
				return err
			}
			helped++
			left -= r.Cut(engine.Luck(seed, code, helped), total, left, weight)
		}
		if left == 0 {
			friends.ReachedFloor++
			sum += uint64(helped)
		}
		counts[helped]++
		if left == 0 || !r.AtFloor {
			s.paid(s.play.Price.Floor + left)
		}
	}
	if friends.ReachedFloor > 0 {
		friends.Mean = float64(sum) / float64(friends.ReachedFloor)
	}
	for _, n := range slices.Sorted(maps.Keys(counts)) {
		friends.Counts = append(friends.Counts, FriendCount{n, counts[n]})
	}
	return nil
}

// weight is a friend's, in percent.
func (s *simulation) weight(cuts uint32, chance *rand.Rand) (uint32, error) {
	if s.play.Cut.Weight == "" {
		return 100, nil
	}
	weight, err := s.formulas.Number(engine.FormulaWeight, s.play.Cut.Weight, &engine.FormulaInput{
		Start: s.at.Price, Floor: s.play.Price.Floor, Cuts: int64(cuts), NewFriend: chance.IntN(100) < s.NewFriends})
	return uint32(min(max(weight, 1), engine.MaxWeight)), err
}

// sum makes the report's rows.
func (s *simulation) sum() {
	if s.report.Sold > 0 {
		s.report.Mean = float64(s.report.Revenue) / float64(s.report.Sold)
	}
	prices := slices.Sorted(maps.Keys(s.prices))
	slices.Reverse(prices)
	rows := min(len(prices), mostPrices)
	for i := range rows {
		of := prices[i*len(prices)/rows : (i+1)*len(prices)/rows]
		row := PriceCount{Price: of[0], To: of[len(of)-1]}
		for _, price := range of {
			row.Count += s.prices[price]
		}
		s.report.Prices = append(s.report.Prices, row)
	}
}
