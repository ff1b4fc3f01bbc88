package bench

import (
	"cmp"
	"fmt"
	"slices"
	"strings"
	"time"
)

// RushReport is what came of a rush.
type RushReport struct {
	Config      RushConfig  `json:"config"`
	InProcess   bool        `json:"in_process"` // the node ran in this process
	Environment Environment `json:"environment"`
	Started     time.Time   `json:"started"`
	Interrupted bool        `json:"interrupted"`

	Totals
	// Seconds is from the first grab until the last follow-up was answered.
	Seconds float64 `json:"seconds"`
	// GrabsPerSecond is Grabs over the whole run; with returns and thinking
	// time it is well below what the shop can take.
	GrabsPerSecond float64 `json:"grabs_per_second"`
	// ArrivalSeconds is until the last shopper had sent their first grab, and
	// ArrivalsPerSecond their number over it.
	ArrivalSeconds    float64 `json:"arrival_seconds"`
	ArrivalsPerSecond float64 `json:"arrivals_per_second"`

	Outcomes []Outcome `json:"outcomes"`

	// Latency of the first answer to a grab. In the open loop it counts from
	// the moment the grab was meant to be sent.
	Latency struct {
		All     Percentiles `json:"all"`
		Granted Percentiles `json:"granted"` // waitlisted too
		Refused Percentiles `json:"refused"` // any no, errors too
	} `json:"latency"`

	PayUnanswered int64           `json:"pay_unanswered"` // payments never confirmed nor refused
	Lag           Lag             `json:"generator_lag"`  // of the open loop
	Strike        *StrikeReport   `json:"strike,omitempty"`
	ClockAheadNS  int64           `json:"clock_ahead_ns"` // the shop's wall clock less ours
	Cashier       *CashierReport  `json:"cashier,omitempty"`
	Listings      []ListingReport `json:"listings"`
	Verdict       Verdict         `json:"verdict"`
}

// Outcome is how many grabs ended in a code.
type Outcome struct {
	Code  string  `json:"code"`
	Count int64   `json:"count"`
	Share float64 `json:"share"`
}

// Lag is how late the generator sent what was due. It covers both a generator
// that could not keep up and one whose connections were all waiting for the
// shop; latencies contain it.
type Lag struct {
	Percentiles
	// Behind says that one grab in a hundred left over 10 ms late: then the
	// rate was more than this many connections could carry.
	Behind bool `json:"behind"`
}

// ListingReport is a listing's part in a rush.
type ListingReport struct {
	Listing
	Before Counts `json:"before"`
	After  Counts `json:"after"`
	// Granted is units told granted; Resold those beyond what was available at
	// the start: units that were released and sold again.
	Granted int64 `json:"granted"`
	Resold  int64 `json:"resold"`
	// SoldOutSeconds is when all that was available at the start had been told
	// granted; 0 if that was never so.
	SoldOutSeconds float64 `json:"sold_out_seconds"`
	// FirstRefusedSeconds is when sold_out was first heard; 0 if never.
	FirstRefusedSeconds float64 `json:"first_refused_seconds"`
}

// OK reports whether every check of the verdict held.
func (r *RushReport) OK() bool { return r.Verdict.OK }

