package backoffice

import (
	"fmt"
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
	if at := time.UnixMilli(bo.strayAt.Load()); time.Since(at) < strayFor {
		all = append(all, engine.Alarm{Name: engine.AlarmStrayPayments, Since: at,
			Detail: fmt.Sprintf("Money came for no order of this group, %d times since the start; it goes back.",
				bo.strays.Load()),
			Advice: "Ask the cashier what it was for; the log has each."})
	}
	if n, since := bo.RefundsOwed(); n > 0 && bo.Leads() && time.Since(since.Wall()) > overdueAfter {
		all = append(all, engine.Alarm{Name: engine.AlarmRefundsOverdue, Since: since.Wall(),
			Detail: fmt.Sprintf("Refunds have been due for more than a day, %d in all.", n),
			Advice: "See 'doorbuster refunds --admin ADDR' for why; without a cashier_url nobody is asked for them."})
	}
	return all
}
