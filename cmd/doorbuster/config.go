package main

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"log/slog"
	"net"
	"os"
	"slices"
	"strings"
	"time"

	"github.com/spf13/pflag"

	"doorbuster/actors"
	"doorbuster/cluster"
	"doorbuster/cluster/peer"
	"doorbuster/cmd/doorbuster/cli"
	"doorbuster/cmd/doorbuster/settings"
	"doorbuster/engine"
	"doorbuster/httpapi"
	"doorbuster/httpapi/auth"
	"doorbuster/httpapi/calendar"
	"doorbuster/httpapi/challenge"
	"doorbuster/httpapi/hidden"
	"doorbuster/httpapi/payment"
	"doorbuster/httpapi/ratelimit"
	"doorbuster/httpapi/reconcile/daily"
	"doorbuster/httpapi/reconcile/statement"
	"doorbuster/httpapi/risk"
	"doorbuster/httpapi/roster"
	"doorbuster/httpapi/storefront"
	"doorbuster/wal/vfs"
)

// Config of a node. What each setting means, its default and its bounds stand in table.
type Config struct {
	Node, Zone, Data string
	Dev              bool

	HTTP, Display, Admin, Peer string // Display "": shoppers' own address serves who looks

	Cluster ClusterConfig
	Tokens  TokensConfig
	Grabs   GrabsConfig
	Disk    DiskConfig
	Doors   DoorsConfig

	TrustedProxies []string
	RateLimit      struct{ Shopper, Address, Look, Write ratelimit.Config }
	TicketTTL      time.Duration
	Challenge      challenge.Config
	HomeCountry    string
	Risk           RiskConfig
	Personal       PersonalConfig

	Storefront StorefrontConfig

	Cashier   CashierConfig
	Reconcile ReconcileConfig
	Sinks     []SinkConfig
	Pulls     []PullConfig
	Warnings  WarningsConfig

	Thresholds ThresholdsConfig
	Metrics    MetricsConfig
	Traces     TracesConfig
	Approving  engine.ApprovalRules

	StopDelay           time.Duration
	LogLevel, LogFormat string

	// Tests' bounds of streams of events; 0 is what the operations API begins with.
	eventHeartbeat, eventPatience time.Duration

	unwatched bool // a benchmark's node that does not look which products are asked for most

	logSink *logSink // where serve's logger writes; nil where it writes by itself

	wall func() time.Time // tests' clock; nil is the machine's
	look time.Duration    // tests' time between looks for statements and catalogues; 0 is the usual
	fs   vfs.FS           // tests' disk under the log; nil is the machine's
	tape vfs.FS           // tests' disk under the trail of events; nil is the machine's
}

// ClusterConfig is the part of a node's configuration that stands in a file only.
// Without an id the node is alone.
type ClusterConfig struct {
	ID            string
	ZoneAck       string
	ZoneTimeout   time.Duration
	CA, Cert, Key string
	Nodes         []NodeConfig
}

// NodeConfig is a node that a new cluster begins with.
type NodeConfig struct{ ID, Zone, Kind, Peer string }

// TokensConfig says whom shoppers and operators are believed to be.
type TokensConfig struct {
	ShopperKeyFile, ShopperPublicKeyFile, OpsKeyFile string
	ShopperIssuer, OpsIssuer                         string
	Bytes                                            int
	OpenMetrics                                      bool
}

// GrabsConfig bounds what waits for a decision, and what is remembered of refusals.
type GrabsConfig struct {
	WaitingDepth   int
	Timeout        time.Duration
	JournalEntries int
}

// DiskConfig says what is kept, and how long the disk may take.
type DiskConfig struct {
	SnapshotBytes  int64
	SettleAfter    time.Duration
	KeepEvents     time.Duration
	KeepEventBytes int64
	StallTimeout   time.Duration
}

// DoorsConfig bounds connections and streams.
type DoorsConfig struct {
	httpapi.Limits                                  // of the shoppers' address
	DisplayConnections, DisplayConnectionsPerIP int // in its place at the display's
	EventStreams                                int
}

// RiskConfig is of the outside risk service, which is asked if there is a URL, and of
// risk lists.
type RiskConfig struct {
	URL, TokenFile    string
	Timeout, CacheTTL time.Duration
	WhenDown          string
	LookWhenDown      string
	ListShare         int
}

// PersonalConfig is of what protects personal data.
type PersonalConfig struct {
	Keys       string
	EraseAfter time.Duration
}

