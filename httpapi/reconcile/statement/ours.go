package statement

import (
	"errors"
	"fmt"
	"math"
	"slices"
	"strconv"
	"strings"

	"doorbuster/engine"
)

// Reading says how to read a statement. The zero value reads our own format, and all
// rows.
type Reading struct {
	As  Format  // Auto, CSV (or NDJSON), one of a provider, or Mapped
	Map *Layout // of Mapped
	// Rows to leave out, whatever else they say.
	Kinds         []string // as they stand in the statement
	OrderPrefixes []string // of order numbers
}

// Bounds of what is left out.
const (
	maxFilters     = 32 // of each
	maxFilterBytes = 64
)

// Validate reports everything that is out of bounds.
func (f Reading) Validate() error {
	var errs []error
	if f.As == Mapped && f.Map == nil {
		errs = append(errs, errors.New("the format map has no map of columns"))
	}
	for _, list := range [...]struct {
		what   string
		values []string
	}{{"kinds to ignore", f.Kinds}, {"order prefixes", f.OrderPrefixes}} {
		if len(list.values) > maxFilters {
			errs = append(errs, fmt.Errorf("%d %s are over %d", len(list.values), list.what, maxFilters))
		}
		for i, v := range list.values {
			if (v == "" || len(v) > maxFilterBytes) && slices.Index(list.values, v) == i { // said once
				errs = append(errs, fmt.Errorf("among the %s, %s has not 1 to %d bytes", list.what, quoted(v),
					maxFilterBytes))
			}
		}
	}
	if slices.Contains(f.Kinds, Payment.String()) {
		errs = append(errs, errors.New("the kind payment can't be ignored: nothing would be left to reconcile"))
	}
	return errors.Join(errs...)
}

// foreignKinds are what statements tell of besides payments of orders and refunds:
// nothing that the shop has in its accounts.
var foreignKinds = []string{"payout", "fee", "dispute", "chargeback", "adjustment", "transfer", "interest", "tax",
	"reserve", "withdrawal", "total"}

// totals are what the first cell of a line of sums begins with.
var totals = []string{"total", "subtotal", "sum", "grand total", "合计", "总", "小计"}

// leftOut tells why a row is left out as asked, "" if it is not.
func (f *Reading) leftOut(v *[columns]string) (why string) {
	for _, ignored := range f.Kinds {
		if v[colKind] == ignored {
			return "kind " + ignored + " (left out as asked)"
		}
	}
	for _, prefix := range f.OrderPrefixes {
		if strings.HasPrefix(v[colOrder], prefix) {
			return "order number with " + prefix + " (left out as asked)"
		}
	}
	return ""
}

// notOurs tells why a row can't be about an order of ours, or that f leaves it out;
// "" for what could be ours.
func (f *Reading) notOurs(v *[columns]string) (why string) {
	if why := f.leftOut(v); why != "" {
		return why
	}
	order, kind := v[colOrder], v[colKind]
	trimmed := strings.TrimSpace(kind)
	known := strings.EqualFold(trimmed, Payment.String()) || strings.EqualFold(trimmed, Refund.String())
	switch {
	case slices.Contains(foreignKinds, strings.ToLower(kind)):
		return "kind " + strings.ToLower(kind)
	case couldBeOrder(order), known && strings.TrimSpace(order) == "":
		return ""
	case !known && isBlankOrTotal(v[:]):
		return "total, or an empty row"
	}
	return "order number of another shop or channel"
}

// couldBeOrder reports whether text is an order number of ours, as far as its form
// goes, or was one before a spreadsheet touched it.
func couldBeOrder(text string) bool {
	return engine.ValidOrderNo(strings.ToUpper(strings.Trim(text, " \t\u00a0\u3000'`\"=")))
}

// isBlankOrTotal reports whether cells are all empty, or those of a line of sums.
func isBlankOrTotal(cells []string) bool {
	for _, cell := range cells {
		if cell = strings.ToLower(strings.TrimSpace(cell)); cell == "" {
			continue
		}
		return slices.ContainsFunc(totals, func(word string) bool { return strings.HasPrefix(cell, word) })
	}
	return true
}

// NotOurs counts the rows of a statement that can't be about orders of ours.
type NotOurs struct {
	Tally
	By []NotOursBy `json:"by"` // by reason, at most maxReasons
}

// NotOursBy are those of one reason.
type NotOursBy struct {
	Why string `json:"why"`
	Tally
}

// Tally is a number of things and what they come to.
type Tally struct {
	Count int64 `json:"count"`
	Money []Sum `json:"money"` // by currency, at most MaxCurrencies
}

// Sum is an amount of one currency in minor units.
type Sum struct {
	Currency string `json:"currency"`
	Amount   int64  `json:"amount"`
}

// Add counts one more.
func (t *Tally) Add(currency string, amount int64) {
	t.Count++
	for i := range t.Money {
		if t.Money[i].Currency == currency {
			t.Money[i].Amount = Plus(t.Money[i].Amount, amount)
			return
		}
	}
	if len(t.Money) < MaxCurrencies {
		t.Money = append(t.Money, Sum{strings.Clone(currency), amount}) // a row's is a part of its whole line
	}
}

// Plus adds amounts; what is beyond counting stays at the most that can be counted.
func Plus(a, b int64) int64 {
	switch {
	case b > 0 && a > math.MaxInt64-b:
		return math.MaxInt64
	case b < 0 && a < math.MinInt64-b:
		return math.MinInt64
	}
	return a + b
}

const maxReasons = 2*maxFilters + 16

func (n *NotOurs) add(row *Row) {
	at := slices.IndexFunc(n.By, func(by NotOursBy) bool { return by.Why == row.NotOurs })
	if at < 0 && len(n.By) < maxReasons {
		at = len(n.By)
		n.By = append(n.By, NotOursBy{Why: row.NotOurs, Tally: Tally{Money: []Sum{}}})
	}
	for _, t := range [...]*Tally{&n.Tally, &n.By[at].Tally} {
		if row.Currency != "" {
			t.Add(row.Currency, row.Amount)
		} else {
			t.Count++
		}
	}
}

// foreign fills a row that is not ours with what can be read of its money.
func (r *Row) foreign(why string, v *[columns]string) {
	r.Kind, r.NotOurs = Foreign, why
	if amount, err := strconv.ParseInt(v[colAmount], 10, 64); err == nil && currency(v[colCurrency]) {
		r.Currency, r.Amount = v[colCurrency], amount
	}
}
