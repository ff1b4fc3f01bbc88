package play_test

import (
	"context"
	"errors"
	"math"
	"testing"
	"time"

	"gonum.org/v1/gonum/stat"
	"gonum.org/v1/gonum/stat/distuv"

	"doorbuster/engine"
	"doorbuster/httpapi/play"
)

func cutting(friends, spread uint32, floor int64) *engine.Play {
	return &engine.Play{Price: engine.PriceRule{Kind: engine.PriceCut, Floor: floor},
		Cut: engine.CutRule{Friends: friends, Spread: spread}}
}

// TestMeanIsThePlan: for helpers from 5 to 100 and any spread, the floor is reached within 5%
// of the planned number of friends on average; most are within 1%.
func TestMeanIsThePlan(t *testing.T) {
	worst := 0.0
	for friends := uint32(5); friends <= 100; friends += 1 + friends/8 {
		for spread := uint32(0); spread <= 90; spread += 10 {
			f := int64(friends)
			for _, total := range []int64{10 * f, 10*f + f/2, 11*f - 1, 13*f + 1, 29 * f, 4800, 100_003} {
				if total < 10*f {
					continue
				}
				d := play.Distribute(cutting(friends, spread, 0), total)
				off := math.Abs(d.Mean/float64(friends) - 1)
				worst = max(worst, off)
				if off > 0.05 {
					t.Errorf("%d friends, spread %d, %d to cut: %.2f on average", friends, spread, total, d.Mean)
				}
				sum := 0.0
				for _, chance := range d.Chances {
					sum += chance
				}
				if math.Abs(sum-1) > 1e-9 {
					t.Errorf("%d friends, spread %d, %d to cut: chances sum up to %v", friends, spread, total, sum)
				}
			}
		}
	}
	if t.Logf("at worst %.2f%% off", worst*100); worst > 0.02 {
		t.Errorf("%.2f%% off", worst*100)
	}
}

// TestDistributionAgainstEveryLuck goes through all cuts of a short bargain one by one.
func TestDistributionAgainstEveryLuck(t *testing.T) {
	for _, c := range []struct {
		friends, spread uint32
		total           int64
	}{{2, 50, 23}, {3, 90, 31}, {4, 0, 47}, {1, 30, 10}, {5, 70, 55}} {
		p := cutting(c.friends, c.spread, 0)
		d := play.Distribute(p, c.total)
		const draws = 997 // of the luck, evenly
		chances := map[int64]float64{c.total: 1}
		for friends := uint32(1); len(chances) > 0; friends++ {
			done, next := 0.0, map[int64]float64{}
			for left, chance := range chances {
				for i := range uint64(draws) {
					luck := i*(math.MaxUint64/draws) + math.MaxUint64/draws/2
					cut := p.Cut.Cut(luck, c.total, left, 100)
					if cut == left {
						done += chance / draws
					} else {
						next[left-cut] += chance / draws
					}
				}
			}
			if math.Abs(done-d.At(friends)) > 0.005 {
				t.Errorf("%+v: by %d friends with a chance of %.4f, and not %.4f", c, friends, done, d.At(friends))
			}
			chances = next
		}
	}
}

// TestSimulationFollowsTheDistribution: 10,000 bargains, the mean within 5% of the plan, and
// the numbers of friends by chi-square as the distribution has them.
func TestSimulationFollowsTheDistribution(t *testing.T) {
	for _, c := range []struct{ friends, spread uint32 }{{5, 90}, {20, 50}, {20, 0}, {100, 70}} {
		p := cutting(c.friends, c.spread, 100)
		const bargains = 10_000
		report, err := play.Simulate(context.Background(), p, usual, play.Options{Bargains: bargains, Seed: 7})
		if err != nil {
			t.Fatal(err)
		}
		friends := report.Friends
		if friends.ReachedFloor != bargains || report.Sold != bargains || report.Revenue != 100*bargains {
			t.Errorf("%+v", report)
		}
		if off := friends.Mean/float64(c.friends) - 1; math.Abs(off) > 0.05 {
			t.Errorf("%+v: %.2f on average", c, friends.Mean)
		}
		d := play.Distribute(p, usual.Price)
		counts := map[uint32]float64{}
		for _, count := range friends.Counts {
			counts[count.Friends] = float64(count.Bargains)
		}
		var got, want []float64
		g, w := 0.0, 0.0
		for n := d.First; n < d.First+uint32(len(d.Chances)); n++ {
			g, w = g+counts[n], w+d.At(n)*bargains
			if w >= 5 {
				got, want, g, w = append(got, g), append(want, w), 0, 0
			}
		}
		last := len(got) - 1
		got[last], want[last] = got[last]+g, want[last]+w
		if last == 0 {
			continue // by so many friends, always
		}
		chi := stat.ChiSquare(got, want)
		if chance := 1 - (distuv.ChiSquared{K: float64(last)}).CDF(chi); chance < 0.001 {
			t.Errorf("%+v: chi-square %.1f of %d degrees has a chance of %.5f:\n%v\n%v", c, chi, last, chance, got,
				want)
		}
	}
}

