package play

import (
	"sync"

	lru "github.com/hashicorp/golang-lru/v2"

	"doorbuster/engine"
)

// Distribution is by how many friends a bargain reaches its floor, if all cuts have weight 100.
type Distribution struct {
	First   uint32    // the least number with any chance
	Chances []float64 // of First friends, of one more, and so on
	Mean    float64
}

// At gives the chance that a number of friends is what it takes.
func (d *Distribution) At(friends uint32) float64 {
	if i := int(friends) - int(d.First); i >= 0 && i < len(d.Chances) {
		return d.Chances[i]
	}
	return 0
}

// Between gives the least and the greatest number of friends but for chances of one in a
// thousand on either side.
func (d *Distribution) Between() (least, most uint32) {
	const tail = 0.001
	from, to := 0, len(d.Chances)
	for sum := 0.0; from < to && sum+d.Chances[from] < tail; from++ {
		sum += d.Chances[from]
	}
	for sum := 0.0; to > from+1 && sum+d.Chances[to-1] < tail; to-- {
		sum += d.Chances[to-1]
	}
	return d.First + uint32(from), d.First + uint32(max(to-1, from))
}

// Sums over finer steps than these say nothing more: an amount is counted in ten thousandths
// of a mean cut at most, and where friends are many, in thousandths.
const (
	finest      = 10_000
	manyFriends = 100
)

// Distribute gives the distribution of the number of friends that reach a play's floor from a
// price: exact but for rounding where amounts are large. It is nil for a price that
// friends don't cut.
func Distribute(p *engine.Play, price int64) *Distribution {
	if p == nil || p.Price.Kind != engine.PriceCut || p.Cut.Friends == 0 || price <= p.Price.Floor {
		return nil
	}
	steps := int64(finest)
	if p.Cut.Friends > manyFriends {
		steps /= 10
	}
	return distribute(&p.Cut, min(price-p.Price.Floor, steps*int64(p.Cut.Friends)))
}

// negligible is a chance that no sum below tells from none.
const negligible = 1e-18

// distribute goes from cut to cut, with the chance of each amount that may be left.
//
// All cuts from the least to the most but these two are equally likely (see
// engine.CutRule.Range). Their share is entered where the amounts that they leave begin and
// taken back where these end, and summed up.
func distribute(r *engine.CutRule, total int64) *Distribution {
	const weight = 100
	from, span, unit := r.Range(total, weight)
	least, most := from/unit, (from+span-1)/unit
	each := float64(unit) / float64(span)
	ends := []cuts{{least, least, float64((least+1)*unit-from) / float64(span)},
		{least + 1, most - 1, each}, {most, most, float64(from+span-most*unit) / float64(span)}}
	if least == most {
		ends = []cuts{{least, least, 1}}
	}
	return reached(ends, r.Rest(total), total)
}

// cuts are some of the same chance.
type cuts struct {
	least, most int64
	chance      float64 // of each
}

// reached gives the distribution for cuts, ascending, of which none leaves less than rest.
func reached(of []cuts, rest, total int64) *Distribution {
	least, most := of[0].least, of[len(of)-1].most
	d := &Distribution{First: 1}
	chances := make([]float64, total+1) // of what is left
	edges := make([]float64, total+2)
	chances[total] = 1
	from, to := total, total // what may be left lies between these
	open := 1.0
	for friends := 1; friends <= engine.MaxBargainCuts && open > negligible; friends++ {
		done := 0.0
		for left := from; left <= to; left++ {
			chance := chances[left]
			chances[left] = 0
			if chance < negligible {
				done += chance
				continue
			}
			for _, c := range of {
				greatest := min(c.most, left-rest) // that leaves something
				if greatest < c.least {
					done += chance * c.chance * float64(c.most-c.least+1)
					continue
				}
				done += chance * c.chance * float64(c.most-greatest)
				edges[left-greatest] += chance * c.chance
				edges[left-c.least+1] -= chance * c.chance
			}
		}
		before := to
		from, to = max(from-most, 1), max(to-least, 0)
		sum := 0.0
		first, last := int64(0), int64(-1)
		for left := from; left <= before; left++ {
			sum += edges[left]
			edges[left] = 0
			if left <= to && sum > negligible {
				chances[left] = sum
				if last < 0 {
					first = left
				}
				last = left
			}
		}
		edges[before+1] = 0
		from, to = first, last
		d.Chances = append(d.Chances, done)
		d.Mean += float64(friends) * done
		open -= done
		if last < 0 {
			break
		}
	}
	for len(d.Chances) > 1 && d.Chances[0] == 0 {
		d.Chances, d.First = d.Chances[1:], d.First+1
	}
	return d
}

// means keeps what meanFriends found: listings of one template differ in little.
var means = sync.OnceValue(func() *lru.Cache[reach, float64] {
	kept, err := lru.New[reach, float64](maxCompiled)
	if err != nil {
		panic("BUG: " + err.Error())
	}
	return kept
})

type reach struct {
	friends, spread uint32
	total           int64
}

// meanFriends is by how many friends the floor is reached on average, to a thousandth of a
// cut.
func meanFriends(r *engine.CutRule, total int64) float64 {
	key := reach{r.Friends, r.Spread, min(total, finest/10*int64(r.Friends))}
	mean, there := means().Get(key)
	if !there {
		mean = distribute(r, key.total).Mean
		means().Add(key, mean)
	}
	return mean
}
