package warnings

import (
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"

	"doorbuster/cmd/doorbuster/nodetest"
)

// looks asks for a product so often a second, until stop is called.
func looks(t *testing.T, s *nodetest.Shop, listing string, perSecond int) (stop func()) {
	t.Helper()
	const hands = 8
	end := make(chan struct{})
	var all sync.WaitGroup
	client := &http.Client{Transport: &http.Transport{MaxIdleConnsPerHost: hands}}
	for range hands {
		all.Go(func() {
			tick := time.NewTicker(time.Second * hands / time.Duration(perSecond))
			defer tick.Stop()
			for {
				select {
				case <-end:
					return
				case <-tick.C:
				}
				if resp, err := client.Get(s.ListingURL(listing)); err == nil {
					_ = resp.Body.Close()
				}
			}
		})
	}
	stop = sync.OnceFunc(func() { close(end); all.Wait(); client.CloseIdleConnections() })
	t.Cleanup(stop) // a test that fails ends before it stops
	return stop
}

// TestUnplannedProductTurnsHot: a product that is on no plan is looked at a thousand times a
// second: whoever is on duty hears of it, and the list has it; and it is
// over when the crowd has gone.
func TestUnplannedProductTurnsHot(t *testing.T) {
	phone := nodetest.NewEar(t)
	s := nodetest.Open(t, t.TempDir(), "--config", nodetest.TempFile(t,
		"warnings:\n  receivers:\n"+phone.Receiver("phone", "wake")))
	s.Apply(strings.Replace(nodetest.DayPlan("", 10), "products:\n",
		"products:\n  - {id: surprise, list_price: 100, currency: CNY}\n", 1))
	began := time.Now()
	stop := looks(t, s, "day/surprise", 1000)
	s.Eventually(func() bool { return phone.Of("hot_unplanned") == "begins" },
		func() string { return s.Ops("GET", "/admin/v1/hot", "").Body })
	t.Logf("told after %s", time.Since(began))
	if m := phone.Last("hot_unplanned"); m.About != "surprise" || !strings.Contains(m.Text, "is on no plan") {
		t.Errorf("%+v", m)
	}
	s.Raised("hot_unplanned", "surprise")
	if said := s.MustRun("alarms"); !strings.Contains(said, "wake hot_unplanned") {
		t.Error(said)
	}
	if said := s.MustRun("hot"); !strings.Contains(said, "surprise") {
		t.Error(said)
	}
	if has := s.Ops("GET", "/metrics", "").Body; !strings.Contains(has, `doorbuster_hot_per_second{sku="surprise"}`) {
		t.Error("no metric of it")
	}
	stop()
	s.Eventually(func() bool { return phone.Of("hot_unplanned") == "begins; over" },
		func() string { return "it is never over: " + phone.Of("hot_unplanned") })
	s.Healed("hot_unplanned")
}

// TestWhatIsInNoCatalogue: strangers who look at ids of their own wake nobody and name
// nothing: it is one alarm, and one label.
func TestWhatIsInNoCatalogue(t *testing.T) {
	phone, mail := nodetest.NewEar(t), nodetest.NewEar(t)
	s := nodetest.Open(t, t.TempDir(), "--config", nodetest.TempFile(t, "warnings:\n  hot_per_second: 100\n  "+
		"receivers:\n"+phone.Receiver("phone", "wake")+mail.Receiver("mail", "tell")))
	s.Apply(nodetest.DayPlan("", 10))
	stops := []func(){looks(t, s, "day/made-up-1", 400), looks(t, s, "day/made-up-2", 400)}
	s.Eventually(func() bool { return mail.Of("hot_unknown") == "begins" },
		func() string { return s.Ops("GET", "/admin/v1/hot", "").Body })
	s.Raised("hot_unknown")
	if m := mail.Last("hot_unknown"); m.About != "" || !strings.Contains(m.Text, "in no catalogue") {
		t.Errorf("%+v", m)
	}
	if told := phone.Of("hot_unknown") + phone.Of("hot_unplanned"); told != "" {
		t.Errorf("somebody was woken: %s", told)
	}
	if has := s.Ops("GET", "/metrics", "").Body; strings.Contains(has, "made-up") ||
		!strings.Contains(has, `doorbuster_hot_per_second{sku="(in no catalogue)"}`) {
		t.Error("strangers make labels")
	}
	if said := s.MustRun("hot"); !strings.Contains(said, "made-up-1") {
		t.Error(said)
	}
	for _, stop := range stops {
		stop()
	}
	s.Healed("hot_unknown")
}

// TestSmallStockForACrowd: few units put up for whoever comes first, and a crowd that looks.
func TestSmallStockForACrowd(t *testing.T) {
	s := nodetest.Open(t, t.TempDir())
	s.Apply(nodetest.DayPlan("", 10))
	stop := looks(t, s, "day/sku-1", 1000)
	s.Raised("hot_small_stock", "sku-1")
	if has := s.MustRun("alarms"); strings.Contains(has, "hot_unplanned") {
		t.Error(has)
	}
	stop()
	s.Healed("hot_small_stock")
}
