package main

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"maps"
	"net"
	"os"
	"regexp"
	"slices"
	"strings"
	"time"

	"github.com/knadh/koanf/providers/confmap"
	"github.com/knadh/koanf/providers/env/v2"
	"github.com/knadh/koanf/providers/posflag"
	"github.com/knadh/koanf/v2"
	"github.com/spf13/cobra"
	"github.com/spf13/pflag"
	yamlnode "go.yaml.in/yaml/v3"

	"doorbuster/actors"
	"doorbuster/cluster"
	"doorbuster/cluster/peer"
	"doorbuster/engine"
	"doorbuster/httpapi/auth"
	"doorbuster/httpapi/plan"
	"doorbuster/wal/vfs"
)

// Config of a node, from the lowest to the highest: defaults, --config file
// (YAML), environment (DOORBUSTER_HTTP for http), flags.
type Config struct {
	Node string `koanf:"node"`
	Zone string `koanf:"zone"`
	Data string `koanf:"data"`
	HTTP string `koanf:"http"`
	// Display is for whoever looks; "" where shoppers' own address serves them.
	Display string `koanf:"display"`
	Admin   string `koanf:"admin"`
	Peer    string `koanf:"peer"`
	Dev     bool   `koanf:"dev"`

	Cluster ClusterConfig `koanf:"cluster"`

	ShopperKeyFile       string `koanf:"shopper_key_file"`
	ShopperPublicKeyFile string `koanf:"shopper_public_key_file"`
	OpsKeyFile           string `koanf:"ops_key_file"`
	OpenMetrics          bool   `koanf:"open_metrics"`

	WaitingDepth     int           `koanf:"waiting_depth"`
	GrabTimeout      time.Duration `koanf:"grab_timeout"`
	JournalEntries   int           `koanf:"journal_entries"`
	SnapshotBytes    int64         `koanf:"snapshot_bytes"`
	SettleAfter      time.Duration `koanf:"settle_after"`
	KeepEvents       time.Duration `koanf:"keep_events"`
	KeepEventBytes   int64         `koanf:"keep_event_bytes"`
	Connections      int           `koanf:"connections"`
	ConnectionsPerIP int           `koanf:"connections_per_ip"`

	DisplayConnections      int `koanf:"display_connections"`
	DisplayConnectionsPerIP int `koanf:"display_connections_per_ip"`

	IdleTimeout   time.Duration `koanf:"idle_timeout"`
	HeaderBytes   int           `koanf:"header_bytes"`
	ReadTimeout   time.Duration `koanf:"read_timeout"`
	WriteTimeout  time.Duration `koanf:"write_timeout"`
	TokenBytes    int           `koanf:"token_bytes"`
	ShopperIssuer string        `koanf:"shopper_issuer"`
	OpsIssuer     string        `koanf:"ops_issuer"`

	EventStreams int `koanf:"event_streams"`

	TrustedProxies            []string      `koanf:"trusted_proxies"`
	RateLimitShopperPerSecond float64       `koanf:"rate_limit_shopper_per_second"`
	RateLimitShopperBurst     int           `koanf:"rate_limit_shopper_burst"`
	RateLimitAddressPerSecond float64       `koanf:"rate_limit_address_per_second"`
	RateLimitAddressBurst     int           `koanf:"rate_limit_address_burst"`
	RateLimitLookPerSecond    float64       `koanf:"rate_limit_look_per_second"`
	RateLimitLookBurst        int           `koanf:"rate_limit_look_burst"`
	RateLimitWritePerSecond   float64       `koanf:"rate_limit_write_per_second"`
	RateLimitWriteBurst       int           `koanf:"rate_limit_write_burst"`
	TicketTTL                 time.Duration `koanf:"ticket_ttl"`
	ChallengeMaxNumber        int64         `koanf:"challenge_max_number"`
	ChallengeLifetime         time.Duration `koanf:"challenge_lifetime"`

	HomeCountry   string        `koanf:"home_country"`
	RiskURL       string        `koanf:"risk_url"`
	RiskTimeout   time.Duration `koanf:"risk_timeout"`
	RiskCacheTTL  time.Duration `koanf:"risk_cache_ttl"`
	RiskWhenDown  string        `koanf:"risk_when_down"`
	RiskTokenFile string        `koanf:"risk_token_file"`
	RiskListShare int           `koanf:"risk_list_share"`

	PayKeys        string        `koanf:"pay_keys"`
	CashierURL     string        `koanf:"cashier_url"`
	CashierKeyFile string        `koanf:"cashier_key_file"`
	CashierTimeout time.Duration `koanf:"cashier_timeout"`

	ReconcileFolder   string `koanf:"reconcile_folder"`
	ReconcileURL      string `koanf:"reconcile_url"`
	ReconcileAt       string `koanf:"reconcile_at"`
	ReconcileTimezone string `koanf:"reconcile_timezone"`
	ReconcileKeyFile  string `koanf:"reconcile_key_file"`

	ReconcileIgnoreKinds   []string `koanf:"reconcile_ignore_kinds"`
	ReconcileOrderPrefixes []string `koanf:"reconcile_order_prefixes"`

	StopDelay    time.Duration `koanf:"stop_delay"`
	StallTimeout time.Duration `koanf:"stall_timeout"`
	LogLevel     string        `koanf:"log_level"`
	LogFormat    string        `koanf:"log_format"`

	// Tests' bounds of streams of events; 0 is what the operations API begins with.
	eventHeartbeat, eventPatience time.Duration

	logSink *logSink // where serve's logger writes; nil where it writes by itself

	wall func() time.Time // tests' clock; nil is the machine's
	fs   vfs.FS           // tests' disk under the log; nil is the machine's
}

