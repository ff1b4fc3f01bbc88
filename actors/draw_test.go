package actors_test

import (
	"fmt"
	"math"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"gonum.org/v1/gonum/stat"
	"gonum.org/v1/gonum/stat/combin"
	"gonum.org/v1/gonum/stat/distuv"

	"doorbuster/actors"
	"doorbuster/engine"
)

// falseAlarm is how often the checks of TestDrawFavoursNobody together accuse a
// draw that is fair: once in a million runs. A draw by order of arrival is found
// out with certainty, and one that gives who came first 8 points more than their
// share in 99 runs of a hundred.
const falseAlarm = 1e-6

// TestDrawFavoursNobody holds 200 draws that bots enter at the opening and people
// 50 ms later, and compares what the bots won with what chance gives them.
func TestDrawFavoursNobody(t *testing.T) {
	const draws, bots, people, stock = 200, 16, 24, 10
	began := time.Now()
	var passed atomic.Int64 // the test's clock, in ns: nobody is late because the machine is slow
	s := openShop(t, func(c *actors.Config) {
		c.Wall = func() time.Time { return began.Add(time.Duration(passed.Load())) }
	})
	var listings []engine.ListingSpec
	for i := range draws {
		l := units("sku-"+strconv.Itoa(i), stock)
		l.Draw = 3 * time.Second
		listings = append(listings, l)
	}
	s.plan("day", func(x *engine.SessionPlan) { x.LimitPerShopper = 0 }, listings...)
	enter := func(kind string, count int) {
		var all sync.WaitGroup
		for i := range count {
			all.Go(func() {
				for n := range draws {
					if a := s.grab(fmt.Sprintf("day/skus/sku-%d", n), kind+strconv.Itoa(i),
						strconv.Itoa(n)); a.Code != engine.CodeEntered {
						t.Errorf("%s %d: %+v", kind, i, a)
						return
					}
				}
			})
		}
		all.Wait()
	}
	enter("bot-", bots)
	passed.Add(int64(50 * time.Millisecond))
	enter("person-", people)
	if t.Failed() {
		return
	}
	passed.Add(int64(3 * time.Second))
	s.Nudge()
	await(t, "the end of all draws", func() (over bool) {
		over = true
		s.log.View(func(state *engine.State) {
			for _, l := range state.Listings() {
				over = over && l.DrawState == engine.DrawDone
			}
		})
		if !over {
			s.Nudge()
		}
		return over
	})

	wins := make([]float64, stock+1) // draws by how many units bots won
	total := 0
	s.log.View(func(state *engine.State) {
		won := make([]int, draws)
		for i := range state.SessionOf(1).Orders() {
			o := state.Order(engine.OrderRef{Session: 1, Ordinal: uint32(i) + 1})
			if o.State == engine.Held && strings.HasPrefix(state.ShopperID(o.Shopper), "bot-") {
				won[o.Listing-1]++
				total++
			}
		}
		for i, n := range won {
			wins[n]++
			if l := state.Listings()[i]; l.Held != stock {
				t.Errorf("draw %d gave %d units, not %d", i, l.Held, stock)
			}
		}
	})

	// How many of a draw's units go to bots is hypergeometric.
	expected := make([]float64, stock+1)
	for n := range expected {
		expected[n] = draws * math.Exp(combin.LogGeneralizedBinomial(bots, float64(n))+
			combin.LogGeneralizedBinomial(people, float64(stock-n))-combin.LogGeneralizedBinomial(bots+people, stock))
	}
	obs, exp := pooled(wins, expected)
	x2 := stat.ChiSquare(obs, exp)
	p := distuv.ChiSquared{K: float64(len(obs) - 1)}.Survival(x2)
	t.Logf("bots won %d of %d units; chi-square of the draws %.1f with %d degrees of freedom, p %.3g", total,
		draws*stock, x2, len(obs)-1, p)
	if p < falseAlarm/2 {
		t.Errorf("what bots won is not by chance: draws by units won %v, expected %.1f", wins, expected)
	}

	const share = float64(bots) / (bots + people)
	const spread = draws * stock * share * (1 - share) * (bots + people - stock) / (bots + people - 1)
	z2 := math.Pow(float64(total)-draws*stock*share, 2) / spread
	if p := (distuv.ChiSquared{K: 1}).Survival(z2); p < falseAlarm/2 {
		t.Errorf("bots won %d of %d units, with %.0f expected: p %.3g", total, draws*stock, draws*stock*share, p)
	}
}

// pooled puts classes together until each is expected five times or more, as the
// chi-square test needs it.
func pooled(observed, expected []float64) (obs, exp []float64) {
	var o, e float64
	for i := range observed {
		o, e = o+observed[i], e+expected[i]
		if e >= 5 {
			obs, exp = append(obs, o), append(exp, e)
			o, e = 0, 0
		}
	}
	obs[len(obs)-1] += o
	exp[len(exp)-1] += e
	return obs, exp
}

// drawnPlan has a draw.
func drawnPlan(now engine.Time) *engine.Plan {
	drawn := units("mask", 1)
	drawn.Draw = time.Second
	return &engine.Plan{
		Products: []engine.Product{{ID: "mask", Currency: "CNY"}},
		Sales: []engine.SalePlan{{Sale: engine.Sale{ID: "sale", Timezone: "UTC"}, Sessions: []engine.SessionPlan{{
			SessionSpec: engine.SessionSpec{ID: "day", StartSpec: "later", Start: now.Add(time.Hour),
				End: now.Add(2 * time.Hour), PayWithin: time.Minute, Publish: true},
			Listings: []engine.ListingSpec{drawn}}}}},
	}
}

// TestPlansSeedsDiffer: each plan brings its own randomness to its draws.
func TestPlansSeedsDiffer(t *testing.T) {
	var seeds [2][32]byte
	for i := range seeds {
		s := openShop(t, nil)
		if o, err := s.ApplyPlan(t.Context(), engine.By{Operator: "ops"}, drawnPlan(s.Now()), false); err != nil ||
			len(o.Problems) > 0 {
			t.Fatal(err, o.Problems)
		}
		s.log.View(func(state *engine.State) { seeds[i] = state.Listings()[0].Seed })
	}
	if seeds[0] == seeds[1] {
		t.Error("two shops draw alike")
	}
}