// StorefrontConfig is of the shoppers' page.
type StorefrontConfig struct {
	On             bool // as with Dev
	Theme, Cashier string
}

// CashierConfig is of the shop's dealings with the cashier.
type CashierConfig struct {
	PayKeys, KeyFile string
	URL              string
	Timeout          time.Duration
}

// ReconcileConfig is of the daily reconciliation.
type ReconcileConfig struct {
	Folder, URL, Format, At, Timezone, KeyFile string
	IgnoreKinds, OrderPrefixes                 []string
}

const (
	envPrefix = "DOORBUSTER_"
	year      = 365 * day
)

// Checks of texts.
var (
	id = settings.Check[string]{Says: fmt.Sprintf("1 to %d letters, digits, dots, dashes or underscores",
		engine.MaxIDBytes),
		Of: func(s string) error {
			if !engine.ValidID(s) {
				return fmt.Errorf("%q is not 1 to %d letters, digits, dots, dashes or underscores", s,
					engine.MaxIDBytes)
			}
			return nil
		}}
	required = settings.Check[string]{Of: func(s string) error {
		if s == "" {
			return errors.New("it can't be left out")
		}
		return nil
	}}
	hostPort = settings.Check[string]{Says: "HOST:PORT", Of: func(s string) error {
		if _, _, err := net.SplitHostPort(s); err != nil && s != "" {
			return fmt.Errorf("%q is not HOST:PORT", s)
		}
		return nil
	}}
)

// checkedBy is a check by what a room says of a value.
func checkedBy[T any](says string, room func(T) error) settings.Check[T] {
	return settings.Check[T]{Says: says, Of: room}
}

// ifSet is checkedBy for a text that may be left out.
func ifSet(says string, room func(string) error) settings.Check[string] {
	return checkedBy(says, func(s string) error {
		if s == "" {
			return nil
		}
		return room(s)
	})
}

// table has every setting: the only place where defaults, bounds and meanings stand.
func (c *Config) table() *settings.Table {
	t := &settings.Table{}
	c.addNode(t)
	c.addCrowd(t)
	c.addApprovals(t)
	c.addPersonal(t)
	c.addStorefront(t)
	c.addMoney(t)
	c.addPulls(t)
	c.addSinks(t)
	c.addWarnings(t)
	c.addMetrics(t)
	c.addCluster(t)
	return t
}