// ClusterConfig is the part of a node's configuration that stands in a file only.
// Without an id the node is alone.
type ClusterConfig struct {
	ID          string        `koanf:"id"`
	ZoneAck     string        `koanf:"zone_ack"`
	ZoneTimeout time.Duration `koanf:"zone_timeout"`
	CA          string        `koanf:"ca"`
	Cert        string        `koanf:"cert"`
	Key         string        `koanf:"key"`
	Nodes       []NodeConfig  `koanf:"nodes"`
}

// NodeConfig is a node that a new cluster begins with.
type NodeConfig struct {
	ID   string `koanf:"id"`
	Zone string `koanf:"zone"`
	Kind string `koanf:"kind"`
	Peer string `koanf:"peer"`
}

// clusterKeys and nodeKeys are the keys that may stand in a file's cluster
// section, and in each of its nodes.
var (
	clusterKeys = []string{"ca", "cert", "id", "key", "nodes", "zone_ack", "zone_timeout"}
	nodeKeys    = []string{"id", "kind", "peer", "zone"}
)

const envPrefix = "DOORBUSTER_"

// addConfigFlags declares every setting as a flag, with its default: the only
// place where defaults stand.
func addConfigFlags(f *pflag.FlagSet) {
	f.String("config", "", "YAML `file` with the same settings as these flags (dashes become underscores)")
	f.String("node", "n1", "this node's `id`; it stays with the data directory")
	f.String("zone", "z1", "the machine room that this node stands in")
	f.String("data", "", "data `directory`; made if missing (required)")
	f.String("http", "127.0.0.1:8080", "`address` for shoppers")
	f.String("display", "", "`address` for whoever looks, with connections of its own; without it --http serves them")
	f.String("admin", "127.0.0.1:8081", "`address` for operators")
	f.String("peer", "", "`address` for the other nodes of a cluster (with a 'cluster' section in the --config file)")
	f.Bool("dev", false, "for trying out: loopback only, a shopper is whoever X-Shopper-Id says, no token for operators")
	f.String("shopper-key-file", "", "`file` with the HS256 secret that shoppers' tokens (JWT) are signed with, 32 bytes or more; several, one a line, all do; read again when it changes")
	f.String("shopper-public-key-file", "", "PEM `file` with the public key for shoppers' tokens (Ed25519, RSA, P-256), or several of one kind; read again when it changes")
	f.String("ops-key-file", "", "`file` with the HS256 secret for operators' tokens, 32 bytes or more; another one than the shoppers'; several, one a line, all do; read again when it changes")
	f.Bool("open-metrics", false, "answer /metrics without a token")
	f.Int("waiting-depth", 16_384, "grabs of one listing that may wait inside; more are told that they missed it")
	f.Duration("grab-timeout", 2*time.Second, "after this a grab that is not decided is answered \"processing\"")
	f.Int("journal-entries", 262_144, "reasons why shoppers were refused that this node remembers, 32 bytes each, the oldest overwritten first; 0 = none")
	f.Int64("snapshot-bytes", 256<<20, "bytes of log after which a snapshot is taken")
	f.Duration("settle-after", 24*time.Hour, "how long after its end a session's orders leave memory for the ledger, once nothing of it is undecided")
	f.Duration("keep-events", 90*24*time.Hour, "how long the ledger keeps events")
	f.Int64("keep-event-bytes", 4<<30, "bytes of events that the ledger keeps, about; the oldest are dropped first, operators' deeds once they alone fill a quarter")
	f.Int("event-streams", 10_000, "streams of events (GET /v1/events) open at once at most; four of one shopper")
	addDoorFlags(f)
	addGuardFlags(f)
	addCashierFlags(f)
	addReconcileFlags(f)
	f.Duration("stop-delay", time.Second, "how long a node of a cluster that is told to stop goes on serving, not ready and without leadership, so that load balancers notice")
	f.Duration("stall-timeout", 1500*time.Millisecond, "how long one write or fsync of the log may take before the node stops, so that another leads; more for a disk that pauses when it is busy")
	f.String("log-level", "info", "debug, info, warn or error")
	f.String("log-format", "text", "text or json")
}

