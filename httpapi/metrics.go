package httpapi

import (
	"slices"
	"strconv"
	"sync"
	"sync/atomic"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"doorbuster/engine"
)

// apiMetrics counts what goes wrong at one of the APIs. Safe for concurrent use.
type apiMetrics struct {
	problems [problemKinds]atomic.Uint64
	panicked atomic.Uint64

	problemDesc, panicDesc *prometheus.Desc
}

func newAPIMetrics(api string) *apiMetrics {
	which := prometheus.Labels{"api": api}
	return &apiMetrics{
		problemDesc: prometheus.NewDesc("doorbuster_http_problems_total",
			"Requests answered with a problem document, by its kind and status.", []string{"kind", "status"}, which),
		panicDesc: prometheus.NewDesc("doorbuster_http_panics_total",
			"Requests whose handler panicked: each is a bug.", nil, which),
	}
}

// faults gives how many problems were ours.
func (m *apiMetrics) faults() (n uint64) {
	for kind := range m.problems {
		if problemTable[kind].status >= 500 {
			n += m.problems[kind].Load()
		}
	}
	return n
}

func (m *apiMetrics) problem(kind problemKind) { m.problems[kind].Add(1) }

// Describe implements prometheus.Collector.
func (m *apiMetrics) Describe(ch chan<- *prometheus.Desc) {
	ch <- m.problemDesc
	ch <- m.panicDesc
}

// Collect implements prometheus.Collector.
func (m *apiMetrics) Collect(ch chan<- prometheus.Metric) {
	for kind := range m.problems {
		p := &problemTable[kind]
		ch <- prometheus.MustNewConstMetric(m.problemDesc, prometheus.CounterValue, float64(m.problems[kind].Load()),
			p.slug, strconv.Itoa(p.status))
	}
	ch <- prometheus.MustNewConstMetric(m.panicDesc, prometheus.CounterValue, float64(m.panicked.Load()))
}

// adminMetrics are apiMetrics and what is counted of those who read events.
type adminMetrics struct {
	*apiMetrics
	readers       *shares
	readersCutOff atomic.Uint64

	readersDesc, cutOffDesc *prometheus.Desc
}

func newAdminMetrics(readers *shares) *adminMetrics {
	return &adminMetrics{
		readers:    readers,
		apiMetrics: newAPIMetrics("admin"),
		readersDesc: prometheus.NewDesc("doorbuster_event_readers", "Who follows this node's events just now.", nil,
			nil),
		cutOffDesc: prometheus.NewDesc("doorbuster_event_readers_cut_off_total",
			"Readers of events that were cut off: they took nothing for too long, or were slower than old events are "+
				"dropped.", nil, nil),
	}
}

// Describe implements prometheus.Collector.
func (m *adminMetrics) Describe(ch chan<- *prometheus.Desc) {
	m.apiMetrics.Describe(ch)
	ch <- m.readersDesc
	ch <- m.cutOffDesc
}

// Collect implements prometheus.Collector.
func (m *adminMetrics) Collect(ch chan<- prometheus.Metric) {
	m.apiMetrics.Collect(ch)
	ch <- prometheus.MustNewConstMetric(m.readersDesc, prometheus.GaugeValue, float64(m.readers.count()))
	ch <- prometheus.MustNewConstMetric(m.cutOffDesc, prometheus.CounterValue, float64(m.readersCutOff.Load()))
}

// grabClass groups grabs by what they cost: a grant waits for a quorum, a
// refusal for nothing.
type grabClass uint8

const (
	classGranted grabClass = iota
	classRefused
	classProcessing
	classProblem
	grabClasses
)

var grabClassNames = [grabClasses]string{"granted", "refused", "processing", "problem"}

func classOf(code engine.Code) grabClass {
	switch code {
	case engine.CodeGranted, engine.CodeWaitlisted, engine.CodeEntered:
		return classGranted
	case engine.CodeProcessing:
		return classProcessing
	case engine.CodeRefused:
		return classProblem
	}
	return classRefused
}