func (c *Config) addNode(t *settings.Table) {
	t.Topic("The node")
	settings.Add(t, &c.Node, "node", "n1", "this node's `id`; it stays with the data directory", id)
	settings.Add(t, &c.Zone, "zone", "z1", "the machine room that this node stands in", id)
	settings.Add(t, &c.Data, "data", "", "data `directory`; made if missing (required)")
	settings.Add(t, &c.HTTP, "http", "127.0.0.1:8080", "`address` for shoppers", required, hostPort)
	settings.Add(t, &c.Display, "display", "",
		"`address` for whoever looks, with connections of its own; without it --http serves them", hostPort)
	settings.Add(t, &c.Admin, "admin", "127.0.0.1:8081", "`address` for operators", required, hostPort)
	settings.Add(t, &c.Peer, "peer", "",
		"`address` for the other nodes of a cluster (with a 'cluster' section in the --config file)", hostPort)
	settings.Add(t, &c.Dev, "dev", false,
		"for trying out: loopback only, a shopper is whoever X-Shopper-Id says, no token for operators")
	settings.Add(t, &c.StopDelay, "stop_delay", time.Second,
		"how long a node of a cluster that is told to stop goes on "+
			"serving, not ready and without leadership, so that load balancers notice",
		settings.Between(0, 10*time.Minute))
	settings.Add(t, &c.LogLevel, "log_level", "info", "debug, info, warn or error",
		checkedBy("", func(s string) error {
			return settings.OneOf("debug", "info", "warn",
				"error").Of(strings.ToLower(s))
		}))
	settings.Add(t, &c.LogFormat, "log_format", "text", "text or json", settings.OneOf("text", "json"))

	t.Topic("Disk and ledger")
	d := &c.Disk
	settings.Add(t, &d.SnapshotBytes, "snapshot_bytes", 256<<20, "bytes of log after which a snapshot is taken, "+
		"or as many as the last one has",
		settings.AtLeast[int64](1<<20))
	settings.Add(t, &d.SettleAfter, "settle_after", day, "how long after its end a session's orders leave memory for "+
		"the ledger, once nothing of it is undecided", settings.Between(0, 10*year))
	settings.Add(t, &d.KeepEvents, "keep_events", 90*day, "how long the ledger keeps events",
		settings.Between(time.Minute, 20*year))
	settings.Add(t, &d.KeepEventBytes, "keep_event_bytes", 4<<30, "bytes of events that the ledger keeps, about; the "+
		"oldest are dropped first, operators' deeds once they alone fill a quarter", settings.AtLeast[int64](1<<20))
	settings.Add(t, &d.StallTimeout, "stall_timeout", 1500*time.Millisecond,
		"how long one write or fsync of the log may "+
			"take before the node stops, so that another leads; more for a disk that pauses when it is busy",
		settings.Between(100*time.Millisecond, 10*time.Minute))

	t.Topic("Tokens")
	k := &c.Tokens
	settings.Add(t, &k.ShopperKeyFile, "shopper_key_file", "",
		"`file` with the HS256 secret that shoppers' tokens (JWT) "+
			"are signed with, 32 bytes or more; several, one a line, all do; read again when it changes")
	settings.Add(t, &k.ShopperPublicKeyFile, "shopper_public_key_file", "",
		"PEM `file` with the public key for shoppers' "+
			"tokens (Ed25519, RSA, P-256), or several of one kind; read again when it changes")
	settings.Add(t, &k.OpsKeyFile, "ops_key_file", "", "`file` with the HS256 secret for operators' tokens, 32 bytes "+
		"or more; another one than the shoppers'; several, one a line, all do; read again when it changes")
	settings.Add(t, &k.ShopperIssuer, "shopper_issuer", "",
		"issuer (`iss`) that shoppers' tokens must have; without it any does")
	settings.Add(t, &k.OpsIssuer, "ops_issuer", "",
		"issuer (`iss`) that operators' tokens must have; without it any does")
	settings.Add(t, &k.Bytes, "token_bytes", auth.DefaultBytes,
		"a token at most; it must fit into the headers", settings.Between(256, 64<<10))
	settings.Add(t, &k.OpenMetrics, "open_metrics", false, "answer /metrics without a token")
}

// mostConnections is httpapi's own bound.
const mostConnections = 10_000_000