func keyOf(flag string) string { return strings.ReplaceAll(flag, "-", "_") }

// loadConfig puts the layers together and checks the whole: every problem at once.
func loadConfig(flags *pflag.FlagSet) (cfg Config, err error) {
	k := koanf.New(".")
	known := map[string]bool{}
	flags.VisitAll(func(f *pflag.Flag) { known[keyOf(f.Name)] = true })
	for _, not := range []string{"config", "help", "from"} {
		delete(known, not)
	}
	path, _ := flags.GetString("config")
	if path == "" {
		path = os.Getenv(envPrefix + "CONFIG")
	}
	if path != "" {
		settings, err := readFile(path, known)
		if err != nil {
			return cfg, err
		}
		if err := k.Load(confmap.Provider(settings, ""), nil); err != nil {
			return cfg, fmt.Errorf("config %s: %w", path, err)
		}
		if err := k.Load(confmap.Provider(flattened(k.All()), "."), nil); err != nil {
			return cfg, fmt.Errorf("config %s: %w", path, err)
		}
	}
	if err := checkEnvironment(known); err != nil {
		return cfg, usageError{err}
	}
	if err := k.Load(env.Provider(".", env.Opt{Prefix: envPrefix, TransformFunc: func(name, value string) (string, any) {
		// One that is empty is taken as not set: that is how compose files and
		// the like leave out what they have a variable for.
		if key := strings.ToLower(strings.TrimPrefix(name, envPrefix)); known[key] && value != "" {
			return key, value
		}
		return "", nil
	}}), nil); err != nil {
		return cfg, fmt.Errorf("environment: %w", err)
	}
	if err := k.Load(posflag.ProviderWithFlag(flags, ".", k, func(f *pflag.Flag) (string, any) {
		if key := keyOf(f.Name); known[key] {
			return key, posflag.FlagVal(flags, f)
		}
		return "", nil
	}), nil); err != nil {
		return cfg, fmt.Errorf("flags: %w", err)
	}
	if err := k.Unmarshal("", &cfg); err != nil {
		return cfg, usageError{badSettings(flags, k.String, err)}
	}
	cfg.complete()
	if err := cfg.Validate(); err != nil {
		return cfg, usageError{err}
	}
	return cfg, nil
}

// orchestrators is what Kubernetes sets for a Service called doorbuster, or doorbuster-…
var orchestrators = regexp.MustCompile(`_SERVICE_(HOST|PORT(_\w+)?)=|_PORT(_\d+_[A-Z]+)?=\w+://|_PORT_\d+_[A-Z]+_(PROTO|PORT|ADDR)=`)

