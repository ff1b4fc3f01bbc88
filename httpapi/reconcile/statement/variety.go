package statement

import (
	"fmt"
	"strings"
	"time"

	"doorbuster/engine"
)

// variety counts the currencies and the days of a statement.
type variety struct {
	currencies map[string]struct{}
	days       map[engine.Time]struct{}
	currency   string // of the last row, which the next one mostly shares
	day        engine.Time
}

func newVariety() *variety {
	return &variety{currencies: map[string]struct{}{}, days: map[engine.Time]struct{}{}}
}

// add notes a row, or says which bound it is over.
func (v *variety) add(row *Row) (wrong string) {
	const aDay = engine.Time(24 * time.Hour / time.Millisecond)
	if row.Currency != v.currency {
		v.currency = strings.Clone(row.Currency) // the row's is a part of its whole line
		v.currencies[v.currency] = struct{}{}
		if len(v.currencies) > MaxCurrencies {
			return fmt.Sprintf("with the currency %s the lines have more than %d currencies, the most that a "+
				"statement may have", v.currency, MaxCurrencies)
		}
	}
	if day := row.At / aDay; day != v.day {
		v.day = day
		v.days[day] = struct{}{}
		if len(v.days) > MaxDays {
			return fmt.Sprintf("with %s the lines are of more than %d days (UTC), the most that a statement may "+
				"have; split it, by year for instance", row.At.Wall().UTC().Format(time.DateOnly), MaxDays)
		}
	}
	return ""
}
