// Package money knows the currencies of ISO 4217, and reads and writes amounts as
// people do: with decimals, where all else here counts minor units.
package money

import (
	"strconv"
	"strings"
	"sync"

	"golang.org/x/text/currency"
)

// moreCurrencies are those of ISO 4217 that the library's table of what is paid in lacks.
const moreCurrencies = "MRU STN SVC UYW VED VES SLE XAD XCG ZWG"

var currencies = sync.OnceValue(func() map[string]bool {
	known := map[string]bool{}
	for all := currency.Query(); all.Next(); {
		known[all.Unit().String()] = true
	}
	for code := range strings.FieldsSeq(moreCurrencies) {
		known[code] = true
	}
	return known
})

// Known reports whether code is one of ISO 4217 that something is paid in.
func Known(code string) bool { return currencies()[code] }

// decimals are how many a currency has (ISO 4217), where they are not two.
var decimals = func() map[string]int {
	all := map[string]int{}
	for n, codes := range map[int]string{
		0: "BIF CLP DJF GNF ISK JPY KMF KRW PYG RWF UGX UYI VND VUV XAF XOF XPF",
		3: "BHD IQD JOD KWD LYD OMN TND",
		4: "CLF UYW",
	} {
		for code := range strings.FieldsSeq(codes) {
			all[code] = n
		}
	}
	return all
}()

// Decimals is how many decimals amounts of a currency have.
func Decimals(currency string) int {
	if currency == "CNY" { // most of those that are asked for
		return 2
	}
	if n, odd := decimals[currency]; odd {
		return n
	}
	return 2
}

// Minor reads an amount with so many decimals at most, besides zeros; nothing is 0.
func Minor(text string, decimals int) (amount int64, ok bool) {
	rest, negative := strings.CutPrefix(text, "-")
	if !negative {
		rest = strings.TrimPrefix(rest, "+")
	}
	if rest == "" {
		return 0, text == ""
	}
	seen, point := 0, -1 // decimals that were seen; where the point is
	for i := range len(rest) {
		c := rest[i]
		switch {
		case c == '.' && point < 0 && i > 0 && i+1 < len(rest):
			point = i
			continue
		case c < '0' || c > '9':
			return 0, false
		case point >= 0 && seen == decimals:
			if c != '0' {
				return 0, false
			}
			continue
		case amount > 1e16:
			return 0, false
		case point >= 0:
			seen++
		}
		amount = amount*10 + int64(c-'0')
	}
	for ; seen < decimals; seen++ {
		if amount > 1e16 {
			return 0, false
		}
		amount *= 10
	}
	if negative {
		amount = -amount
	}
	return amount, true
}

// Text is an amount with so many decimals, as people write it.
func Text(amount int64, decimals int) string {
	text := strconv.FormatInt(amount, 10)
	if decimals == 0 {
		return text
	}
	sign := ""
	if amount < 0 {
		sign, text = "-", text[1:]
	}
	if short := decimals + 1 - len(text); short > 0 {
		text = strings.Repeat("0", short) + text
	}
	return sign + text[:len(text)-decimals] + "." + text[len(text)-decimals:]
}
