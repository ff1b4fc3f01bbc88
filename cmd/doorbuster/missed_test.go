package main

import (
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"regexp"
	"strings"
	"testing"
	"time"

	"doorbuster/cmd/doorbuster/nodetest"
	"doorbuster/engine"
)

type asker struct{ shopper, key, from, language string }

// raw sends a request as bytes and gives the answer as bytes, but for the Date,
// which is the clock's.
func raw(s *nodetest.Shop, method, path string, by asker, body string) string {
	s.T.Helper()
	c, err := net.Dial("tcp", strings.TrimPrefix(s.HTTP, "http://"))
	if err != nil {
		s.T.Fatal(err)
	}
	defer c.Close()
	if err := c.SetDeadline(time.Now().Add(nodetest.Patience)); err != nil {
		s.T.Fatal(err)
	}
	fmt.Fprintf(c, "%s %s HTTP/1.1\r\nHost: shop.test\r\nConnection: close\r\nX-Shopper-Id: %s\r\nIdempotency-Key: "+
		"%s\r\nX-Forwarded-For: %s\r\nAccept-Language: %s\r\nContent-Length: %d\r\n\r\n%s",
		method, path, by.shopper, by.key, by.from, by.language, len(body), body)
	answer, err := io.ReadAll(c)
	if err != nil {
		s.T.Fatal(err)
	}
	return dateLine.ReplaceAllString(string(answer), "")
}

var dateLine = regexp.MustCompile(`(?m)^Date: .*\r\n`)

// reasons gives how many grabs were answered for a reason.
func reasons(s *nodetest.Shop, why engine.Reason) string {
	return s.Metric(fmt.Sprintf("doorbuster_grab_reasons_total{reason=%q}", why))
}

func TestMissedTellsNothing(t *testing.T) {
	t.Parallel()
	missedForAll(t, nil)
}

