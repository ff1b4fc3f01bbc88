package httpapi

import (
	"regexp"
	"strings"
	"testing"
)

var pathValues = regexp.MustCompile(`\{[^}]*\}`)

// pathOfPattern gives a path that a route's pattern or template matches.
func pathOfPattern(pattern string) string {
	path := strings.TrimSuffix(pattern, "{$}")
	path = strings.NewReplacer("{file}", "app.js", "{kind}", "shoppers", "{order_no}", fakeOrderNo,
		"{code}", fakeCode, "{name}",
		"sold_out").Replace(path)
	return pathValues.ReplaceAllString(path, "any")
}

// TestEveryRouteRefusesWhatItDoesNotKnow: a parameter that a route does not know,
// or is there twice, is refused before anything is done, on both APIs. Who
// misspelt dry_run would apply a plan; who misspelt level would block.
func TestEveryRouteRefusesWhatItDoesNotKnow(t *testing.T) {
	doubt := func(known query) []string {
		queries := []string{"?surely_unknown=1", "?surely_unknown", "?%zz"}
		for _, name := range known.names() {
			queries = append(queries, "?"+name+"=1&"+name+"=1")
			if name != "cursor" { // an empty one is the beginning
				queries = append(queries, "?"+name)
			}
		}
		return queries
	}
	for _, to := range adminRoutes {
		if to.does.asked == nil { // the console's views, whose parameters are the page's
			continue
		}
		for _, query := range doubt(to.does.query) {
			w := askAdmin(newTestAdmin(t, &fakeOperator{}), to.method, pathOfPattern(to.pattern)+query, "")
			if w.Code != 400 {
				t.Errorf("%s %s%s: %d %.200s", to.method, to.pattern, query, w.Code, w.Body)
			}
		}
	}
	for r, to := range shopperRoutes {
		if route(r) == routeNone || route(r).ofStorefront() { // links that are shared get parameters on the way
			continue
		}
		for _, query := range doubt(to.query) {
			if got := ask(newTestShopper(t, &fakeSeller{}), to.method, pathOfPattern(to.template)+query, ada,
				"").StatusCode(); got != 400 {
				t.Errorf("%s %s%s: %d", to.method, to.template, query, got)
			}
		}
	}
}