// checkEnvironment refuses variables of ours that mean nothing.
func checkEnvironment(known map[string]bool) error {
	near := cobra.Command{SuggestionsMinimumDistance: 3}
	for _, key := range slices.Sorted(maps.Keys(known)) {
		near.AddCommand(&cobra.Command{Use: envPrefix + strings.ToUpper(key), Run: func(*cobra.Command, []string) {}})
	}
	var errs []error
	for _, pair := range os.Environ() {
		name, value, _ := strings.Cut(pair, "=")
		key, ours := strings.CutPrefix(name, envPrefix)
		if !ours || value == "" || known[strings.ToLower(key)] || slices.Contains([]string{"CONFIG", "TOKEN"}, key) || orchestrators.MatchString(pair) {
			continue
		}
		hint := "'doorbuster serve --help' lists them"
		if names := near.SuggestionsFor(name); len(names) > 0 {
			hint = "did you mean " + strings.Join(names, ", ") + "?"
		} else if strings.HasPrefix(key, "CLUSTER_") {
			hint = "the cluster's stand in the --config file only"
		}
		errs = append(errs, fmt.Errorf("environment: %s is no setting; %s", name, hint))
	}
	return errors.Join(errs...)
}

// readFile reads a file of settings as text, so that each has to be written as for its
// flag; what counts 75 as nanoseconds and 7.9 as 7 never sees a number.
func readFile(path string, known map[string]bool) (settings map[string]any, err error) {
	text, err := os.ReadFile(path)
	if err != nil {
		return nil, fmt.Errorf("config: %w", err)
	}
	var doc yamlnode.Node
	if err := yamlnode.Unmarshal(text, &doc); err != nil {
		line, column, said := plan.NotYAML(text, err)
		return nil, fmt.Errorf("config %s:%d:%d: %s", path, line, column, said)
	}
	if len(doc.Content) == 0 {
		return nil, nil
	}
	if err := checkKeys(path, doc.Content[0], known); err != nil {
		return nil, err
	}
	asText(&doc)
	if err := doc.Decode(&settings); err != nil {
		return nil, fmt.Errorf("config %s: %w", path, err)
	}
	return settings, nil
}

// asText takes every value under node for text.
func asText(node *yamlnode.Node) {
	if node.Kind == yamlnode.ScalarNode && node.ShortTag() != "!!null" && node.ShortTag() != "!!merge" {
		node.Tag = "!!str"
	}
	for _, child := range node.Content {
		asText(child)
	}
}

// checkKeys refuses keys that mean nothing, each with its line.
func checkKeys(path string, root *yamlnode.Node, known map[string]bool) error {
	if root.Kind != yamlnode.MappingNode {
		return fmt.Errorf("config %s:%d: it must be a list of settings, \"key: value\"", path, root.Line)
	}
	var errs []error
	seen := map[string]int{}
	for i := 0; i+1 < len(root.Content); i += 2 {
		key := root.Content[i]
		if slices.Contains(sections, key.Value) && seen[key.Value] == 0 {
			errs = append(errs, checkSection(path, key.Value, root.Content[i+1], known))
			seen[key.Value] = key.Line
			continue
		}
		if key.Value == "cluster" && seen[key.Value] == 0 {
			errs = append(errs, checkCluster(path, root.Content[i+1]))
			seen[key.Value] = key.Line
			continue
		}
		if !known[key.Value] {
			names := make([]string, 0, len(known))
			for name := range known {
				names = append(names, name)
			}
			names = append(append(names, "cluster"), sections...)
			slices.Sort(names)
			errs = append(errs, fmt.Errorf("config %s:%d: unknown key %q; known are %s", path, key.Line, key.Value, strings.Join(names, ", ")))
		}
		if line, twice := seen[key.Value]; twice {
			errs = append(errs, fmt.Errorf("config %s:%d: %q was set in line %d already", path, key.Line, key.Value, line))
		}
		seen[key.Value] = key.Line
		errs = append(errs, checkValue(path, key.Value, key.Value, root.Content[i+1]))
	}
	return errors.Join(errs...)
}

// listKeys are the settings that take several values: as a list in a file, and
// separated by commas everywhere.
var listKeys = []string{"reconcile_ignore_kinds", "reconcile_order_prefixes", "trusted_proxies"}

