package httpapi

import (
	"maps"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"
)

// queries are what may be asked after the path of routes that look for something,
// or that do more without a parameter than with it. There a name that is not
// known, or is there twice, is refused: who misspelt a filter would take all
// orders for the ones that he looked for, who misspelt dry_run would settle.
var queries = map[string][]string{
	"GET /admin/v1/orders":           {"order_no", "shopper", "session", "sku", "state", "from", "to", "cursor", "limit"},
	"GET /admin/v1/refunds":          {"cursor", "limit"},
	"GET /admin/v1/refusals":         {"shopper", "session"},
	"GET /admin/v1/audit":            {"order", "session", "operator", "from", "limit"},
	"GET " + eventsPattern:           {"from", "last", "session", "follow"},
	"GET " + reconciliationsPattern:  {},
	"POST " + reconciliationsPattern: {"name", "note", "dry_run", "from", "to"},
}

// wrongQuery says what a route in queries was asked that it does not take, "" if
// nothing.
func wrongQuery(to *adminRoute, r *http.Request) string {
	known, strict := queries[to.method+" "+to.pattern]
	if !strict {
		return ""
	}
	q, err := url.ParseQuery(r.URL.RawQuery)
	if err != nil {
		return "What follows the path is no query: " + err.Error() + "."
	}
	for _, name := range slices.Sorted(maps.Keys(q)) {
		switch {
		case !slices.Contains(known, name) && len(known) == 0:
			return "Nothing can be asked for here: " + strconv.Quote(name) + " is not known."
		case !slices.Contains(known, name):
			return "There is no parameter " + strconv.Quote(name) + " here. Take some of " + strings.Join(known, ", ") + "."
		case len(q[name]) > 1:
			return "The parameter " + name + " is there more than once."
		}
	}
	return ""
}