// missedForAll produces every reason behind missed for real, in both languages,
// and compares the answers byte for byte. freeze breaks the listing "frozen";
// nil where this build can't.
func missedForAll(t *testing.T, freeze func(*node)) {
	service := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		var q struct{ Shopper string }
		if json.NewDecoder(r.Body).Decode(&q) == nil && strings.HasPrefix(q.Shopper, "suspect") {
			io.WriteString(w, `{"level":"block"}`)
			return
		}
		io.WriteString(w, `{"level":"allow"}`)
	}))
	t.Cleanup(service.Close)
	s, n, closing := openBare(t, t.TempDir(), func(c *Config) {
		c.TrustedProxies, c.Risk.URL = []string{"127.0.0.1"}, service.URL
		c.Risk.Timeout, c.TicketTTL = 5*time.Second, time.Second
		c.RateLimit.Shopper.PerSecond, c.RateLimit.Shopper.Burst = 0.001, 3
		c.RateLimit.Address.PerSecond, c.RateLimit.Address.Burst = 0.001, 2
	})
	defer closing()
	s.Apply(nodetest.PlanOf([]string{"{sku: mask, price: 100, stock: 100000}",
		"{sku: few, price: 100, stock: 1, reservation: true}",
		"{sku: ticket, price: 100, stock: 9, ticket: true}", "{sku: frozen, price: 100, stock: 9}"},
		"admission_multiple: 1"))
	list := func(shopper string) {
		edit := engine.Command{Kind: engine.CmdEditRoster, Operator: "test", Edit: engine.RosterEdit{
			Roster: engine.RosterID{Kind: engine.RosterRiskShopper}, Action: engine.RosterPut,
			Rows: []engine.RosterEntry{{ID: []byte(shopper), Level: engine.LevelBlock}}}}
		if _, err := n.office.AskFor(t.Context(), engine.EncodeBatch(engine.BatchHeader{}, edit)); err != nil {
			t.Fatal(err)
		}
	}
	list("listed-en")
	list("listed-zh")
	addresses := 0
	elsewhere := func() string { addresses++; return fmt.Sprintf("198.51.%d.%d", 100+addresses/250, 1+addresses%250) }
	grab := func(shopper, sku, language, body string) string {
		return raw(s, "POST", "/v1/sessions/day/skus/"+sku+"/grab",
			asker{shopper, nodetest.NewKey(), elsewhere(), language}, body)
	}
	ticket := func(shopper, sku string) string {
		_, after, _ := strings.Cut(raw(s, "POST", "/v1/sessions/day/skus/"+sku+"/ticket",
			asker{shopper, nodetest.NewKey(), elsewhere(), "en"}, ""), `{"ticket":"`)
		ticket, _, _ := strings.Cut(after, `"`)
		return ticket
	}
	if freeze != nil {
		freeze(n)
	}
	causes := []struct {
		name string
		why  engine.Reason // ReasonNone: it is no grab
		miss func(language string) string
	}{
		{"risk list", engine.ReasonRisk, func(in string) string { return grab("listed-"+in, "mask", in, "") }},
		{"risk list, and a unit let go before", engine.ReasonRisk, func(in string) string {
			_, after, _ := strings.Cut(grab("once-"+in, "mask", in, ""), `"order_no":"`)
			no, _, _ := strings.Cut(after, `"`)
			if a := s.CancelOrder("once-"+in, no); a.Status != 200 {
				t.Errorf("%d %s", a.Status, a.Body)
			}
			list("once-" + in)
			return grab("once-"+in, "mask", in, "")
		}},
		{"risk service", engine.ReasonRisk, func(in string) string { return grab("suspect-"+in, "mask", in, "") }},
		{"rate of the shopper", engine.ReasonRate, func(in string) string {
			for range 3 {
				ticket("hasty-"+in, "mask") // counts, and brings nothing
			}
			return grab("hasty-"+in, "mask", in, "")
		}},
		{"rate of the address", engine.ReasonRate, func(in string) string {
			from := elsewhere()
			for i := range 2 {
				raw(s, "POST", "/v1/sessions/day/skus/mask/grab",
					asker{fmt.Sprint("office", i, in), nodetest.NewKey(), from, in}, "")
			}
			return raw(s, "POST", "/v1/sessions/day/skus/mask/grab", asker{"office" + in, nodetest.NewKey(), from, in},
				"")
		}},
		{"admission quota", engine.ReasonQuota, func(in string) string {
			grab("first", "few", in, "") // is let in, and has not reserved
			return grab("second-"+in, "few", in, "")
		}},
		{"forged ticket", engine.ReasonTicket, func(in string) string {
			return grab("forger-"+in, "ticket", in, nodetest.With(strings.Repeat("x", 44)))
		}},
		{"borrowed ticket", engine.ReasonTicket, func(in string) string {
			return grab("borrower-"+in, "ticket", in, nodetest.With(ticket("lender-"+in, "ticket")))
		}},
		{"expired ticket", engine.ReasonTicket, func(in string) string {
			late := ticket("late-"+in, "ticket")
			over := time.Now().Add(time.Second)
			s.Eventually(func() bool { return time.Now().After(over) }, func() string { return "time stands still" })
			return grab("late-"+in, "ticket", in, nodetest.With(late))
		}},
		{"overload", engine.ReasonOverload, func(in string) string {
			n.office.Blocked(true)
			defer n.office.Blocked(false)
			return grab("crowd-"+in, "mask", in, "")
		}},
		{"waiting room", engine.ReasonDepth, func(in string) (missed string) {
			if a := s.Ops("PATCH", "/admin/v1/switches",
				`{"switches":{"waiting_depth":1,"rate_limits":0,"risk_service":false}}`); a.Status != 200 {
				t.Fatalf("%d %s", a.Status, a.Body)
			}
			defer s.Ops("POST", "/admin/v1/switches/normal", "")
			s.Eventually(func() bool {
				for _, answer := range nodetest.Crowd(32, func(i int) string {
					return raw(s, "POST", "/v1/sessions/day/skus/mask/grab",
						asker{nodetest.NewKey(), nodetest.NewKey(), "198.51.99.1", in}, "")
				}) {
					if strings.Contains(answer, `"missed"`) {
						missed = answer
					}
				}
				return missed != ""
			}, func() string { return "nobody finds the waiting room full" })
			return missed
		}},
		{"deadline", engine.ReasonNone, func(in string) string {
			return raw(s, "GET", "/v1/grabs/"+nodetest.NewKey()+"?deadline=1", asker{"patient", "k", elsewhere(), in},
				"")
		}},
	}
	if freeze != nil {
		causes = append(causes, causes[0])
		causes[len(causes)-1].name, causes[len(causes)-1].why = "frozen listing", engine.ReasonFrozen
		causes[len(causes)-1].miss = func(in string) string { return grab("cold-"+in, "frozen", in, "") }
	}
	for _, in := range []string{"en", "zh"} {
		want, first := "", ""
		for _, c := range causes {
			before := reasons(s, c.why)
			got := c.miss(in)
			if c.why != engine.ReasonNone && reasons(s, c.why) == before {
				t.Errorf("%s: no grab was answered for %s: %s", c.name, c.why, got)
			}
			if want == "" {
				want, first = got, c.name
			}
			if got != want || !strings.Contains(got, `{"code":"missed",`) {
				t.Errorf("%s, in %s:\n%s\n%s:\n%s", c.name, in, got, first, want)
			}
		}
	}
}