// checkValue refuses what can't be the value of a key; name is how the file has it.
func checkValue(path, key, name string, value *yamlnode.Node) error {
	switch {
	case value.Kind == yamlnode.ScalarNode:
		return nil
	case !slices.Contains(listKeys, key):
		return fmt.Errorf("config %s:%d: %q takes a single value", path, value.Line, name)
	case value.Kind != yamlnode.SequenceNode || slices.ContainsFunc(value.Content,
		func(v *yamlnode.Node) bool { return v.Kind != yamlnode.ScalarNode }):
		return fmt.Errorf("config %s:%d: %q takes a list of single values, such as [a, b]", path, value.Line, name)
	}
	return nil
}

// checkCluster is checkKeys for the cluster section.
func checkCluster(path string, section *yamlnode.Node) error {
	if section.Kind != yamlnode.MappingNode {
		return fmt.Errorf("config %s:%d: cluster must be a section with the keys %s", path, section.Line, strings.Join(clusterKeys, ", "))
	}
	errs := []error{checkMapping(path, "cluster.", section, clusterKeys, "nodes")}
	for i := 0; i+1 < len(section.Content); i += 2 {
		if section.Content[i].Value != "nodes" {
			continue
		}
		nodes := section.Content[i+1]
		if nodes.Kind != yamlnode.SequenceNode {
			errs = append(errs, fmt.Errorf("config %s:%d: cluster.nodes must be a list, each like {id: a1, zone: a, peer: \"10.0.1.1:8082\"}", path, nodes.Line))
			continue
		}
		for j, node := range nodes.Content {
			if node.Kind != yamlnode.MappingNode {
				errs = append(errs, fmt.Errorf("config %s:%d: cluster.nodes[%d] must be like {id: a1, zone: a, peer: \"10.0.1.1:8082\"}", path, node.Line, j))
				continue
			}
			errs = append(errs, checkMapping(path, fmt.Sprintf("cluster.nodes[%d].", j), node, nodeKeys, ""))
		}
	}
	return errors.Join(errs...)
}

// checkMapping refuses keys of a section that mean nothing or stand there twice,
// and values, but that of list, that are more than one.
func checkMapping(path, prefix string, section *yamlnode.Node, known []string, list string) error {
	var errs []error
	seen := map[string]int{}
	for i := 0; i+1 < len(section.Content); i += 2 {
		key, value := section.Content[i], section.Content[i+1]
		if !slices.Contains(known, key.Value) {
			errs = append(errs, fmt.Errorf("config %s:%d: unknown key %q; known are %s", path, key.Line, prefix+key.Value, strings.Join(known, ", ")))
		} else if value.Kind != yamlnode.ScalarNode && key.Value != list {
			errs = append(errs, fmt.Errorf("config %s:%d: %q takes a single value", path, value.Line, prefix+key.Value))
		}
		if line, twice := seen[key.Value]; twice {
			errs = append(errs, fmt.Errorf("config %s:%d: %q was set in line %d already", path, key.Line, prefix+key.Value, line))
		}
		seen[key.Value] = key.Line
	}
	return errors.Join(errs...)
}

// complete fills in what a configuration may leave out.
func (c *Config) complete() {
	for _, list := range []*[]string{&c.ReconcileIgnoreKinds, &c.ReconcileOrderPrefixes, &c.TrustedProxies} {
		var all []string
		for _, some := range *list {
			for one := range strings.SplitSeq(some, ",") {
				all = append(all, strings.TrimSpace(one))
			}
		}
		*list = all
	}
	if c.Cluster.ID == "" {
		return
	}
	if c.Cluster.ZoneAck == "" {
		c.Cluster.ZoneAck = string(cluster.ZoneAckPrefer)
	}
	if c.Cluster.ZoneTimeout == 0 {
		c.Cluster.ZoneTimeout = cluster.DefaultConfig("").ZoneTimeout
	}
	for i := range c.Cluster.Nodes {
		if c.Cluster.Nodes[i].Kind == "" {
			c.Cluster.Nodes[i].Kind = string(cluster.KindVoter)
		}
	}
}

