package httpapi

import (
	"strings"
	"testing"

	"pgregory.net/rapid"

	"doorbuster/engine"
)

// TestMatchKnowsEveryRoute: the hand-written matcher and the table agree.
func TestMatchKnowsEveryRoute(t *testing.T) {
	fill := strings.NewReplacer("{session}", "fans-day-10", "{sku}", "mask-50", "{order_no}", fakeOrderNo,
		"{code}", fakeCode, "{key}",
		"k%2F1", "{file}", "app.js")
	for r := routeNone + 1; r < routes; r++ {
		path := fill.Replace(shopperRoutes[r].template)
		got, m := match([]byte(path))
		if shopperRoutes[r].method == "DELETE" {
			got = got.deletes()
		}
		if got != r {
			t.Errorf("%s is route %d; want %d", path, got, r)
		}
		if r == routeGrab && (string(m.listing) != "fans-day-10/skus/mask-50" || string(m.session) != "fans-day-10" ||
			string(m.sku) != "mask-50") {
			t.Errorf("a grab of %s, session %s, SKU %s", m.listing, m.session, m.sku)
		}
		for _, other := range []string{path + "/", "/" + path, path + "x/y", strings.ToUpper(path), path[1:]} {
			if got, _ := match([]byte(other)); got == r && got != routeGrabByKey && other != "/shop/" {
				t.Errorf("%s is route %d too", other, r)
			}
		}
	}
}

func TestValidIDIsTheEngines(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		id := rapid.OneOf(rapid.StringMatching(`[A-Za-z0-9._-]{0,70}`), rapid.String()).Draw(t, "id")
		if validID([]byte(id)) != engine.ValidID(id) {
			t.Fatalf("%q: %t here", id, validID([]byte(id)))
		}
	})
}

func TestMatchAllocatesNothing(t *testing.T) {
	path := []byte("/v1/sessions/" + strings.Repeat("s", 64) + "/skus/" + strings.Repeat("k", 64) + "/grab")
	if n := testing.AllocsPerRun(100, func() {
		if r, _ := match(path); r != routeGrab {
			t.Fatal("no grab")
		}
	}); n != 0 {
		t.Errorf("%v allocations", n)
	}
}