// grabBuckets are the upper bounds of the durations' histogram: refusals take
// microseconds, grants a disk's sync or two.
var grabBuckets = [...]time.Duration{
	20 * time.Microsecond, 50 * time.Microsecond, 100 * time.Microsecond, 250 * time.Microsecond,
	500 * time.Microsecond,
	time.Millisecond, 2500 * time.Microsecond, 5 * time.Millisecond, 10 * time.Millisecond, 25 * time.Millisecond,
	50 * time.Millisecond, 100 * time.Millisecond, 250 * time.Millisecond, 500 * time.Millisecond, time.Second,
	2500 * time.Millisecond,
}

// grabMetrics counts grabs. It is written on the hot path: atomics only, no
// look-up by label. Safe for concurrent use.
type grabMetrics struct {
	counts []atomic.Uint64 // by engine.Code, and then by engine.Reason: one addition for both
	took   [grabClasses]durations
	// exemplars has a grab of each bucket; nil unless they are asked for.
	exemplars *[grabClasses][len(grabBuckets) + 1]exemplar

	codeNames, reasonNames         []string
	codeDesc, reasonDesc, tookDesc *prometheus.Desc
}

type durations struct {
	buckets [len(grabBuckets) + 1]atomic.Uint64 // each alone, not added up
	sum     atomic.Int64                        // nanoseconds
}

// exemplar is a grab of late by which a bucket can be understood.
type exemplar struct {
	mu          sync.Mutex
	transaction engine.Transaction
	took        time.Duration
	at          time.Time
}

// exemplify keeps a grab's transaction, if it has one, with how long it took. It does not
// wait for others who do the same.
func (m *grabMetrics) exemplify(code engine.Code, took time.Duration, transaction engine.Transaction) {
	if transaction == (engine.Transaction{}) || took < 0 {
		return
	}
	e := &m.exemplars[classOf(code)][bucketOf(took)]
	if e.mu.TryLock() {
		e.transaction, e.took, e.at = transaction, took, time.Now()
		e.mu.Unlock()
	}
}

// withExemplars is a class's histogram with those that there are.
func (m *grabMetrics) withExemplars(class int, histogram prometheus.Metric) prometheus.Metric {
	var all []prometheus.Exemplar
	for i := range m.exemplars[class] {
		e := &m.exemplars[class][i]
		e.mu.Lock()
		if !e.at.IsZero() {
			all = append(all, prometheus.Exemplar{Value: e.took.Seconds(), Timestamp: e.at,
				Labels: prometheus.Labels{"transaction_id": e.transaction.String()}})
		}
		e.mu.Unlock()
	}
	if with, err := prometheus.NewMetricWithExemplars(histogram, all...); err == nil { // else there are none
		return with
	}
	return histogram
}

func bucketOf(took time.Duration) (i int) {
	for i < len(grabBuckets) && took > grabBuckets[i] {
		i++
	}
	return i
}

func newGrabMetrics() *grabMetrics {
	m := &grabMetrics{
		codeNames: engine.Codes(), reasonNames: engine.Reasons(),
		codeDesc: prometheus.NewDesc("doorbuster_grabs_total",
			"Grabs answered, by the code that the shopper was told.", []string{"code"}, nil),
		reasonDesc: prometheus.NewDesc("doorbuster_grab_reasons_total",
			"Grabs answered, by the true reason.", []string{"reason"}, nil),
		tookDesc: prometheus.NewDesc("doorbuster_grab_duration_seconds",
			"From a grab read whole to its answer ready, by class of outcome.", []string{"class"}, nil),
	}
	m.counts = make([]atomic.Uint64, len(m.codeNames)*len(m.reasonNames))
	return m
}

// answered counts one answer, and gives how long it took; began is when its request had been
// read, zero where that is not known: then it gives less than 0.
func (m *grabMetrics) answered(a *engine.Answer, began time.Time) time.Duration {
	why := int(a.Reason)
	if why >= len(m.reasonNames) { // of a leader that is newer than this node
		why = 0
	}
	if int(a.Code) < len(m.codeNames) {
		m.counts[int(a.Code)*len(m.reasonNames)+why].Add(1)
	}
	if began.IsZero() {
		return -1
	}
	took := time.Since(began)
	d := &m.took[classOf(a.Code)]
	d.buckets[bucketOf(took)].Add(1)
	d.sum.Add(int64(took))
	return took
}

