package main

import (
	"fmt"

	"github.com/prometheus/client_golang/prometheus"

	"doorbuster/engine"
	"doorbuster/httpapi/wire"
)

const (
	hotSeen      = 1000 // ids that are looked at: strangers can ask for any, and crowd out what there is
	hotShown     = 20   // products that are listed
	hotStrange   = 5    // of those, in no catalogue
	hotMetrics   = 10   // in metrics
	hotLooks     = 50.0 // a second, from which one is
	hotAlarms    = 5    // of a kind
	crowdOfStock = 1000 // looks and grabs a minute for each unit put up that are a crowd

	// hotNowhere is the label of all that is in no catalogue: an id of nobody's, as it has brackets.
	hotNowhere = "(in no catalogue)"
)

// hotProducts gives the products that this node is asked for most, and what is planned of
// them. Few of them are in no catalogue: those are whatever strangers thought of.
func (n *node) hotProducts(least float64) []wire.HotProduct {
	all := []wire.HotProduct{}
	at := map[string]int{}
	n.office.View(func(s *engine.State) {
		listed := map[string]bool{}
		for _, l := range s.Listings() {
			listed[l.SKU] = true
		}
		strange := 0
		for _, c := range n.hot.Top(hotSeen, least) {
			if !engine.ValidID(c.ID) {
				continue
			}
			known := listed[c.ID] || s.Product(c.ID) != nil
			if !known {
				strange++
			}
			if len(all) < hotShown && (known || strange <= hotStrange) {
				at[c.ID] = len(all)
				all = append(all, wire.HotProduct{SKU: c.ID, PerSecond: c.PerSecond, Known: known})
			}
		}
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

// hotAlarmsOf tells of what turns hot though nobody has planned it so. What is in no
// catalogue is one alarm, whatever it is called and however often that changes: any stranger
// can ask for it.
func hotAlarmsOf(all []wire.HotProduct) (alarms []engine.Alarm) {
	told := map[engine.AlarmName]int{}
	alarm := func(name engine.AlarmName, about, advice, format string, args ...any) {
		if told[name]++; told[name] <= hotAlarms {
			alarms = append(alarms, engine.Alarm{Name: name, About: about, Detail: fmt.Sprintf(format, args...),
				Advice: advice})
		}
	}
	strange := false
	for i := range all {
		p := &all[i]
		switch {
		case !p.Known:
			if !strange {
				alarm(engine.AlarmHotUnknown, "", "See who sends them: the link may be old, or wrong.",
					"A product that is in no catalogue is asked for %.0f times a second at this node: %.40q.",
					p.PerSecond, p.SKU)
			}
			strange = true
		case !p.Planned:
			alarm(engine.AlarmHotUnplanned, p.SKU, "See who sends them, and plan a session or take the links away.",
				"The product %s is on no plan, and is asked for %.0f times a second at this node.", p.SKU, p.PerSecond)
		case p.Available > 0 && !p.Guarded && p.PerSecond*60 >= crowdOfStock*float64(p.Stock):
			alarm(engine.AlarmHotSmallStock, p.SKU,
				"Put up more, or ask for reservations, tickets or a draw before it opens.",
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
		Help: "Looks and grabs a second at this node, of the products that are asked for most; what is in no " +
			"catalogue is one."}, []string{"sku"})
	n.metrics.MustRegister(collectOnce{gauge, func() {
		gauge.Reset()
		all := n.hotProducts(hotLooks)
		for _, p := range all[:min(len(all), hotMetrics)] {
			if p.Known {
				gauge.WithLabelValues(p.SKU).Set(p.PerSecond)
			} else {
				gauge.WithLabelValues(hotNowhere).Add(p.PerSecond)
			}
		}
	}}, prometheus.NewCounterFunc(prometheus.CounterOpts{Name: "doorbuster_hot_samples_dropped_total",
		Help: "Samples of what is asked for that found no room: rates of hot products are too low then."},
		func() float64 { return float64(n.hot.Dropped()) }))
}