// validateCluster reports everything that is wrong with the cluster section.
func (c Config) validateCluster() error {
	var errs []error
	bad := func(format string, args ...any) { errs = append(errs, fmt.Errorf(format, args...)) }
	given := c.Cluster.ZoneAck != "" || c.Cluster.CA != "" || c.Cluster.Cert != "" || c.Cluster.Key != "" || len(c.Cluster.Nodes) > 0 || c.Peer != ""
	if c.Cluster.ID == "" {
		if given {
			bad("cluster.id: there are settings of a cluster, but it has no id; give it one, the same on all nodes")
		}
		return errors.Join(errs...)
	}
	host, _, err := net.SplitHostPort(c.Peer)
	switch {
	case c.Peer == "":
		bad("peer: a node of a cluster needs an address for the others, HOST:PORT")
	case err != nil:
		bad("peer: %q is not HOST:PORT", c.Peer)
	case c.Dev && !loopback(host):
		bad("peer: --dev has no certificates, so it listens on loopback only (127.0.0.1:PORT), not on %q", c.Peer)
	}
	if files := []string{c.Cluster.CA, c.Cluster.Cert, c.Cluster.Key}; c.Dev {
		if slices.ContainsFunc(files, func(f string) bool { return f != "" }) && slices.Contains(files, "") {
			bad("cluster.ca, cluster.cert, cluster.key: all three or none")
		}
	} else if slices.Contains(files, "") {
		bad("cluster.ca, cluster.cert, cluster.key: nodes talk to each other by certificates (mTLS); 'doorbuster cluster certs' makes some for trying out (or use --dev)")
	}
	cc := cluster.DefaultConfig("-")
	c.clusterInto(&cc)
	cc.Decider = desk{}
	errs = append(errs, cc.Validate())
	return errors.Join(errs...)
}