func (c *Config) addCrowd(t *settings.Table) {
	t.Topic("Grabs")
	g := &c.Grabs
	settings.Add(t, &g.WaitingDepth, "waiting_depth", 16_384,
		"grabs of one listing that may wait undecided; more are told that they missed it", settings.Between(1, 1<<20))
	settings.Add(t, &g.Timeout, "grab_timeout", 2*time.Second, "after this a grab that is not decided is answered "+
		"\"processing\"", settings.Between(10*time.Millisecond, time.Minute))
	settings.Add(t, &g.JournalEntries, "journal_entries", 262_144, "reasons why shoppers were refused that this node "+
		"remembers, 32 bytes each, the oldest overwritten first; 0 = none",
		settings.Between(0, actors.MaxJournalEntries))

	t.Topic("Connections")
	d, preset := &c.Doors, httpapi.DefaultLimits()
	some, orNone := settings.Between(1, mostConnections), settings.Between(0, mostConnections)
	anHour := settings.Between(time.Second, time.Hour)
	settings.Add(t, &d.Connections, "connections", preset.Connections,
		"connections at --http at most; each takes some 8 KiB and --header-bytes", some)
	settings.Add(t, &d.ConnectionsPerIP, "connections_per_ip", 0,
		"shoppers' connections from one address at most, trusted proxies aside; 0 = no bound", orNone)
	settings.Add(t, &d.DisplayConnections, "display_connections", preset.Connections,
		"connections at --display at most", some)
	settings.Add(t, &d.DisplayConnectionsPerIP, "display_connections_per_ip", 0,
		"connections at --display from one address at most, trusted proxies aside; 0 = no bound", orNone)
	settings.Add(t, &d.IdleTimeout, "idle_timeout", preset.IdleTimeout,
		"how long a connection, of whomever, may wait for "+
			"its next request; more than the load balancer's own (Google's: over 600s)", anHour)
	settings.Add(t, &d.HeaderBytes, "header_bytes", preset.HeaderBytes,
		"a request's headers at most; operators' have 16384 at least", settings.Between(1<<10, 1<<20))
	settings.Add(t, &d.ReadTimeout, "read_timeout", preset.ReadTimeout,
		"how long a shopper's request may take to arrive", anHour)
	settings.Add(t, &d.WriteTimeout, "write_timeout", preset.WriteTimeout,
		"how long an answer to a shopper may take to leave", anHour)
	settings.Add(t, &d.EventStreams, "event_streams", 10_000,
		"streams of events (GET /v1/events) open at once at most; four of one shopper", settings.Between(1, 1_000_000))

	t.Topic("Holding back the crowd")
	settings.Add(t, &c.TrustedProxies, "trusted_proxies", nil,
		"`addresses` and prefixes (10.1.0.0/16) of proxies that are believed in X-Forwarded-For",
		checkedBy("", func(s []string) error { _, err := ratelimit.ParseTrusted(s); return err }))
	for _, r := range []struct {
		into      *ratelimit.Config
		key       string
		perSecond float64
		burst     int
		of, from  string
	}{
		{&c.RateLimit.Shopper, "shopper", 0, 5,
			"grabs, challenges and tickets of one shopper a second, on each node for itself",
			"of a shopper who was quiet, on each node for itself"},
		{&c.RateLimit.Address, "address", 0, 20, "grabs, challenges and tickets from one address (IPv6: from one " +
			"network of 64 bits) a second, on all nodes together",
			"from an address that was quiet, on all nodes together: an even part on each at first"},
		{&c.RateLimit.Look, "look", 50, 500, "looks that are made for one address alone (sessions by distance or " +
			"page, entries of a draw) a second, on each node for itself",
			"from an address that was quiet, on each node for itself"},
		{&c.RateLimit.Write, "write", 5, 50, "receivers, cancellations, reservations and places given up of one " +
			"shopper a second, and about one listing or order a hundredth of that, on each node for itself",
			"of a shopper who was quiet, on each node for itself"},
	} {
		settings.Add(t, &r.into.PerSecond, "rate_limit."+r.key+".per_second", r.perSecond, r.of+"; 0 = no limit",
			settings.Between[float64](ratelimit.MinPerSecond, ratelimit.MaxPerSecond).Or(0))
		settings.Add(t, &r.into.Burst, "rate_limit."+r.key+".burst", r.burst, "of these at once, "+r.from,
			settings.Between(1, ratelimit.MaxBurst))
	}
	settings.Add(t, &c.TicketTTL, "ticket_ttl", 2*time.Minute, "how long a grab ticket is good", anHour)
	settings.Add(t, &c.Challenge.MaxNumber, "challenge_max_number", challenge.DefaultConfig().MaxNumber,
		"how hard the work of a challenge is: half as many hashes on average",
		settings.Between[int64](1000, 10_000_000))
	settings.Add(t, &c.Challenge.Lifetime, "challenge_lifetime", challenge.DefaultConfig().Lifetime,
		"how long a challenge may be solved", settings.Between(10*time.Second, time.Hour))
	settings.Add(t, &c.HomeCountry, "home_country", "", "`country` (ISO 3166: CN) whose phone numbers may come "+
		"without a country code, in claims and risk lists; the same on all nodes",
		checkedBy("", func(s string) error { _, err := roster.NewCanon(s); return err }))
	r := &c.Risk
	settings.Add(t, &r.URL, "risk.url", "", "`URL` of an outside risk service that is asked about who grabs; without "+
		"it none is", ifSet("http or https", func(s string) error { return risk.Config{URL: s}.Validate() }))
	settings.Add(t, &r.Timeout, "risk.timeout", risk.DefaultConfig().Timeout,
		"how long a grab waits for the risk service", settings.Between(10*time.Millisecond, 5*time.Second))
	settings.Add(t, &r.CacheTTL, "risk.cache_ttl", risk.DefaultConfig().CacheTTL,
		"how long an answer of the risk service is remembered", anHour)
	settings.Add(t, &r.WhenDown, "risk.when_down", "allow",
		"what to do while the risk service does not answer: allow, challenge or block",
		settings.OneOf("allow", "challenge", "block"))
	settings.Add(t, &r.LookWhenDown, "risk.look_when_down", "hold",
		"what the second look does with a paid order while the risk service does not answer: hold it for a person, "+
			"or pass it", settings.OneOf("hold", "pass"))
	settings.Add(t, &r.ListShare, "risk.list_share", httpapi.DefaultListShare,
		"`percent` of the shoppers of the last minutes that a risk list may meet before it is an alarm, and that a "+
			"change of a list may bar without --yes; 100 = all", settings.Between(1, 100))
	settings.Add(t, &r.TokenFile, "risk.token_file", "",
		"`file` with the bearer token that the risk service is asked with; read again when it changes")
}