// TestSimulateIsRepeatable: one seed, one report; another, another.
func TestSimulateIsRepeatable(t *testing.T) {
	p, faults := shipped(t, "bargain").Fill(map[string]string{"floor": "100"}, usual)
	if faults != nil {
		t.Fatal(faults)
	}
	run := func(o play.Options) *play.Report {
		t.Helper()
		report, err := play.Simulate(context.Background(), p, usual, o)
		if err != nil {
			t.Fatal(err)
		}
		return report
	}
	one := run(play.Options{Bargains: 1000, Seed: 1, NewFriends: 30})
	if again := run(play.Options{Bargains: 1000, Seed: 1, NewFriends: 30}); again.Friends.Mean != one.Friends.Mean {
		t.Error("the same seed brings something else")
	}
	if other := run(play.Options{Bargains: 1000, Seed: 2, NewFriends: 30}); other.Friends.Mean == one.Friends.Mean {
		t.Error("another seed brings the same")
	}
	// New friends cut more: 30% of them half as much again make it 20/1.15.
	if math.Abs(one.Friends.Mean-20/1.15) > 0.5 {
		t.Errorf("%.2f friends on average", one.Friends.Mean)
	}
	few := run(play.Options{Bargains: 1000, Seed: 1, Friends: 10})
	if few.Friends.ReachedFloor != 0 || math.Abs(few.Mean-(100+4800/2)) > 50 || len(few.Prices) != 20 {
		t.Errorf("%+v", few)
	}
	count := int64(0)
	for _, price := range few.Prices {
		count += price.Count
	}
	if count != 1000 {
		t.Errorf("%d prices", count)
	}
	p.Cut.AtFloor = true
	if none := run(play.Options{Bargains: 1000, Seed: 1, Friends: 10}); none.Sold != 0 || none.Mean != 0 {
		t.Errorf("%+v", none)
	}
}

func TestSellOut(t *testing.T) {
	for _, c := range []struct {
		id      string
		given   map[string]string
		revenue int64
	}{
		{"group-price", map[string]string{"first_price": "4400", "second_price": "3900"}, 10*4900 + 40*4400 + 50*3900},
		// An hour has twelve times five minutes, of which ten are over the floor: 8 or 9 units each.
		{"falling-price", map[string]string{"floor": "2900", "by": "200"}, 9*4900 + 8*4700 + 8*4500 + 9*4300 + 8*4100 +
			8*3900 + 9*3700 + 8*3500 + 8*3300 + 9*3100 + 16*2900},
		{"daily-first", nil, 100 * 4900},
	} {
		p, faults := shipped(t, c.id).Fill(c.given, usual)
		if faults != nil {
			t.Fatal(faults)
		}
		report, err := play.Simulate(context.Background(), p, usual, play.Options{})
		if err != nil || report.Revenue != c.revenue || report.Sold != 100 || report.Friends != nil {
			t.Errorf("%s: %+v, %v", c.id, report, err)
		}
	}
	p, _ := read(t, "id: p\nprice: {kind: formula, floor: 100, amount: \"max(floor, start - sold * 10)\"}\n").Fill(nil,
		usual)
	if report, err := play.Simulate(context.Background(), p, usual, play.Options{}); err != nil ||
		report.Revenue != 100*4900-10*99*50 {
		t.Errorf("%+v, %v", report, err)
	}
	if _, err := play.Simulate(context.Background(), p, play.Listing{Price: 1}, play.Options{}); err == nil {
		t.Error("no stock is sold out")
	}
}

func TestSimulateStops(t *testing.T) {
	ctx, stop := context.WithCancel(context.Background())
	told := 0
	_, err := play.Simulate(ctx, cutting(20, 50, 0), play.Listing{Price: 4900, Length: time.Hour},
		play.Options{Bargains: 1_000_000_000, Progress: func(done int) {
			if told++; done > 1000 {
				stop()
			}
		}})
	if !errors.Is(err, context.Canceled) || told == 0 {
		t.Error(err, told)
	}
}
