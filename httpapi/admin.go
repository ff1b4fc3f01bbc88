package httpapi

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"runtime/debug"
	"sync"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/promhttp"
	"golang.org/x/time/rate"

	"doorbuster/engine"
	"doorbuster/httpapi/auth"
	"doorbuster/httpapi/curve"
	"doorbuster/httpapi/payment"
	"doorbuster/httpapi/personal"
	"doorbuster/httpapi/risk"
	"doorbuster/httpapi/roster"
	"doorbuster/httpapi/shipping"
	"doorbuster/httpapi/wire"
)

// Bounds of the operations API.
const (
	adminHeaderTimeout = 5 * time.Second
	adminReadTimeout   = 30 * time.Second
	adminWriteTimeout  = 60 * time.Second
	adminHeaderBytes   = 16 << 10 // at least
	adminBodyBytes     = 64 << 10
	maxPlanTextBytes   = 4 << 20
)

// AdminConfig says how the operations API is served.
type AdminConfig struct {
	// Operator, Cluster and Trail answer; all required.
	Operator Operator
	Cluster  ClusterView
	Trail    Trail
	// Operations changes the cluster; nil for a node that is alone, whose routes
	// for that then say so.
	Operations ClusterOperator
	// Reconciler takes statements; nil for a node that takes none.
	Reconciler Reconciler
	// Sinks are where committed changes flow to; nil for a node without any.
	Sinks Sinks
	// AlarmBook has what operators have said to alarms; nil for a node that keeps none.
	AlarmBook AlarmBook
	// Lacks are what the shop as it is configured can't do, for checklists.
	Lacks []Lack
	// Hot gives the products that this node is asked for at least so often a second, the most
	// first; nil for a node that does not look.
	Hot func(least float64) []wire.HotProduct
	// Curves are how listings sell. Default: nothing is known of any.
	Curves *curve.Recorder
	// Reports tell what came of sessions; nil for a node that makes none.
	Reports SessionReporter
	// Puller fetches suppliers' catalogues; nil for a node that fetches none.
	Puller Puller
	// RefundTries tells what came of asking for a refund; known is false on a node
	// that does not ask. Default: none does.
	RefundTries func(engine.RefundNo) (tries payment.Tries, known bool)
	// ParsePlan reads the text of a plan, YAML or JSON, or tells all that is
	// wrong with it; required. It must be safe for concurrent use.
	ParsePlan func(text []byte) (*engine.Plan, []wire.PlanProblem)

	// Canon is how ids of lists are compared; the shoppers' door must have the same.
	Canon roster.Canon
	// Personal opens what is sealed of receivers. Default: nothing is opened.
	Personal *personal.Vault
	// Visitors of the shoppers' door are who changes of lists are tried on first.
	// Default: nobody.
	Visitors *Visitors

	// Risk gives what risk lists say of a visitor, for the second look at paid orders.
	// Default: nothing of anybody.
	Risk func(*engine.Visitor) engine.Level
	// RiskService is asked about paid orders; nil is none. What it has set for when there is
	// no answer counts.
	RiskService *risk.Client

	// Dev asks for no token, and answers only to loopback host names, so that a
	// page elsewhere can't reach it by a name of its own that leads here. For
	// loopback addresses only; whoever listens sees to that.
	Dev bool
	// Tokens are the keys that operators' tokens are checked with; required
	// without Dev. They must not be the shoppers' keys.
	Tokens auth.Keys
	// TokenBytes bounds a token. Default auth.DefaultBytes, 256 to 64 KiB.
	TokenBytes int
	// OpenMetrics lets /metrics be read without a token, for a scraper that has
	// none on a network that is trusted.
	OpenMetrics bool

	// RequestTimeout bounds what one request waits for. Default 10 s; plans and
	// changes of the cluster have three times as long, a backup as long as parts of
	// it are taken.
	RequestTimeout time.Duration
	// EventHeartbeat is after what time without an event a reader of events hears
	// that there is none. Default 10 s. Less finds dead connections sooner.
	EventHeartbeat time.Duration
	// EventPatience is how long a reader of events may take nothing of what is sent
	// before it is cut off. Default 10 s. More keeps buffers and one of the readers'
	// places for longer.
	EventPatience time.Duration

	// Patience is how long a part of an answer may be left untaken, or a part of a
	// long body may not come, before the connection is cut off. Default 60 s. More
	// keeps what is read and written for longer; less fails bad networks.
	Patience time.Duration

	// IdleTimeout is how long a connection may wait for its next request. Default
	// that of DefaultLimits, 1 ms to 1 h.
	IdleTimeout time.Duration
	// HeaderBytes at most of a request's headers; beyond: 431. Default, and least, 16
	// KiB; at most 1 MiB.
	HeaderBytes int

	// Logger hears of faults. Default: nowhere.
	Logger *slog.Logger
	// Exemplars lets scrapers ask for OpenMetrics, whose histograms have examples.
	Exemplars bool
	// Registerer takes this API's metrics, Gatherer gives those of the process.
	// Default: none.
	Registerer prometheus.Registerer
	Gatherer   prometheus.Gatherer
}