func (c *Config) addApprovals(t *settings.Table) {
	t.Topic("Approvals")
	a := &c.Approving
	settings.Add(t, &a.PlanUnits, "approvals.plan_units", 0, "another operator must approve a plan that makes or "+
		"changes listings of so many units or more in all; 0 = of any number none must; the same on all nodes, for "+
		"those of the leader count", settings.Between[int64](0, engine.MaxStock))
	settings.Add(t, &a.PlanListings, "approvals.plan_listings", 0, "another operator must approve a plan that makes "+
		"or changes so many listings or more, or the sessions of so many; 0 = of any number none must",
		settings.Between[int64](0, 1_000_000))
	settings.Add(t, &a.Words, "approvals.words", false,
		"another operator must approve what changes the words of a sale, by hand or by a plan")
	settings.Add(t, &a.EndSession, "approvals.end_session", false,
		"another operator must approve the end of a session, and a plan that has one end sooner")
	settings.Add(t, &a.Within, "approvals.within", engine.ApprovalLife,
		"how long a change waits for its approval before that expires", settings.Between(time.Minute,
			engine.MaxApprovalLife))
}

func (c *Config) addPersonal(t *settings.Table) {
	t.Topic("Personal data")
	p := &c.Personal
	settings.Add(t, &p.Keys, "personal_keys", "", "`file` with the keys that shoppers' own keys are wrapped with, the "+
		"same on all nodes; the newest one seals; read again when it changes. A node that is alone makes "+
		"personal.keys in its data directory; in a cluster no receiver is taken without it")
	settings.Add(t, &p.EraseAfter, "personal_erase_after", 0, "how long after a shopper has last named a receiver "+
		"their personal data is erased, once no goods are to be sent to them; 0 = never",
		settings.Between(time.Minute, 20*year).Or(0))
}

func (c *Config) addStorefront(t *settings.Table) {
	t.Topic("The storefront")
	s := &c.Storefront
	settings.Add(t, &s.On, "storefront", false, "serve shoppers a page at /shop of their address; with --dev it is "+
		"served in any case")
	settings.Add(t, &s.Theme, "storefront_theme", "",
		fmt.Sprintf("CSS `file` with the storefront's colours and fonts, %d bytes at most; read when the node starts",
			storefront.MaxThemeBytes))
	settings.Add(t, &s.Cashier, "storefront_cashier", "",
		"`URL` of the page at which shoppers pay, which is given the payment token behind #token=; with --dev, unless "+
			"said, /pay of cashier.url",
		ifSet("http or https", func(s string) error { return payment.Config{URL: s}.Validate() }))
}

