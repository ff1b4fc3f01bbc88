package plan

import (
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"
	"time"

	"doorbuster/engine"
)

// noon is when the tests take place.
func noon() time.Time { return time.Date(2026, 9, 18, 12, 0, 0, 0, time.UTC) }

func mustParse(t *testing.T, text string) *Result {
	t.Helper()
	result, problems := Parse([]byte(text), Options{Now: noon(), File: "plan.yaml"})
	if len(problems) > 0 {
		t.Fatalf("refused:\n%v", problems)
	}
	return result
}

const contractPlan = `
products:
  - id: mask-50
    name: {en: "Surgical masks, box of 50", zh: "医用口罩 50只装"}
    list_price: 4900            # minor units
    currency: CNY
sales:
  - id: fans-day
    name: {en: "Fans' Day", zh: "粉丝节"}
    timezone: Asia/Shanghai
    sessions:
      - id: fans-day-10
        start: now              # or RFC 3339, or "+30s"; resolved once, when first applied
        duration: 1h
        pay_within: 15m
        pay_grace: 0s           # 2m unless said
        limit_per_shopper: 1    # across the session's listings
        admission_multiple: 20  # 0 = no quota
        listings:
          - sku: mask-50
            price: 100
            stock: 1000
            limit_per_shopper: 1
`

func TestParseGivesThePlan(t *testing.T) {
	got := mustParse(t, contractPlan).Plan
	want := &engine.Plan{
		Now: engine.TimeOf(noon()),
		Products: []engine.Product{{
			ID: "mask-50", Name: engine.Text{{Lang: "en", Text: "Surgical masks, box of 50"},
				{Lang: "zh", Text: "医用口罩 50只装"}},
			ListPrice: 4900, Currency: "CNY",
		}},
		Sales: []engine.SalePlan{{
			Sale: engine.Sale{ID: "fans-day", Name: engine.Text{{Lang: "en", Text: "Fans' Day"},
				{Lang: "zh", Text: "粉丝节"}}, Timezone: "Asia/Shanghai"},
			Sessions: []engine.SessionPlan{{
				SessionSpec: engine.SessionSpec{
					ID: "fans-day-10", StartSpec: "now", Start: engine.TimeOf(noon()),
					End:       engine.TimeOf(noon().Add(time.Hour)),
					PayWithin: 15 * time.Minute, LimitPerShopper: 1, AdmissionMultiple: 20, Publish: true,
				},
				Listings: []engine.ListingSpec{{SKU: "mask-50", Price: 100, Stock: 1000, Shown: -1, LimitPerShopper: 1,
					SortOrder: 1}},
			}},
		}},
	}
	if !reflect.DeepEqual(got, want) {
		t.Errorf("got  %+v\nwant %+v", got, want)
	}
}

func TestExamplesParse(t *testing.T) {
	files, err := filepath.Glob("../../examples/*.yaml")
	if err != nil || len(files) == 0 {
		t.Fatalf("no examples: %v", err)
	}
	for _, file := range files {
		text, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		if !strings.Contains(string(text), "sales:") {
			continue // a node's config
		}
		if _, problems := Parse(text, Options{Now: noon(), File: file}); len(problems) > 0 {
			t.Error(problems)
		}
	}
}
