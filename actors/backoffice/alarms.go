package backoffice

import (
	"fmt"
	"strings"
	"sync"
	"time"

	"doorbuster/engine"
)

// strayFor is how long money that came for no order is an alarm: it goes back by
// itself, but the cashier, or a recovery, has made a mistake.
const strayFor = time.Hour

// overdueAfter is how long a refund may be due.
const overdueAfter = 24 * time.Hour

// Alarms is what somebody must see to of the listings, and of money for none.
func (bo *Office) Alarms() []engine.Alarm {
	all := bo.Group.Alarms()
	if at := time.UnixMilli(bo.strayAt.Load()); bo.wall().Sub(at) < strayFor {
		all = append(all, engine.Alarm{Name: engine.AlarmStrayPayments, Since: at,
			Detail: fmt.Sprintf("Money came for no order of this group, %d times since the start; it goes back.",
				bo.strays.Load()),
			Advice: "Ask the cashier what it was for; the log has each."})
	}
	if n, since := bo.RefundsOwed(); n > 0 && bo.Leads() && bo.wall().Sub(since.Wall()) > overdueAfter {
		all = append(all, engine.Alarm{Name: engine.AlarmRefundsOverdue, Since: since.Wall(),
			Detail: fmt.Sprintf("Refunds have been due for more than a day, %d in all.", n),
			Advice: "See 'doorbuster refunds --admin ADDR' for why; without a cashier_url nobody is asked for them."})
	}
	if alarm, over := bo.short.alarm(bo); over && bo.Leads() {
		all = append(all, alarm)
	}
	return all
}

// Bounds of the look at suppliers' figures.
const (
	shortAtOnce = 4096 // products that are looked at under one lock, each time that alarms are asked for
	shortNamed  = 5    // products that the alarm names
)

// short looks, some at a time, for products of which more is held and paid than their
// supplier has, and knows what the last look at all of them found.
type short struct {
	mu          sync.Mutex
	at          int
	going, last shortfall
}

// shortfall is what a look at all products has found.
type shortfall struct {
	products int
	units    int64
	named    []string
}

// alarm goes on with the look, and says what the last whole one has found.
func (x *short) alarm(bo *Office) (a engine.Alarm, over bool) {
	x.mu.Lock()
	defer x.mu.Unlock()
	var found []engine.ProductView
	done := false
	bo.View(func(s *engine.State) { found, x.at, done = s.ProductsOver(x.at, shortAtOnce) })
	for i := range found {
		p := &found[i]
		x.going.products++
		x.going.units += p.Use.Over()
		if len(x.going.named) < shortNamed {
			x.going.named = append(x.going.named, fmt.Sprintf("%s of %s (by %d)", p.ID, p.Supplier, p.Use.Over()))
		}
	}
	if done {
		x.last, x.going, x.at = x.going, shortfall{}, 0
	}
	if x.last.products == 0 {
		return a, false
	}
	named := strings.Join(x.last.named, ", ")
	if more := x.last.products - len(x.last.named); more > 0 {
		named += fmt.Sprintf(" and %d more", more)
	}
	return engine.Alarm{Name: engine.AlarmSupplierOver,
		Detail: fmt.Sprintf("More is held and paid than suppliers say they have, by %s: %s.",
			engine.Counted(x.last.units, "unit"), named),
		Advice: "Have the supplier raise its figure, or void orders that it can't deliver; holds that nobody pays " +
			"end by themselves. 'doorbuster products show ID --admin ADDR' has the figures."}, true
}
