package httpapi

import (
	"encoding/json"
	"regexp"
	"slices"
	"strings"
	"testing"

	"doorbuster/httpapi/auth"
)

var pathValues = regexp.MustCompile(`\{[^}]*\}`)

// pathOfPattern gives a path that a route's pattern or template matches.
func pathOfPattern(pattern string) string {
	path := strings.TrimSuffix(pattern, "{$}")
	path = strings.NewReplacer("{file}", "console.js", "{kind}", "shoppers", "{order_no}", fakeOrderNo, "{name}", "sold_out").Replace(path)
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
		for _, query := range doubt(to.does.query) {
			w := askAdmin(newTestAdmin(t, &fakeOperator{}), to.method, pathOfPattern(to.pattern)+query, "")
			if w.Code != 400 {
				t.Errorf("%s %s%s: %d %.200s", to.method, to.pattern, query, w.Code, w.Body)
			}
		}
	}
	for _, to := range shopperRoutes[routeNone+1:] {
		for _, query := range doubt(to.query) {
			if got := ask(newTestShopper(t, &fakeSeller{}), to.method, pathOfPattern(to.template)+query, ada, "").StatusCode(); got != 400 {
				t.Errorf("%s %s%s: %d", to.method, to.template, query, got)
			}
		}
	}
}

// TestTheDescriptionFollowsTheTable: who may ask, what the body is, and whether a
// key is taken, are described as the table of routes has them.
func TestTheDescriptionFollowsTheTable(t *testing.T) {
	var document struct {
		Paths map[string]map[string]json.RawMessage
	}
	if err := json.Unmarshal(openAPIDocument, &document); err != nil {
		t.Fatal(err)
	}
	for _, to := range adminRoutes {
		var operation struct {
			Security    []any
			Parameters  []map[string]any
			RequestBody struct{ Content map[string]any }
		}
		at := to.method + " " + to.pattern
		if err := json.Unmarshal(document.Paths[strings.TrimSuffix(to.pattern, "{$}")][strings.ToLower(to.method)], &operation); err != nil {
			t.Fatalf("%s: %v", at, err)
		}
		if open := len(operation.Security) == 0; open != (to.needs == auth.Anybody) {
			t.Errorf("%s needs %q and is described with security %v", at, to.needs, operation.Security)
		}
		key := slices.ContainsFunc(operation.Parameters, func(p map[string]any) bool { return p["$ref"] == "#/components/parameters/OperatorKey" })
		if key != (to.again == keyed) {
			t.Errorf("%s takes a key: %t, described: %t", at, to.again == keyed, key)
		}
		for kind := range operation.RequestBody.Content {
			if !slices.Contains(bodies[to.takes].types, kind) {
				t.Errorf("%s is described with a body of %s, and refuses it", at, kind)
			}
		}
		if described := len(operation.RequestBody.Content) > 0; described != (to.takes != noBody) {
			t.Errorf("%s takes a body: %t, described: %t", at, to.takes != noBody, described)
		}
		if (to.again == reads) != (to.method == "GET") {
			t.Errorf("%s: the table says of doing it again: %d", at, to.again)
		}
	}
}