func (c *Config) addMoney(t *settings.Table) {
	t.Topic("Payments")
	p := &c.Cashier
	settings.Add(t, &p.PayKeys, "pay_keys", "", "YAML `file` with the keys of payment tokens: a list like {id: "+
		"\"2026-09\", file: pay.key, signs: true}; read again when it or a key changes")
	settings.Add(t, &p.URL, "cashier.url", "", "`URL` of the cashier, who is asked for refunds, and to take no money "+
		"once the time to pay is over; without it refunds stay due",
		ifSet("http or https", func(s string) error { return payment.Config{URL: s}.Validate() }))
	settings.Add(t, &p.KeyFile, "cashier.key_file", "", "`file` with the secret shared with the cashier, 32 bytes or "+
		"more; several, one a line, all do, and the first one signs; read again when it changes")
	settings.Add(t, &p.Timeout, "cashier.timeout", payment.DefaultConfig().Timeout,
		"how long the cashier has for an answer", settings.Between(10*time.Millisecond, time.Minute))

	t.Topic("Reconciliation")
	r := &c.Reconcile
	settings.Add(t, &r.Folder, "reconcile.folder", "", "`directory` that the leader takes the cashier's statements "+
		"from once a day; they are moved to done/ below it, or to failed/")
	settings.Add(t, &r.URL, "reconcile.url", "",
		"`URL` that the leader fetches yesterday's statement from once a day; "+
			"{date}, {from} and {to} in it are filled in", ifSet("http or https", daily.CheckURL))
	settings.Add(t, &r.Format, "reconcile.format", statement.Auto, "`format` of those statements: "+
		strings.Join(statement.Formats(), ", ")+", or map:FILE",
		checkedBy("", func(s string) error { return new(statement.Reading).ParseFormat(s, os.ReadFile) }))
	settings.Add(t, &r.At, "reconcile.at", "", "`hour` at which that is done; without it, once a statement of the "+
		"format is published: 10:30 in China for wechat and alipay, 12:30 UTC for paypal and stripe, 06:30 in "+
		"Amsterdam for adyen, 04:30 UTC for others", checkedBy("HH:MM", func(s string) error {
		if s == "" {
			return nil
		}
		if _, err := time.Parse("15:04", s); err != nil {
			return fmt.Errorf("%q is no hour such as 04:30", s)
		}
		return nil
	}))
	settings.Add(t, &r.Timezone, "reconcile.timezone", "",
		"time `zone` of that hour, of yesterday, and of the days of what belongs to no order; without it, that which "+
			"statements of the format are published by", checkedBy("IANA name", func(s string) error {
			if s == "" {
				return nil
			}
			if _, err := calendar.Zone(s); err != nil {
				return fmt.Errorf("%q %w", s, err)
			}
			return nil
		}))
	settings.Add(t, &r.IgnoreKinds, "reconcile.ignore_kinds", nil, "`kinds` of rows to leave out of those statements",
		checkedBy("", func(s []string) error { return statement.Reading{Kinds: s}.Validate() }))
	settings.Add(t, &r.OrderPrefixes, "reconcile.order_prefixes", nil,
		"leave out rows of those statements whose order "+
			"number begins with one of these `texts`",
		checkedBy("", func(s []string) error { return statement.Reading{OrderPrefixes: s}.Validate() }))
	settings.Add(t, &r.KeyFile, "reconcile.key_file", "", "`file` with the secret that fetching is signed with, as "+
		"requests to the cashier are; read each time")
}

func (c *Config) addCluster(t *settings.Table) {
	t.FileTopic("The cluster")
	cl := &c.Cluster
	settings.Add(t, &cl.ID, "cluster.id", "", "the cluster's `id`, the same on all nodes; without it a node is alone")
	settings.Add(t, &cl.ZoneAck, "cluster.zone_ack", string(cluster.ZoneAckPrefer),
		"whether a yes waits for a voter of another zone: never, while one answers, or always; of a new cluster, "+
			"'doorbuster cluster zone-ack' changes it later", settings.OneOf("off", "prefer", "require"))
	settings.Add(t, &cl.ZoneTimeout, "cluster.zone_timeout", cluster.DefaultConfig("").ZoneTimeout, "how long a "+
		"zone may be silent, or a yes wait for it", settings.Between(10*time.Millisecond, time.Minute))
	settings.Add(t, &cl.CA, "cluster.ca", "", "`file` with the certificate that signs all nodes' certificates")
	settings.Add(t, &cl.Cert, "cluster.cert", "", "`file` with this node's certificate")
	settings.Add(t, &cl.Key, "cluster.key", "", "`file` with the key of this node's certificate")
	settings.AddList(t, &cl.Nodes, "cluster.nodes", `{id: a1, zone: a, peer: "10.0.1.1:8082"}`, (*NodeConfig).table,
		"the nodes that a new cluster begins with, the same list on all of them")
}

func (n *NodeConfig) table() *settings.Table {
	t := &settings.Table{}
	settings.Add(t, &n.ID, "id", "", "the node's `id`, its setting 'node' (required)",
		settings.Elsewhere[string](id.Says))
	settings.Add(t, &n.Zone, "zone", "", "the machine room that it stands in, its setting 'zone' (required)",
		settings.Elsewhere[string](id.Says))
	settings.Add(t, &n.Kind, "kind", string(cluster.KindVoter), "a voter serves shoppers and votes, a "+
		"witness only votes, an edge node only serves shoppers",
		settings.Elsewhere[string](fmt.Sprintf("%s, %s, %s", cluster.KindVoter, cluster.KindWitness, cluster.KindEdge)))
	settings.Add(t, &n.Peer, "peer", "", "its `address` for the other nodes, as they reach it (required)",
		settings.Elsewhere[string](hostPort.Says))
	return t
}

// addConfigFlags declares the settings as flags.
func addConfigFlags(f *pflag.FlagSet) {
	f.String("config", "", "YAML `file` with the same settings as these flags (dashes become underscores)")
	new(Config).table().AddFlags(f)
}

