package reconcile

import (
	"cmp"
	"slices"
	"time"

	"doorbuster/engine"
	"doorbuster/httpapi/calendar"
	"doorbuster/httpapi/reconcile/statement"
)

func (b *Book) add(kind statement.Kind, amount int64) {
	if kind == statement.Refund {
		b.Refunds++
		b.Refunded = statement.Plus(b.Refunded, amount)
		return
	}
	b.Payments++
	b.Paid = statement.Plus(b.Paid, amount)
}

// totals gathers both sides by currency, day, session and listing. Sessions and
// listings are those of our orders; of currencies and days a statement has at most
// statement.MaxCurrencies and statement.MaxDays.
type totals struct {
	all   map[Total]*Total // a Total without its two sides to the one with them
	zone  *time.Location
	zones map[string]*time.Location
	day   struct { // the last one, and until when it is that
		zone     *time.Location
		from, to int64
		text     string
	}
}

func newTotals(zone *time.Location) *totals {
	return &totals{all: map[Total]*Total{}, zone: zone, zones: map[string]*time.Location{}}
}

// dayOf names the day of at where an order was sold.
func (t *totals) dayOf(at engine.Time, timezone string) string {
	zone := t.zone
	if timezone != "" {
		known, ok := t.zones[timezone]
		if !ok {
			if known, _ = time.LoadLocation(timezone); known == nil {
				known = t.zone
			}
			t.zones[timezone] = known
		}
		zone = known
	}
	if d := &t.day; d.zone != zone || int64(at) < d.from || int64(at) >= d.to {
		w := at.Wall().In(zone)
		from, to := calendar.Day(w)
		d.zone, d.from, d.to, d.text = zone, from.UnixMilli(), to.UnixMilli(), w.Format(time.DateOnly)
	}
	return t.day.text
}

// place is where a payment or a refund counts.
type place struct {
	at       engine.Time
	account  *engine.Account
	currency string
}

// add counts for theirs or ours, as pick says.
func (t *totals) add(p place, kind statement.Kind, amount int64, pick func(*Total) *Book) {
	for _, of := range [...]Total{
		{Currency: p.currency},
		{Currency: p.currency, Day: t.dayOf(p.at, p.account.Timezone)},
		{Currency: p.currency, Session: cmp.Or(p.account.Order.Session, none)},
		{Currency: p.currency, Session: cmp.Or(p.account.Order.Session, none), SKU: cmp.Or(p.account.Order.SKU, none)},
	} {
		total := t.all[of]
		if total == nil {
			total = &Total{Day: of.Day, Session: of.Session, SKU: of.SKU, Currency: of.Currency}
			t.all[of] = total
		}
		pick(total).add(kind, amount)
	}
}

// none stands for the session and the listing of rows of no known order. It is no
// session's id.
const none = "-"

func theirs(t *Total) *Book { return &t.Theirs }
func ours(t *Total) *Book   { return &t.Ours }

// into sorts the totals into a report.
func (t *totals) into(r *Report) {
	for _, each := range t.all {
		switch {
		case each.Day != "":
			r.Days = append(r.Days, *each)
		case each.SKU != "":
			r.Listings = append(r.Listings, *each)
		case each.Session != "":
			r.Sessions = append(r.Sessions, *each)
		default:
			r.Totals = append(r.Totals, *each)
		}
	}
	for _, list := range [...][]Total{r.Totals, r.Days, r.Sessions, r.Listings} {
		slices.SortFunc(list, func(a, b Total) int {
			return cmp.Or(cmp.Compare(a.Day, b.Day), cmp.Compare(a.Session, b.Session), cmp.Compare(a.SKU, b.SKU),
				cmp.Compare(a.Currency, b.Currency))
		})
	}
}