// clusterInto hands the cluster section on.
func (c Config) clusterInto(cc *cluster.Config) {
	cc.NodeID, cc.Zone, cc.ClusterID, cc.Listen = c.Node, c.Zone, c.Cluster.ID, c.Peer
	cc.ZoneAck, cc.ZoneTimeout = cluster.ZoneAck(c.Cluster.ZoneAck), c.Cluster.ZoneTimeout
	if c.Cluster.CA != "" {
		cc.TLS = &peer.Files{CA: c.Cluster.CA, Cert: c.Cluster.Cert, Key: c.Cluster.Key}
	}
	for _, n := range c.Cluster.Nodes {
		cc.Members = append(cc.Members, cluster.Member{ID: n.ID, Zone: n.Zone, Kind: cluster.Kind(n.Kind), Peer: n.Peer})
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

// Validate reports every setting that can't be.
func (c Config) Validate() error {
	var errs []error
	bad := func(format string, args ...any) { errs = append(errs, fmt.Errorf(format, args...)) }
	if c.Data == "" {
		bad("no data directory: say where with --data DIR")
	}
	if !engine.ValidID(c.Node) {
		bad("node: %q is not 1 to %d letters, digits, dots, dashes or underscores", c.Node, engine.MaxIDBytes)
	}
	if !engine.ValidID(c.Zone) {
		bad("zone: %q is not 1 to %d letters, digits, dots, dashes or underscores", c.Zone, engine.MaxIDBytes)
	}
	for _, a := range []struct{ key, addr string }{{"http", c.HTTP}, {"display", c.Display}, {"admin", c.Admin}} {
		if a.key == "display" && a.addr == "" {
			continue
		}
		host, _, err := net.SplitHostPort(a.addr)
		if err != nil {
			bad("%s: %q is not HOST:PORT", a.key, a.addr)
		} else if c.Dev && !loopback(host) {
			bad("%s: --dev trusts everybody, so it listens on loopback only (127.0.0.1:PORT), not on %q", a.key, a.addr)
		}
	}
	if !c.Dev {
		if c.ShopperKeyFile == "" && c.ShopperPublicKeyFile == "" {
			bad("shoppers need tokens: give --shopper-key-file or --shopper-public-key-file (or --dev to try things out)")
		}
		if c.OpsKeyFile == "" {
			bad("operators need tokens: give --ops-key-file (or --dev to try things out); 'doorbuster token' makes tokens")
		}
	}
	errs = append(errs, c.validateCluster(), c.validateDoors(), c.validateGuard(), c.validateCashier(), c.validateReconcile())
	if c.WaitingDepth < 1 || c.WaitingDepth > 1<<20 {
		bad("waiting_depth: %d is not between 1 and %d", c.WaitingDepth, 1<<20)
	}
	if c.GrabTimeout < 10*time.Millisecond || c.GrabTimeout > time.Minute {
		bad("grab_timeout: %s is not between 10ms and 1m", c.GrabTimeout)
	}
	if c.JournalEntries < 0 || c.JournalEntries > actors.MaxJournalEntries {
		bad("journal_entries: %d is not between 0 and %d", c.JournalEntries, actors.MaxJournalEntries)
	}
	if c.SettleAfter < 0 || c.SettleAfter > 10*365*24*time.Hour {
		bad("settle_after: %s is not between 0s and 10 years", c.SettleAfter)
	}
	if c.KeepEvents < time.Minute || c.KeepEvents > 20*365*24*time.Hour {
		bad("keep_events: %s is not between 1m and 20 years", c.KeepEvents)
	}
	if c.KeepEventBytes < 1<<20 {
		bad("keep_event_bytes: %d is under 1048576", c.KeepEventBytes)
	}
	if c.SnapshotBytes < 1<<20 {
		bad("snapshot_bytes: %d is under 1048576", c.SnapshotBytes)
	}
	if c.StopDelay < 0 || c.StopDelay > 10*time.Minute {
		bad("stop_delay: %s is not between 0s and 10m", c.StopDelay)
	}
	if c.StallTimeout < 100*time.Millisecond || c.StallTimeout > 10*time.Minute {
		bad("stall_timeout: %s is not between 100ms and 10m", c.StallTimeout)
	}
	if _, err := c.level(); err != nil {
		bad("log_level: %q is none of debug, info, warn, error", c.LogLevel)
	}
	if c.LogFormat != "text" && c.LogFormat != "json" {
		bad("log_format: %q is neither text nor json", c.LogFormat)
	}
	return errors.Join(errs...)
}

func loopback(host string) bool {
	ip := net.ParseIP(host)
	return host == "localhost" || ip != nil && ip.IsLoopback()
}

func (c Config) level() (level slog.Level, err error) {
	if !slices.Contains([]string{"debug", "info", "warn", "error"}, strings.ToLower(c.LogLevel)) {
		return level, errors.New("no such level")
	}
	return level, level.UnmarshalText([]byte(c.LogLevel))
}

func (c Config) newLogger(to io.Writer) *slog.Logger {
	level, _ := c.level() // checked by Validate
	options := &slog.HandlerOptions{Level: level}
	if c.LogFormat == "json" {
		return slog.New(slog.NewJSONHandler(to, options))
	}
	return slog.New(slog.NewTextHandler(to, options))
}

// keys are what others are believed by, and what this node is: all that is read again
// when its file changes.
type keys struct {
	shopper, ops auth.Keys
	risk         string // the token that the risk service is asked with; "" without
	cashierKeys
}

func (c Config) readKeys() (k keys, err error) {
	if c.RiskTokenFile != "" {
		token, err := auth.ReadFile(c.RiskTokenFile)
		if err != nil {
			return k, fmt.Errorf("the risk service's token: %w", err)
		}
		k.risk = string(bytes.TrimSpace(token))
	}
	if k.cashierKeys, err = c.readCashierKeys(); err != nil || c.Dev {
		return k, err
	}
	k.shopper.Issuer, k.ops.Issuer = c.ShopperIssuer, c.OpsIssuer
	for _, want := range []struct {
		path string
		into *[]byte
		what string
	}{
		{c.ShopperKeyFile, &k.shopper.Secret, "shoppers' secret"},
		{c.ShopperPublicKeyFile, &k.shopper.PublicKeyPEM, "shoppers' public key"},
		{c.OpsKeyFile, &k.ops.Secret, "operators' secret"},
	} {
		if want.path == "" {
			continue
		}
		if *want.into, err = auth.ReadFile(want.path); err != nil {
			return k, fmt.Errorf("%s: %w", want.what, err)
		}
	}
	for _, shoppers := range auth.Secrets(k.shopper.Secret) {
		for _, operators := range auth.Secrets(k.ops.Secret) {
			if len(shoppers) > 0 && string(shoppers) == string(operators) {
				return k, errors.New("shoppers and operators must not share a secret: make another with 'openssl rand -base64 48'")
			}
		}
	}
	return k, nil
}

// readSigningKey reads the secret that tokens are made with: a file's first.
func readSigningKey(path string) ([]byte, error) {
	b, err := auth.ReadFile(path)
	if err != nil {
		return nil, err
	}
	return auth.Secrets(b)[0], nil
}