// loadConfig puts the layers together and checks the whole: every problem at once.
func loadConfig(flags *pflag.FlagSet) (cfg Config, err error) {
	path, _ := flags.GetString("config")
	if path == "" {
		path = os.Getenv(envPrefix + "CONFIG")
	}
	err = cfg.table().Load(settings.Sources{
		File: path, Prefix: envPrefix, Others: []string{"CONFIG", "TOKEN"}, Flags: flags,
	}, cfg.agree)
	if unread := (*fs.PathError)(nil); err != nil && !errors.As(err, &unread) {
		err = cli.Usage(err)
	}
	return cfg, err
}

// Validate reports every setting that can't be, behind its key.
func (c Config) Validate() error { return errors.Join(c.table().Check(), c.agree()) }

// agree reports what the settings don't agree on, behind a key that it is about. The
// values themselves may be out of bounds.
func (c *Config) agree() error {
	var errs []error
	bad := func(is bool, format string, args ...any) {
		if is {
			errs = append(errs, fmt.Errorf(format, args...))
		}
	}
	bad(c.Data == "", "data: no data directory is given; say where with --data DIR")
	for _, a := range []struct{ key, addr string }{{"http", c.HTTP}, {"display", c.Display}, {"admin", c.Admin}} {
		bad(c.Dev && exposed(a.addr),
			"%s: --dev trusts everybody, so it listens on loopback only (127.0.0.1:PORT), not on %q", a.key, a.addr)
	}
	bad(!c.Dev && c.Tokens.ShopperKeyFile == "" && c.Tokens.ShopperPublicKeyFile == "",
		"shopper_key_file: shoppers need "+
			"tokens: give --shopper-key-file or --shopper-public-key-file (or --dev to try things out)")
	bad(!c.Dev && c.Tokens.OpsKeyFile == "", "ops_key_file: operators need tokens: give --ops-key-file (or --dev to "+
		"try things out); 'doorbuster token' makes tokens")
	bad(c.Tokens.Bytes >= c.Doors.HeaderBytes && c.Tokens.Bytes <= 64<<10,
		"token_bytes: a token of %d bytes does not fit into header_bytes, %d", c.Tokens.Bytes, c.Doors.HeaderBytes)
	bad(c.Traces.Endpoint == "" && c.Traces.TokenFile != "", "traces.token_file: there is no traces.endpoint to send "+
		"it to")
	bad(c.Dev && c.Approving != engine.ApprovalRules{Within: c.Approving.Within}, "approvals: with --dev all "+
		"operators have one name, so that nobody could approve anything; give --ops-key-file instead")
	bad(c.Risk.URL == "" && c.Risk.TokenFile != "", "risk.token_file: there is no risk.url to ask with it")
	bad(c.Cashier.URL != "" && c.Cashier.KeyFile == "" && !c.Dev,
		"cashier.key_file: the cashier at %s must know who asks "+
			"it; give the secret that is shared with it", hidden.URL(c.Cashier.URL))
	bad(c.Reconcile.URL == "" && c.Reconcile.KeyFile != "", "reconcile.key_file: there is no reconcile.url to sign for")
	bad(c.Reconcile.Folder != "" && c.Data != "" && sameFolder(c.Reconcile.Folder, c.archive()),
		"reconcile.folder: %s is where reports are kept; take another", c.Reconcile.Folder)
	return errors.Join(append(errs, c.agreeOnPulls(), c.agreeOnSinks(), c.agreeOnWarnings(), c.agreeOnCluster())...)
}

// agreeOnCluster is agree for the cluster section.
func (c *Config) agreeOnCluster() error {
	var errs []error
	bad := func(is bool, format string, args ...any) {
		if is {
			errs = append(errs, fmt.Errorf(format, args...))
		}
	}
	cl := c.Cluster
	files := []string{cl.CA, cl.Cert, cl.Key}
	one, none := slices.ContainsFunc(files, func(f string) bool { return f != "" }), slices.Contains(files, "")
	if cl.ID == "" {
		bad(one || len(cl.Nodes) > 0 || c.Peer != "",
			"cluster.id: there are settings of a cluster, but it has no id; give it one, the same on all nodes")
		return errors.Join(errs...)
	}
	bad(c.Peer == "", "peer: a node of a cluster needs an address for the others, HOST:PORT")
	bad(c.Dev && exposed(c.Peer),
		"peer: --dev has no certificates, so it listens on loopback only (127.0.0.1:PORT), not on %q", c.Peer)
	bad(c.Dev && one && none, "cluster.ca, cluster.cert, cluster.key: all three or none")
	bad(!c.Dev && none, "cluster.ca, cluster.cert, cluster.key: nodes talk to each other by certificates (mTLS); "+
		"'doorbuster cluster certs' makes some for trying out (or use --dev)")
	cc := cluster.DefaultConfig("-")
	c.clusterInto(&cc)
	cc.Decider = decider{}
	return errors.Join(append(errs, cc.Validate())...)
}