// felt gives how many grabs there were, and how many of them nobody knew the outcome of in
// time.
func (m *grabMetrics) felt() (undecided, all uint64) {
	codes, _ := m.sums()
	for _, n := range codes {
		all += n
	}
	return codes[engine.CodeProcessing], all
}

// sums gives how many grabs were answered by engine.Code, and by engine.Reason.
func (m *grabMetrics) sums() (codes, reasons []uint64) {
	codes, reasons = make([]uint64, len(m.codeNames)), make([]uint64, len(m.reasonNames))
	for i := range m.counts {
		n := m.counts[i].Load()
		codes[i/len(reasons)] += n
		reasons[i%len(reasons)] += n
	}
	return codes, reasons
}

// Describe implements prometheus.Collector.
func (m *grabMetrics) Describe(ch chan<- *prometheus.Desc) {
	ch <- m.codeDesc
	ch <- m.reasonDesc
	ch <- m.tookDesc
}

// Collect implements prometheus.Collector.
func (m *grabMetrics) Collect(ch chan<- prometheus.Metric) {
	codes, reasons := m.sums()
	for i, name := range m.codeNames {
		ch <- prometheus.MustNewConstMetric(m.codeDesc, prometheus.CounterValue, float64(codes[i]), name)
	}
	for i, name := range m.reasonNames {
		ch <- prometheus.MustNewConstMetric(m.reasonDesc, prometheus.CounterValue, float64(reasons[i]), name)
	}
	for class := range m.took {
		d := &m.took[class]
		below, total := make(map[float64]uint64, len(grabBuckets)), uint64(0)
		for i, bound := range grabBuckets {
			total += d.buckets[i].Load()
			below[bound.Seconds()] = total
		}
		total += d.buckets[len(grabBuckets)].Load()
		sum := time.Duration(d.sum.Load()).Seconds()
		histogram := prometheus.MustNewConstHistogram(m.tookDesc, total, sum, below, grabClassNames[class])
		if m.exemplars != nil {
			histogram = m.withExemplars(class, histogram)
		}
		ch <- histogram
	}
}

// bargainCodes are what is told of starting or cutting a bargain.
var bargainCodes = append([]string{"started", "cut", "already_helped", "own_bargain", "bargain_over", "floor_reached",
	"helps_used_up"}, engine.Codes()[1:]...)

// bargainCounts counts answers by code, as bargainCodes has them. Safe for concurrent use.
type bargainCounts []atomic.Uint64

func (c bargainCounts) add(code string) {
	if i := slices.Index(bargainCodes, code); i >= 0 {
		c[i].Add(1)
	}
}

// bargainMetrics counts what is asked of bargains; buying is counted as a grab.
type bargainMetrics struct {
	starts, cuts bargainCounts
	desc         *prometheus.Desc
}

func newBargainMetrics() *bargainMetrics {
	return &bargainMetrics{make(bargainCounts, len(bargainCodes)), make(bargainCounts, len(bargainCodes)),
		prometheus.NewDesc("doorbuster_bargain_answers_total",
			"Bargains asked to be started or cut, by the code that the shopper was told.", []string{"what", "code"},
			nil)}
}

// Describe implements prometheus.Collector.
func (m *bargainMetrics) Describe(ch chan<- *prometheus.Desc) { ch <- m.desc }

// Collect implements prometheus.Collector.
func (m *bargainMetrics) Collect(ch chan<- prometheus.Metric) {
	for i, code := range bargainCodes {
		ch <- prometheus.MustNewConstMetric(m.desc, prometheus.CounterValue, float64(m.starts[i].Load()), "start", code)
		ch <- prometheus.MustNewConstMetric(m.desc, prometheus.CounterValue, float64(m.cuts[i].Load()), "cut", code)
	}
}
