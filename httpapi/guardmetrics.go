package httpapi

import (
	"errors"
	"sync/atomic"

	"github.com/prometheus/client_golang/prometheus"

	"doorbuster/engine"
	"doorbuster/httpapi/challenge"
	"doorbuster/httpapi/risk"
	"doorbuster/httpapi/ticket"
)

// What rates are limited by.
const (
	limitedAddress = iota
	limitedShopper
	limitedLook
	limitedWrite
	limitedKinds
)

var limitedNames = [limitedKinds]string{"address", "shopper", "look", "write"}

// Why tickets do not do.
const (
	ticketMissing = iota
	ticketUnsolved
	ticketMalformed
	ticketForged
	ticketExpired
	ticketKinds
)

var ticketNames = [ticketKinds]string{"missing", "unsolved", "malformed", "forged", "expired"}

func ticketKindOf(err error) int {
	switch {
	case errors.Is(err, ticket.ErrForged):
		return ticketForged
	case errors.Is(err, ticket.ErrExpired):
		return ticketExpired
	}
	return ticketMalformed
}

// Why solutions do not do.
const (
	solutionMalformed = iota
	solutionForged
	solutionBorrowed
	solutionExpired
	solutionWrong
	solutionSpent
	solutionKinds
)

var (
	solutionNames  = [solutionKinds]string{"malformed", "forged", "borrowed", "expired", "wrong", "spent"}
	solutionErrors = [solutionKinds]error{challenge.ErrMalformed, challenge.ErrForged, challenge.ErrBorrowed,
		challenge.ErrExpired, challenge.ErrWrong, challenge.ErrSpent}
)

func solutionKindOf(err error) int {
	for kind, of := range solutionErrors {
		if errors.Is(err, of) {
			return kind
		}
	}
	return solutionMalformed
}

// Who says what there is to fear from a shopper.
const (
	byList = iota
	byService
	riskSources
)

var riskSourceNames = [riskSources]string{"list", "service"}

const riskLevels = int(engine.LevelBlock) + 1

// What is said of a shopper that lists know them by.
const (
	claimedPhone = iota
	claimedAddress
	claimKinds
)

var claimNames = [claimKinds]string{"phone", "address"}

// challengeKinds are all that engine.Challenge may be.
const challengeKinds = int(engine.ChallengeImage) + 1

// guardMetrics counts what the guard does. Written on the hot path: atomics only,
// no look-up by label. Safe for concurrent use.
type guardMetrics struct {
	limited   [limitedKinds]atomic.Uint64
	issued    [challengeKinds]atomic.Uint64 // by what was solved for it
	refused   [ticketKinds]atomic.Uint64
	made      [challengeKinds]atomic.Uint64
	solutions [solutionKinds]atomic.Uint64 // that do not do
	levels    [riskSources][riskLevels]atomic.Uint64
	// unreadable counts claims that no list can be compared with.
	unreadable [claimKinds]atomic.Uint64
	service    *risk.Client // nil: none

	limitedDesc, issuedDesc, refusedDesc, madeDesc, solutionDesc, riskDesc, claimDesc, serviceDesc,
	aloneDesc *prometheus.Desc
}

func newGuardMetrics(service *risk.Client) *guardMetrics {
	desc := func(name, help string, labels ...string) *prometheus.Desc {
		return prometheus.NewDesc("doorbuster_"+name, help, labels, nil)
	}
	return &guardMetrics{
		service:     service,
		limitedDesc: desc("rate_limited_total", "Requests beyond a rate limit, by what is limited.", "by"),
		issuedDesc: desc("tickets_issued_total", "Grab tickets given out, by the challenge that was solved for them.",
			"challenge"),
		refusedDesc: desc("tickets_refused_total", "Grabs without a ticket that does, by what is wrong with it.",
			"why"),
		madeDesc: desc("challenges_made_total", "Challenges given out, by kind.", "challenge"),
		solutionDesc: desc("solutions_refused_total", "Solutions of challenges that do not do, by what is wrong with "+
			"them.", "why"),
		riskDesc: desc("risk_verdicts_total", "Grabs of shoppers at a risk level, by who says so.", "source",
			"level"),
		claimDesc: desc("risk_claims_unreadable_total", "Tokens with a claim that no risk list can be compared "+
			"with, by claim; in dev mode, requests.", "claim"),
		serviceDesc: desc("risk_service_total", "Verdicts of the outside risk service, by how they were come by.",
			"by"),
		aloneDesc: desc("risk_service_left_alone",
			"ALARM (risk_service_fails) if it stays 1: the outside risk service fails, and is not asked.", nil...),
	}
}

func (m *guardMetrics) risk(source int, level engine.Level) { m.levels[source][level].Add(1) }

// Describe implements prometheus.Collector.
func (m *guardMetrics) Describe(ch chan<- *prometheus.Desc) {
	for _, d := range [...]*prometheus.Desc{m.limitedDesc, m.issuedDesc, m.refusedDesc, m.madeDesc, m.solutionDesc,
		m.riskDesc, m.claimDesc, m.serviceDesc, m.aloneDesc} {
		ch <- d
	}
}

// Collect implements prometheus.Collector.
func (m *guardMetrics) Collect(ch chan<- prometheus.Metric) {
	count := func(d *prometheus.Desc, n uint64, labels ...string) {
		ch <- prometheus.MustNewConstMetric(d, prometheus.CounterValue, float64(n), labels...)
	}
	for i, name := range limitedNames {
		count(m.limitedDesc, m.limited[i].Load(), name)
	}
	for i := range m.issued {
		count(m.issuedDesc, m.issued[i].Load(), engine.Challenge(i).String())
		if i != int(engine.ChallengeNone) {
			count(m.madeDesc, m.made[i].Load(), engine.Challenge(i).String())
		}
	}
	for i, name := range ticketNames {
		count(m.refusedDesc, m.refused[i].Load(), name)
	}
	for i, name := range solutionNames {
		count(m.solutionDesc, m.solutions[i].Load(), name)
	}
	for source, name := range riskSourceNames {
		for level := engine.LevelListed; level <= engine.LevelBlock; level++ {
			count(m.riskDesc, m.levels[source][level].Load(), name, level.String())
		}
	}
	for i, name := range claimNames {
		count(m.claimDesc, m.unreadable[i].Load(), name)
	}
	if m.service == nil {
		return
	}
	c := m.service.Counters()
	count(m.serviceDesc, c.Asked.Load(), "asked")
	count(m.serviceDesc, c.Answered.Load(), "answered")
	count(m.serviceDesc, c.Cached.Load(), "memory")
	count(m.serviceDesc, c.Down.Load(), "down")
	count(m.serviceDesc, c.Open.Load(), "left_alone")
	alone := 0.0
	if m.service.LeftAlone() {
		alone = 1
	}
	ch <- prometheus.MustNewConstMetric(m.aloneDesc, prometheus.GaugeValue, alone)
}