// AdminServer serves the operations API. Its methods are safe for concurrent use.
type AdminServer struct {
	operator   Operator
	cluster    ClusterView
	trail      Trail
	operations ClusterOperator // nil for a lone node
	reconciler Reconciler      // nil where no statements are taken
	puller     Puller          // nil where no catalogues are fetched
	curves     *curve.Recorder
	told       SessionReporter // nil where none are made
	lacks      []Lack

	refundTries func(engine.RefundNo) (tries payment.Tries, known bool)
	sinks       Sinks
	book        AlarmBook
	hot         func(least float64) []wire.HotProduct
	parsePlan   func([]byte) (*engine.Plan, []wire.PlanProblem)
	risk        func(*engine.Visitor) engine.Level
	riskService *risk.Client // nil without one
	desk        *shipping.Desk
	canon       roster.Canon
	visitors    *Visitors
	vault       *personal.Vault
	faults      rate.Sometimes // the log of faults that may come by the thousand
	dev         bool
	timeout     time.Duration
	log         *slog.Logger

	eventHeartbeat, eventPatience time.Duration
	patience                      time.Duration

	tokens      *auth.Checker // nil with dev
	exposed     http.Handler  // the metrics; nil where none are gathered
	origins     *http.CrossOriginProtection
	metrics     *adminMetrics
	openMetrics bool
	mux         *http.ServeMux
	readers     *shares // of events, by operator
	http        *http.Server
	backingUp   sync.Mutex      // held while a backup is taken: one at a time
	ending      context.Context // ends when a shutdown begins
	importing   sync.Mutex      // held while a large list of operators is imported: one at a time
	supplying   oneEach         // suppliers whose large catalogues are imported
}

// NewAdmin makes a server of the operations API, or reports everything that is
// wrong with cfg.
func NewAdmin(cfg AdminConfig) (*AdminServer, error) {
	var errs []error
	if cfg.Operator == (Operator{}) {
		errs = append(errs, errors.New("no Operator"))
	}
	if cfg.Cluster == nil {
		errs = append(errs, errors.New("no Cluster"))
	}
	if cfg.Trail == nil {
		errs = append(errs, errors.New("no Trail"))
	}
	if cfg.Personal == nil {
		cfg.Personal = personal.Closed()
	}
	if cfg.ParsePlan == nil {
		errs = append(errs, errors.New("no ParsePlan"))
	}
	fill(&cfg.RequestTimeout, 10*time.Second)
	if most := adminWriteTimeout / planPatience / 2; cfg.RequestTimeout < time.Millisecond ||
		cfg.RequestTimeout > most {
		errs = append(errs, fmt.Errorf("a RequestTimeout of %s; it must be 1ms to %s", cfg.RequestTimeout, most))
	}
	fill(&cfg.Patience, adminWriteTimeout)
	if cfg.Patience < time.Millisecond {
		errs = append(errs, fmt.Errorf("a Patience of %s; it must be 1ms or more", cfg.Patience))
	}
	errs = append(errs, Limits{IdleTimeout: cfg.IdleTimeout, HeaderBytes: cfg.HeaderBytes}.Validate())
	fill(&cfg.IdleTimeout, DefaultLimits().IdleTimeout)
	fill(&cfg.EventHeartbeat, 10*time.Second)
	fill(&cfg.EventPatience, 10*time.Second)
	if cfg.EventHeartbeat < time.Millisecond || cfg.EventPatience < time.Millisecond {
		errs = append(errs, fmt.Errorf("an EventHeartbeat of %s and an EventPatience of %s; they must be 1ms or more",
			cfg.EventHeartbeat, cfg.EventPatience))
	}
	if cfg.Logger == nil {
		cfg.Logger = slog.New(slog.DiscardHandler)
	}
	if cfg.RefundTries == nil {
		cfg.RefundTries = func(engine.RefundNo) (t payment.Tries, known bool) { return t, false }
	}
	if cfg.Risk == nil {
		cfg.Risk = func(*engine.Visitor) engine.Level { return engine.LevelNone }
	}
	if cfg.Sinks == nil {
		cfg.Sinks = noSinks{}
	}
	if cfg.AlarmBook == nil {
		cfg.AlarmBook = noBook{}
	}
	if cfg.Curves == nil {
		cfg.Curves = curve.New(curve.Config{Look: func() []engine.Counts { return nil }})
	}
	s := &AdminServer{
		curves: cfg.Curves, told: cfg.Reports,
		lacks: cfg.Lacks,
		risk:  cfg.Risk, riskService: cfg.RiskService,
		sinks:    cfg.Sinks,
		book:     cfg.AlarmBook,
		hot:      cfg.Hot,
		operator: cfg.Operator, cluster: cfg.Cluster, trail: cfg.Trail, operations: cfg.Operations,
		reconciler: cfg.Reconciler, puller: cfg.Puller, refundTries: cfg.RefundTries, parsePlan: cfg.ParsePlan,
		canon:    cfg.Canon,
		visitors: cfg.Visitors, dev: cfg.Dev,
		vault:   cfg.Personal,
		faults:  rate.Sometimes{First: 10, Interval: time.Second},
		timeout: cfg.RequestTimeout, eventHeartbeat: cfg.EventHeartbeat, eventPatience: cfg.EventPatience,
		log: cfg.Logger, origins: http.NewCrossOriginProtection(), readers: newShares(eventReaders),
		openMetrics: cfg.OpenMetrics, patience: cfg.Patience, supplying: oneEach{most: suppliersAtOnce},
	}
	s.desk = s.newDesk()
	s.metrics = newAdminMetrics(s.readers)
	if cfg.Gatherer != nil {
		s.exposed = promhttp.HandlerFor(cfg.Gatherer, promhttp.HandlerOpts{
			ErrorLog: slog.NewLogLogger(cfg.Logger.Handler(), slog.LevelError), MaxRequestsInFlight: 4,
			Timeout: cfg.RequestTimeout, EnableOpenMetrics: cfg.Exemplars,
		})
	}
	if !cfg.Dev {
		const remembered = 1024 // operators are few
		tokens, err := auth.NewChecker(auth.Config{Audience: auth.Operators, Keys: cfg.Tokens, MaxBytes: cfg.TokenBytes,
			Remember: remembered, Log: cfg.Logger})
		if err != nil {
			errs = append(errs, fmt.Errorf("tokens: %w", err))
		}
		s.tokens = tokens
	}
	if err := errors.Join(errs...); err != nil {
		return nil, fmt.Errorf("operations API: %w", err)
	}
	if cfg.Registerer != nil {
		collectors := []prometheus.Collector{s.metrics}
		if s.tokens != nil {
			collectors = append(collectors, s.tokens)
		}
		for _, c := range collectors {
			if err := cfg.Registerer.Register(c); err != nil {
				return nil, fmt.Errorf("operations API: register metrics: %w", err)
			}
		}
	}
	s.route()
	s.http = &http.Server{
		Handler:           s,
		ReadHeaderTimeout: adminHeaderTimeout,
		ReadTimeout:       adminReadTimeout,
		WriteTimeout:      adminWriteTimeout,
		IdleTimeout:       cfg.IdleTimeout,
		MaxHeaderBytes:    max(cfg.HeaderBytes, adminHeaderBytes),
		ErrorLog:          slog.NewLogLogger(cfg.Logger.Handler(), slog.LevelDebug),
	}
	var end context.CancelFunc
	s.ending, end = context.WithCancel(context.Background())
	s.http.RegisterOnShutdown(end)
	return s, nil
}