// fill takes over what the crowd counted.
func (r *crowd) fill(p *RushReport) {
	t := r.tally
	p.Totals = t.Totals
	p.Seconds = r.ended.Seconds()
	p.GrabsPerSecond = float64(p.Grabs) / r.ended.Seconds()
	p.ArrivalSeconds = time.Duration(t.lastArrival.Load()).Seconds()
	if p.ArrivalSeconds > 0 {
		p.ArrivalsPerSecond = float64(p.Shoppers) / p.ArrivalSeconds
	}
	var sum int64
	for _, n := range t.outcomes {
		sum += n
	}
	for code, n := range t.outcomes {
		p.Outcomes = append(p.Outcomes, Outcome{Code: code, Count: n, Share: float64(n) / float64(sum)})
	}
	slices.SortFunc(p.Outcomes, func(a, b Outcome) int {
		return cmp.Or(cmp.Compare(b.Count, a.Count), strings.Compare(a.Code, b.Code))
	})
	p.Latency.All = percentilesOf(t.all.sum())
	p.Latency.Granted = percentilesOf(t.yes.sum())
	p.Latency.Refused = percentilesOf(t.no.sum())
	for _, o := range r.testimony.orders() {
		if o.pay.sentAt > 0 && !o.payTaken {
			p.PayUnanswered++
		}
	}
	p.PayUnanswered = max(0, p.PayUnanswered-p.PayRefused)
	p.Lag.Percentiles = percentilesOf(t.lag.sum())
	p.Lag.Behind = p.Lag.P99 > 10
	p.ClockAheadNS = int64(r.serverAhead)
}

// listings reports on each listing.
func (v *inquest) listings() []ListingReport {
	r := v.crowd
	all := make([]ListingReport, len(r.cfg.Listings))
	orders := r.testimony.orders()
	slices.SortFunc(orders, func(a, b *told) int { return cmp.Compare(a.heardAt, b.heardAt) })
	for i, l := range r.cfg.Listings {
		p := &all[i]
		p.Listing, p.Before = l, v.before[i]
		if v.after != nil {
			p.After = v.after[i]
		}
		for _, o := range orders {
			if o.listing != i {
				continue
			}
			p.Granted += int64(o.quantity)
			if p.SoldOutSeconds == 0 && p.Granted >= p.Before.Available && p.Before.Available > 0 {
				p.SoldOutSeconds = o.heardAt.Seconds()
			}
		}
		p.Resold = max(0, p.Granted-p.Before.Available-max(0, p.After.Stock-p.Before.Stock))
		p.FirstRefusedSeconds = time.Duration(r.soldOut[i].Load()).Seconds()
	}
	return all
}

func (r *RushReport) write(s *sheet) {
	loop := fmt.Sprintf("closed loop, %d connections", r.Config.Connections)
	if r.Config.Rate > 0 {
		loop = fmt.Sprintf("open loop, %.0f arrivals/s, up to %d connections", r.Config.Rate, r.Config.Connections)
	}
	s.put("RUSH\t%d shoppers, %s, seed %d\n", r.Config.Shoppers, loop, r.Config.Seed)
	if r.Interrupted {
		s.put("\tinterrupted after %d shoppers\n", r.Shoppers)
	}
	s.put("\nOUTCOME\tGRABS\tSHARE\n")
	for _, o := range r.Outcomes {
		s.put("%s\t%d\t%.2f%%\n", o.Code, o.Count, 100*o.Share)
	}
	s.put("all\t%d\tof %d shoppers\n", r.Grabs, r.Shoppers)
	s.some("(first told processing)\t%d\t\n", r.Processing)
	s.put("\n")
	s.times("LATENCY", []timed{{"granted", r.Latency.Granted}, {"refused", r.Latency.Refused}, {"all", r.Latency.All},
		{"generator lag", r.Lag.Percentiles}})
	if r.Lag.Behind {
		s.put("the generator fell behind: the rate was more than %d connections could carry; latencies contain the "+
			"lag\n", r.Config.Connections)
	}
	if r.Strike != nil {
		s.put("\n")
		r.Strike.write(s)
	}
	s.put("\nTHROUGHPUT\t%.0f arrivals/s for %.2f s; %.0f grabs/s over the whole %.2f s\n",
		r.ArrivalsPerSecond, r.ArrivalSeconds, r.GrabsPerSecond, r.Seconds)
	s.put("ORDERS\t%d told, %d paid, %d cancelled by the shopper", r.Orders, r.Paid, r.Cancelled)
	s.some(", %d payments not taken", r.PayRefused+r.PayUnanswered)
	s.put("\n")
	if r.Cashier != nil {
		r.Cashier.write(s)
	}
	s.listings(r.Listings)
	s.verdict(&r.Verdict)
}
