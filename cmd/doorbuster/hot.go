package main

import (
	"fmt"

	"github.com/prometheus/client_golang/prometheus"

	"doorbuster/engine"
	"doorbuster/httpapi/wire"
)

const (
	hotShown     = 20   // products that are listed
	hotMetrics   = 10   // of those, in metrics
	hotLooks     = 50.0 // a second, from which one is
	hotAlarms    = 5    // of a kind
	crowdOfStock = 1000 // looks and grabs a minute for each unit put up that are a crowd
)

// hotProducts gives the products that this node is asked for most, and what is planned of
// them.
func (n *node) hotProducts(least float64) []wire.HotProduct {
	all := []wire.HotProduct{}
	at := map[string]int{}
	for _, c := range n.hot.Top(hotShown, least) {
		if engine.ValidID(c.ID) {
			at[c.ID] = len(all)
			all = append(all, wire.HotProduct{SKU: c.ID, PerSecond: c.PerSecond})
		}
	}
	if len(all) == 0 {
		return all
	}
	n.office.View(func(s *engine.State) {
		for _, l := range s.Listings() {
			x := s.SessionOf(l.Session)
			if i, asked := at[l.SKU]; asked && x.State < engine.Ended {
				all[i].Planned = true
				all[i].Stock += l.Stock
				all[i].Available += l.Available
				all[i].Guarded = all[i].Guarded || l.Reservation || l.Ticket || l.Draw > 0 || l.AllowList != ""
			}
		}
	})
	return all
}

// hotAlarmsOf tells of what turns hot though nobody has planned it so.
func hotAlarmsOf(all []wire.HotProduct) (alarms []engine.Alarm) {
	told := map[engine.AlarmName]int{}
	alarm := func(name engine.AlarmName, p *wire.HotProduct, advice, format string, args ...any) {
		if told[name]++; told[name] <= hotAlarms {
			alarms = append(alarms, engine.Alarm{Name: name, About: p.SKU, Detail: fmt.Sprintf(format, args...),
				Advice: advice})
		}
	}
	for i := range all {
		p := &all[i]
		switch {
		case !p.Planned:
			alarm(engine.AlarmHotUnplanned, p, "See who sends them, and plan a session or take the links away.",
				"The product %s is on no plan, and is asked for %.0f times a second at this node.", p.SKU, p.PerSecond)
		case p.Available > 0 && !p.Guarded && p.PerSecond*60 >= crowdOfStock*float64(p.Stock):
			alarm(engine.AlarmHotSmallStock, p, "Put up more, or ask for reservations, tickets or a draw before it "+
				"opens.",
				"The product %s is asked for %.0f times a second at this node, and %d are put up, for whoever comes "+
					"first.", p.SKU, p.PerSecond, p.Stock)
		}
	}
	return alarms
}

// watchHot has what the shoppers' door sees told.
func (n *node) watchHot(b *board) {
	least := n.cfg.Thresholds.HotPerSecond
	b.rooms = append(b.rooms, func() []engine.Alarm {
		if least == 0 {
			return nil
		}
		alarms := hotAlarmsOf(n.hotProducts(least))
		for i := range alarms {
			alarms[i].Node = n.cfg.Node
		}
		return alarms
	})
	gauge := prometheus.NewGaugeVec(prometheus.GaugeOpts{Name: "doorbuster_hot_per_second",
		Help: "Looks and grabs a second at this node, of the products that are asked for most."}, []string{"sku"})
	n.metrics.MustRegister(collectOnce{gauge, func() {
		gauge.Reset()
		for _, c := range n.hot.Top(hotMetrics, hotLooks) {
			if engine.ValidID(c.ID) {
				gauge.WithLabelValues(c.ID).Set(c.PerSecond)
			}
		}
	}}, prometheus.NewCounterFunc(prometheus.CounterOpts{Name: "doorbuster_hot_samples_dropped_total",
		Help: "Samples of what is asked for that found no room: rates of hot products are too low then."},
		func() float64 { return float64(n.hot.Dropped()) }))
}