// SetTokens checks tokens with other keys from now on. After an error nothing has
// changed. With Dev there are none.
func (s *AdminServer) SetTokens(keys auth.Keys) error {
	if s.tokens == nil {
		return nil
	}
	return s.tokens.Replace(keys)
}

// Serve answers what comes in at ln until Shutdown, and then gives nil. It
// closes ln.
func (s *AdminServer) Serve(ln net.Listener) error {
	if err := s.http.Serve(ln); err != nil && !errors.Is(err, http.ErrServerClosed) {
		return fmt.Errorf("serve operators at %s: %w", ln.Addr(), err)
	}
	return nil
}

// Shutdown takes no more connections and waits until the requests in flight
// have been answered, or until ctx ends, whose error it then gives.
func (s *AdminServer) Shutdown(ctx context.Context) error {
	if err := s.http.Shutdown(ctx); err != nil {
		return fmt.Errorf("shut down the operations API: %w", err)
	}
	return nil
}

// planPatience is how many times longer a plan, or a change of the cluster, may
// take than other requests.
const planPatience = 3

// ServeHTTP implements http.Handler. A panic is answered and ends nothing else.
func (s *AdminServer) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	defer func() {
		p := recover()
		if p == nil {
			return
		}
		if p == http.ErrAbortHandler {
			panic(p)
		}
		s.metrics.panicked.Add(1)
		s.log.Error("admin handler panicked", "route", r.Pattern, "panic", fmt.Sprint(p),
			"stack", string(debug.Stack()))
		s.problem(w, r, internalFault, "It was noted. Asking again may help.")
	}()
	h := w.Header()
	h.Set("X-Content-Type-Options", "nosniff")
	h.Set("Referrer-Policy", "no-referrer")
	h.Set("Cache-Control", "no-store")
	if s.sameSite(w, r) {
		s.mux.ServeHTTP(w, r)
	}
}

func (s *AdminServer) live(*http.Request) (wire.Live, error) { return wire.Live{Live: true}, nil }

// ready says whether the node serves; what is missing helps an operator, and is
// no secret.
func (s *AdminServer) ready(*http.Request) (wire.Ready, error) {
	if err := s.cluster.Ready(); err != nil {
		return wire.Ready{}, refuse(unavailable, "Not ready: "+err.Error()+".")
	}
	return wire.Ready{Ready: true}, nil
}

func (s *AdminServer) exposeMetrics(w http.ResponseWriter, r *http.Request) {
	if s.exposed == nil {
		s.problem(w, r, notFound, "This node gathers no metrics.")
		return
	}
	s.exposed.ServeHTTP(w, r)
}