// exposed reports whether others than this machine reach an address.
func exposed(addr string) bool {
	host, _, err := net.SplitHostPort(addr)
	return err == nil && !loopback(host)
}

func loopback(host string) bool {
	ip := net.ParseIP(host)
	return host == "localhost" || ip != nil && ip.IsLoopback()
}

// clusterInto hands the cluster section on.
func (c Config) clusterInto(cc *cluster.Config) {
	cc.NodeID, cc.Zone, cc.ClusterID, cc.Listen = c.Node, c.Zone, c.Cluster.ID, c.Peer
	cc.ZoneAck, cc.ZoneTimeout = cluster.ZoneAck(c.Cluster.ZoneAck), c.Cluster.ZoneTimeout
	if c.Cluster.CA != "" {
		cc.TLS = &peer.Files{CA: c.Cluster.CA, Cert: c.Cluster.Cert, Key: c.Cluster.Key}
	}
	for _, n := range c.Cluster.Nodes {
		cc.Members = append(cc.Members, cluster.Member{ID: n.ID, Zone: n.Zone, Kind: cluster.Kind(n.Kind),
			Peer: n.Peer})
	}
}

// kind is what this node is there for, as far as its configuration says.
func (c Config) kind() cluster.Kind {
	for _, n := range c.Cluster.Nodes {
		if n.ID == c.Node {
			return cluster.Kind(n.Kind)
		}
	}
	return cluster.KindVoter
}

// displayLimits are the limits of the display's own address; nil without one.
func (c Config) displayLimits() *httpapi.Limits {
	if c.Display == "" {
		return nil
	}
	l := c.Doors.Limits
	l.Connections, l.ConnectionsPerIP = c.Doors.DisplayConnections, c.Doors.DisplayConnectionsPerIP
	return &l
}

// guard makes what the shoppers' door is guarded by.
func (c Config) guard(k keys, logger *slog.Logger) (g httpapi.GuardConfig, err error) {
	r := c.RateLimit
	g = httpapi.GuardConfig{ShopperRate: r.Shopper, AddressRate: r.Address, LookRate: r.Look, WriteRate: r.Write,
		TicketTTL: c.TicketTTL, ListShare: c.Risk.ListShare, Challenges: c.Challenge}
	if g.Canon, err = roster.NewCanon(c.HomeCountry); err != nil {
		return g, err
	}
	if g.Proxies, err = ratelimit.ParseTrusted(c.TrustedProxies); err != nil || c.Risk.URL == "" {
		return g, err
	}
	down, err := risk.ParseLevel(c.Risk.WhenDown)
	if err != nil {
		return g, err
	}
	g.Risk, err = c.riskClient(k, logger, down)
	return g, err
}

// riskClient makes what asks the outside risk service; nil without one.
func (c Config) riskClient(k keys, logger *slog.Logger, whenDown risk.Level) (*risk.Client, error) {
	if c.Risk.URL == "" {
		return nil, nil
	}
	return risk.New(risk.Config{URL: c.Risk.URL, Timeout: c.Risk.Timeout, CacheTTL: c.Risk.CacheTTL,
		WhenDown: whenDown, Logger: logger, Token: k.risk})
}

// lookRisk makes what the second look asks about paid orders: a client of its own, so that
// a service that fails under its questions is not left alone by grabs.
func (c Config) lookRisk(k keys, logger *slog.Logger) (*risk.Client, error) {
	whenDown := risk.Challenge
	if c.Risk.LookWhenDown == "pass" {
		whenDown = risk.Allow
	}
	return c.riskClient(k, logger, whenDown)
}

func (c Config) newLogger(to io.Writer) *slog.Logger {
	options := &slog.HandlerOptions{}
	var level slog.Level
	if level.UnmarshalText([]byte(c.LogLevel)) == nil { // checked by Validate
		options.Level = level
	}
	if c.LogFormat == "json" {
		return slog.New(slog.NewJSONHandler(to, options))
	}
	return slog.New(slog.NewTextHandler(to, options))
}
