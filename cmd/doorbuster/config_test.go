package main

import (
	"fmt"
	"os"
	"path/filepath"
	"reflect"
	"slices"
	"strings"
	"testing"

	"github.com/spf13/pflag"

	"doorbuster/cmd/doorbuster/nodetest"
	"doorbuster/cmd/doorbuster/settings"
)

// noEnvironment hides what the machine may have set. Tests that read the
// environment don't run beside others.
func noEnvironment(t *testing.T) {
	t.Helper()
	for _, pair := range os.Environ() {
		if name, _, _ := strings.Cut(pair, "="); strings.HasPrefix(name, envPrefix) {
			t.Setenv(name, "") // so that it comes back afterwards
			os.Unsetenv(name)
		}
	}
}

func load(t *testing.T, args ...string) (Config, error) {
	t.Helper()
	flags := pflag.NewFlagSet("serve", pflag.ContinueOnError)
	addConfigFlags(flags)
	if err := flags.Parse(args); err != nil {
		t.Fatal(err)
	}
	return loadConfig(flags)
}

// settingsOf calls each with the settings that are flags.
func settingsOf(t *testing.T, each func(*settings.Setting, *pflag.Flag)) {
	t.Helper()
	flags := pflag.NewFlagSet("serve", pflag.ContinueOnError)
	addConfigFlags(flags)
	seen := 0
	for _, s := range new(Config).table().Settings {
		if f := flags.Lookup(s.Flag()); f != nil {
			seen++
			each(s, f)
		}
	}
	if seen < 60 {
		t.Errorf("only %d settings were seen", seen)
	}
}

// saysLine reports whether one of an error's lines is this.
func saysLine(err error, line string) bool {
	return err != nil && slices.Contains(strings.Split(err.Error(), "\n"), line)
}

func TestFlagsBeforeEnvironmentBeforeFile(t *testing.T) {
	noEnvironment(t)
	file := nodetest.TempFile(t,
		"data: /from/file\nzone: file\nnode: file\nwaiting_depth: 5\ndev: true\ngrab_timeout: 3s\n")
	t.Setenv("DOORBUSTER_ZONE", "environment")
	t.Setenv("DOORBUSTER_NODE", "environment")
	t.Setenv("DOORBUSTER_WAITING_DEPTH", "6")
	t.Setenv("DOORBUSTER_TOKEN", "none of a node's settings")
	cfg, err := load(t, "--config", file, "--node", "flag")
	if err != nil {
		t.Fatal(err)
	}
	if cfg.Node != "flag" || cfg.Zone != "environment" || cfg.Grabs.WaitingDepth != 6 || cfg.Data != "/from/file" ||
		!cfg.Dev ||
		cfg.Grabs.Timeout.String() != "3s" || cfg.HTTP != "127.0.0.1:8080" {
		t.Errorf("%+v", cfg)
	}
	t.Setenv("DOORBUSTER_CONFIG", file)
	if cfg, err = load(t); err != nil || cfg.Data != "/from/file" || cfg.Zone != "environment" {
		t.Errorf("%v %+v", err, cfg)
	}
	// A flag that says what is the default anyway is still said.
	if cfg, err = load(t, "--zone", "z1"); err != nil || cfg.Zone != "z1" {
		t.Errorf("%v %+v", err, cfg)
	}
}

// samples has a value other than the default for every setting.
var samples = map[string]string{
	"node": "n9", "zone": "z9", "data": "/d", "http": "127.0.0.1:9", "admin": "127.0.0.1:8", "dev": "true",
	"shopper-key-file": "/s", "shopper-public-key-file": "/p", "ops-key-file": "/o", "open-metrics": "true",
	"waiting-depth": "9", "grab-timeout": "9s", "stop-delay": "9s", "stall-timeout": "9s", "snapshot-bytes": "9999999",
	"journal-entries": "9", "connections": "9", "connections-per-ip": "9",
	"display": "127.0.0.1:7", "display-connections": "9", "display-connections-per-ip": "9", "log-level": "warn",
	"log-format":    "json",
	"event-streams": "9", "trusted-proxies": "10.0.0.9,10.0.0.8", "rate-limit-shopper-per-second": "9",
	"rate-limit-shopper-burst":      "9",
	"rate-limit-address-per-second": "9", "rate-limit-address-burst": "9", "ticket-ttl": "9s",
	"challenge-max-number": "9999", "challenge-lifetime": "99s",
	"pay-keys": "/k", "cashier-url": "http://127.0.0.1:9/", "cashier-key-file": "/c", "cashier-timeout": "999ms",
	"settle-after": "9h", "keep-events": "9h", "keep-event-bytes": "9999999",
	"reconcile-folder": "/r", "reconcile-url": "http://127.0.0.1:9/", "reconcile-at": "05:15",
	"reconcile-timezone": "Asia/Shanghai", "reconcile-key-file": "/r", "reconcile-format": "wechat",
	"reconcile-ignore-kinds": "fee,gift", "reconcile-order-prefixes": "R/,S/", "rate-limit-look-per-second": "9",
	"rate-limit-look-burst": "9", "rate-limit-write-per-second": "9", "rate-limit-write-burst": "9",
	"risk-url": "http://127.0.0.1:9/", "risk-timeout": "99ms", "risk-cache-ttl": "9s", "risk-when-down": "block",
	"home-country": "CN",
	"idle-timeout": "9s", "header-bytes": "9999", "read-timeout": "9s", "write-timeout": "9s", "token-bytes": "999",
	"shopper-issuer": "s", "ops-issuer": "o",
	"risk-list-share": "9", "risk-look-when-down": "pass", "personal-keys": "/q", "personal-erase-after": "9h",
	"storefront": "true", "storefront-theme": "/t", "storefront-cashier": "http://127.0.0.1:9/pay",
	"warnings-repeat": "9m", "warnings-pass-on": "9m", "warnings-fault-percent": "9", "warnings-hot-per-second": "999",
	"metrics-listings": "9", "metrics-exemplars": "true",
	"traces-endpoint": "http://127.0.0.1:9/", "traces-sample-ratio": "0.9",
	"warnings-fsync": "9ms", "warnings-callbacks-silent": "9m", "warnings-share-window": "9m",
	"approvals-plan-units": "9", "approvals-plan-listings": "9", "approvals-words": "true",
	"approvals-end-session": "true", "approvals-within": "9m",
}

func TestEverySettingInThreePlaces(t *testing.T) {
	noEnvironment(t)
	basis, err := load(t, "--data", "/x", "--dev")
	if err != nil {
		t.Fatal(err)
	}
	settingsOf(t, func(set *settings.Setting, f *pflag.Flag) {
		t.Run(f.Name, func(t *testing.T) {
			switch f.Name {
			case "peer", "risk-token-file", "reconcile-key-file", "traces-token-file":
				return // mean nothing without the cluster section of a file, or a service
			}
			value, ok := samples[f.Name]
			if !ok {
				t.Fatal("no sample of this setting")
			}
			fixed := []string{"--dev", "--data=/x"}
			if f.Name == "dev" {
				fixed = []string{"--data=/x"}
			} else if f.Name == "data" {
				fixed = []string{"--dev"}
			} else if strings.HasPrefix(f.Name, "approvals-") { // everybody is one operator in --dev
				fixed = []string{"--data=/x", "--shopper-key-file=/s", "--ops-key-file=/o"}
			}
			byFlag, err := load(t, append(fixed, "--"+f.Name+"="+value)...)
			if err != nil || reflect.DeepEqual(byFlag, basis) && f.Name != "dev" {
				t.Errorf("flag: %v %+v", err, byFlag)
			}
			files := []string{strings.ReplaceAll(set.Key, ".", "_") + ": " + value, nested(set.Key, value)}
			if f.Value.Type() == "strings" {
				files = append(files, nested(set.Key, "["+value+"]"))
			}
			for _, text := range files {
				byFile, err := load(t, append(fixed, "--config", nodetest.TempFile(t, text+"\n"))...)
				if err != nil || !reflect.DeepEqual(byFile, byFlag) {
					t.Errorf("file: %v %+v, not %+v", err, byFile, byFlag)
				}
			}
			t.Setenv(set.Variable(envPrefix), value)
			byEnvironment, err := load(t, fixed...)
			if err != nil || !reflect.DeepEqual(byEnvironment, byFlag) {
				t.Errorf("environment: %v %+v, not %+v", err, byEnvironment, byFlag)
			}
		})
	})
}

// nested is a setting in the sections that its key names.
func nested(key, value string) string {
	var text strings.Builder
	parts := strings.Split(key, ".")
	for depth, part := range parts {
		fmt.Fprintf(&text, "%*s%s:", 2*depth, "", part)
		if depth < len(parts)-1 {
			text.WriteByte('\n')
		}
	}
	return text.String() + " " + value
}

// What holds the crowd back may stand in sections.
func TestSections(t *testing.T) {
	noEnvironment(t)
	cfg, err := load(t, "--dev", "--data", "/x", "--config",
		nodetest.TempFile(t, "rate_limit:\n  shopper: {per_second: 2.5, burst: 7}\n  address:\n    per_second: 20\n"+
			"trusted_proxies: [10.1.0.0/16, 192.0.2.1]\nrisk: {url: \"http://127.0.0.1:1/judge\", timeout: 50ms, "+
			"when_down: challenge}\n"))
	if err != nil {
		t.Fatal(err)
	}
	if cfg.RateLimit.Shopper.PerSecond != 2.5 || cfg.RateLimit.Shopper.Burst != 7 ||
		cfg.RateLimit.Address.PerSecond != 20 || cfg.RateLimit.Address.Burst != 20 ||
		len(cfg.TrustedProxies) != 2 || cfg.Risk.Timeout.String() != "50ms" || cfg.Risk.WhenDown != "challenge" {
		t.Errorf("%+v", cfg)
	}
}

func TestBadConfig(t *testing.T) {
	noEnvironment(t)
	for name, c := range map[string]struct {
		file   string
		args   []string
		status int
		want   []string
	}{
		"unknown key": {"dev: true\n\nhtpp: x\nlog_levle: y\n", nil, 2,
			[]string{`:3: htpp: unknown key`, `:4: log_levle: unknown key`, "known are admin,"}},
		"key twice":          {"dev: true\ndev: false\n", nil, 2, []string{":2: dev: set in line 1 already"}},
		"a list for a value": {"node: [a, b]\n", nil, 2, []string{":1: node: it takes a single value"}},
		"lists in a list": {"reconcile: {ignore_kinds: [[a]]}\n", nil, 2,
			[]string{`:1: reconcile.ignore_kinds: it takes a list of single values`}},
		"no settings": {"- a\n", nil, 2, []string{":1:"}},
		"no YAML":     {"a: [\n", nil, 2, []string{"plan.yaml:1:1: not YAML"}},
		"a word for a number": {"dev: true\nwaiting_depth: many\n", []string{"--data", "/x"}, 2,
			[]string{"waiting_depth"}},
		"everything at once": {"", []string{"--http", "8080", "--node", "a b", "--waiting-depth", "0", "--grab-timeout",
			"1ns", "--journal-entries", "-1", "--display", "8083", "--connections", "0", "--connections-per-ip", "-1",
			"--display-connections", "10000001", "--display-connections-per-ip", "-1", "--snapshot-bytes", "1",
			"--log-level", "loud", "--log-format", "xml"}, 2,
			[]string{"no data directory", "--http:", "--node:", "--waiting-depth:", "--grab-timeout:",
				"--journal-entries:", "--display:", "--connections: 0", "--connections-per-ip: -1",
				"--display-connections: 10000001", "--display-connections-per-ip: -1", "--snapshot-bytes:",
				"--log-level:", "--log-format:", "--shopper-key-file", "--ops-key-file"}},
		"bounds in a file": {"rate_limit:\n  address:\n    burst: 0\nhtpp: x\nticket_ttl: 75\n",
			[]string{"--dev", "--data", "/x"}, 2,
			[]string{"plan.yaml:3: rate_limit.address.burst: 0 is not between 1 and 1000000\n",
				"plan.yaml:4: htpp: unknown key", `plan.yaml:5: ticket_ttl: "75" has no unit`}},
		"the guard at once": {"", []string{"--trusted-proxies", "0.0.0.0/0", "--rate-limit-shopper-per-second", "-1",
			"--rate-limit-address-per-second", "1", "--rate-limit-address-burst", "0",
			"--ticket-ttl", "1ns", "--challenge-max-number", "1", "--risk-url", "ftp://x", "--risk-timeout", "1ns",
			"--event-streams", "0", "--home-country", "China"}, 2,
			[]string{"--trusted-proxies: trusted proxy", "--rate-limit-shopper-per-second: -1 is not between 0.001 and",
				"--rate-limit-address-burst: 0 is not between 1 and", "--ticket-ttl: 1ns",
				"--challenge-max-number: 1 is not", "--risk-url: ", "--risk-timeout: 1ns is not", "--event-streams: 0",
				`--home-country: "China" is no country`}},
		"a cashier that is none": {"", []string{"--cashier-url", "x", "--cashier-timeout", "1ns"}, 2,
			[]string{"--cashier-url: URL must be like", "--cashier-timeout: 1ns is not between 10ms and 1m"}},
		"a level that is none": {"", []string{"--risk-url", "http://x/", "--risk-when-down", "perhaps"}, 2,
			[]string{`--risk-when-down: "perhaps" is none of allow, challenge, block`}},
		"a token for nobody": {"", []string{"--risk-token-file", "x"}, 2,
			[]string{"--risk-token-file: there is no risk.url"}},
		"unknown in a section": {"rate_limit:\n  shopper: {per_minute: 1}\nrisk:\n  uri: x\n", nil, 2,
			[]string{`:2: rate_limit.shopper.per_minute: unknown key; known are burst, per_second`,
				`:4: risk.uri: unknown key; known are cache_ttl,`}},
		"no section":            {"rate_limit: 5\n", nil, 2, []string{":1: rate_limit: it must be a section"}},
		"a section for a value": {"risk:\n  url: {a: b}\n", nil, 2, []string{":2: risk.url: it takes a single value"}},
		"dev for everybody": {"", []string{"--dev", "--data", "/x", "--http", "0.0.0.0:8080"}, 2,
			[]string{"loopback only", `"0.0.0.0:8080"`}},
		"dev for everybody ": {"", []string{"--dev", "--data", "/x", "--admin", ":8081"}, 2,
			[]string{"loopback only", `":8081"`}},
		"dev for all eyes": {"", []string{"--dev", "--data", "/x", "--display", "0.0.0.0:8083"}, 2,
			[]string{"--display: --dev", "loopback only", `"0.0.0.0:8083"`}},
		"dev by name": {"", []string{"--dev", "--data", "/x", "--http", "example.com:8080"}, 2,
			[]string{"loopback only"}},
		"no keys": {"", []string{"--data", "/x"}, 2,
			[]string{"shoppers need tokens", "operators need tokens"}},
		"an argument": {"", []string{"--dev", "--data", "/x", "now"}, 2, []string{`"now"`}},
		"unknown flag": {"", []string{"--dve"}, 2,
			[]string{"unknown flag: --dve", "doorbuster serve --help"}},
	} {
		t.Run(name, func(t *testing.T) {
			args := append([]string{"serve"}, c.args...)
			if c.file != "" {
				args = append(args, "--config", nodetest.TempFile(t, c.file))
			}
			status, out, errs := runTool(t, "", args...)
			if status != c.status || out != "" {
				t.Errorf("status %d, %q", status, out)
			}
			for _, part := range c.want {
				if !strings.Contains(errs, part) {
					t.Errorf("no %q in:\n%s", part, errs)
				}
			}
		})
	}
	if status, _, errs := runTool(t, "", "serve", "--config", filepath.Join(t.TempDir(), "none")); status != 1 ||
		!strings.Contains(errs, "no such file") {
		t.Errorf("status %d: %s", status, errs)
	}
}

// TestUnknownVariable: a variable of ours that means nothing is refused with the name of
// what is near; those of the tools, and those that Kubernetes sets for a Service of our
// name, are none of ours.
func TestUnknownVariable(t *testing.T) {
	noEnvironment(t)
	t.Setenv("DOORBUSTER_TOKEN", "none of a node's settings")
	for name, value := range map[string]string{"_SERVICE_HOST": "10.0.0.1", "_ADMIN_SERVICE_PORT_HTTP": "1",
		"_PORT": "tcp://10.0.0.1:1", "_PORT_1_TCP": "tcp://10.0.0.1:1", "_PORT_1_TCP_ADDR": "10.0.0.1"} {
		t.Setenv("DOORBUSTER"+name, value)
	}
	if _, err := load(t, "--data", "/x", "--dev"); err != nil {
		t.Error(err)
	}
	t.Setenv("DOORBUSTER_RISK_LISTSHARE", "7")
	t.Setenv("DOORBUSTER_CLUSTER_NODES", "a")
	t.Setenv("DOORBUSTER_PORT", "8080")
	status, _, errs := runTool(t, "", "serve", "--data", "/x", "--dev")
	for _, want := range []string{"DOORBUSTER_RISK_LISTSHARE is no setting; did you mean DOORBUSTER_RISK_LIST_SHARE?",
		"DOORBUSTER_CLUSTER_NODES is no setting; the cluster's stand in the --config file only",
		"DOORBUSTER_PORT is no setting"} {
		if status != 2 || !strings.Contains(errs, want) {
			t.Errorf("status %d, no %q in:\n%s", status, want, errs)
		}
	}
}

// An empty variable is one that is not set, as orchestrators leave them.
func TestEmptyVariable(t *testing.T) {
	noEnvironment(t)
	t.Setenv("DOORBUSTER_WAITING_DEPTH", "")
	t.Setenv("DOORBUSTER_ZONE", "")
	t.Setenv("DOORBUSTER_DEV", "")
	if cfg, err := load(t, "--data", "/x", "--dev"); err != nil || cfg.Grabs.WaitingDepth != 16_384 ||
		cfg.Zone != "z1" {
		t.Errorf("%v %+v", err, cfg)
	}
}

// Help is for whoever asks: on standard output, with status 0, also by default.
func TestHelp(t *testing.T) {
	t.Parallel()
	for _, args := range [][]string{nil, {"--help"}, {"serve", "--help"}, {"apply", "-h"}, {"wal"},
		{"wal", "verify", "--help"}, {"bench", "rush", "--help"}, {"token", "--help"}, {"help", "wal", "dump"},
		{"version"}} {
		status, out, errs := runTool(t, "", args...)
		if status != 0 || out == "" || errs != "" {
			t.Errorf("%v: status %d, %q", args, status, errs)
		}
	}
	for _, args := range [][]string{{"sreve"}, {"wal", "fix"}, {"wal", "verify"}, {"wal", "verify", "a", "b"},
		{"token"}, {"apply"}, {"version", "x"}, {"help", "nothing"}, {"serve", "--data"}} {
		status, out, errs := runTool(t, "", args...)
		if status != 2 || out != "" || !strings.Contains(errs, "--help") {
			t.Errorf("%v: status %d, %q, %q", args, status, out, errs)
		}
	}
}

// With keys, shoppers and operators are who their tokens say; what opens doors
// stays out of the log.
func TestTokensEndToEnd(t *testing.T) {
	t.Parallel()
	shopperSecret, opsSecret := strings.Repeat("shopper-secret-", 4), strings.Repeat("operator-secret-", 4)
	shopperKey, opsKey := nodetest.TempFile(t, shopperSecret+"\n"), nodetest.TempFile(t, opsSecret)
	mint := func(args ...string) string {
		t.Helper()
		status, out, errs := runTool(t, "", append([]string{"token"}, args...)...)
		if status != 0 || errs != "" {
			t.Fatalf("token %v: status %d, %s", args, status, errs)
		}
		return strings.TrimSpace(out)
	}
	s := runShop(t, []string{"serve", "--data", t.TempDir(), "--http", "127.0.0.1:0", "--admin", "127.0.0.1:0",
		"--log-format", "json", "--log-level", "debug",
		"--shopper-key-file", shopperKey, "--ops-key-file", opsKey})
	s.AwaitServing()
	alice := mint("--sub", "alice", "--key-file", shopperKey)
	forged := mint("--sub", "alice", "--key-file", opsKey)
	tokens := map[string]string{"alice's": alice, "forged": forged}
	for _, role := range []string{"viewer", "operator", "admin"} {
		tokens[role] = mint("--sub", "olga", "--role", role, "--key-file", opsKey)
	}

	// Operators first: without a role that may, there is no plan.
	tokenFile := nodetest.TempFile(t, tokens["operator"]+"\n")
	status, out, errs := runTool(t, nodetest.Masks(5), "apply", "-f", "-", "--admin", s.Admin)
	if status != 1 || !strings.Contains(errs, "401") || !strings.Contains(errs, "--token-file") {
		t.Errorf("without a token: status %d, %s%s", status, out, errs)
	}
	if status, out, errs = runTool(t, nodetest.Masks(5), "apply", "-f", "-", "--admin", s.Admin, "--token-file",
		tokenFile); status != 0 {
		t.Fatalf("status %d, %s%s", status, out, errs)
	}
	for _, c := range []struct {
		who, method, path string
		status            int
	}{
		{"", "GET", "/admin/v1/sessions", 401}, {"alice's", "GET", "/admin/v1/sessions", 401},
		{"forged", "GET", "/admin/v1/sessions", 401},
		{"viewer", "GET", "/admin/v1/sessions", 200}, {"viewer", "POST", "/admin/v1/sessions/day/pause", 403},
		{"operator", "POST", "/admin/v1/sessions/day/pause", 200},
		{"admin", "POST", "/admin/v1/sessions/day/resume", 200},
		{"", "GET", "/metrics", 401}, {"viewer", "GET", "/metrics", 200}, {"", "GET", "/livez", 200},
		{"", "GET", "/readyz", 200},
	} {
		if s.Token = tokens[c.who]; s.Ops(c.method, c.path, "").Status != c.status {
			t.Errorf("%s %s by %q is not %d", c.method, c.path, c.who, c.status)
		}
	}
	s.Token = tokens["viewer"]

	for who, c := range map[string]struct {
		header []string
		status int
	}{
		"a token":            {[]string{"Authorization", "Bearer " + alice}, 200},
		"nothing":            {nil, 401},
		"only a name":        {[]string{"X-Shopper-Id", "alice"}, 401},
		"a forged one":       {[]string{"Authorization", "Bearer " + forged}, 401},
		"an operator's":      {[]string{"Authorization", "Bearer " + tokens["admin"]}, 401},
		"one cut short":      {[]string{"Authorization", "Bearer " + alice[:len(alice)-3]}, 401},
		"another scheme":     {[]string{"Authorization", "Basic " + alice}, 401},
		"one that is no JWT": {[]string{"Authorization", "Bearer x"}, 401},
	} {
		a := s.Do("POST", s.ListingURL(nodetest.Mask)+"/grab", "", c.header...)
		if a.Status != c.status || c.status == 401 && (a.Header.Get("WWW-Authenticate") == "" ||
			a.Header.Get("Content-Type") != "application/problem+json") {
			t.Errorf("%s: %d %s", who, a.Status, a.Body)
		}
		if c.status == 200 && a.Code != "granted" {
			t.Errorf("%s: %s", who, a.Body)
		}
	}
	s.Expect(nodetest.Mask, 4, 1, 0)
	if a := s.Do("POST", s.HTTP+"/v1/payments/callback",
		`{"order_no":"X","payment_id":"p","amount":100,"currency":"CNY"}`); a.Status != 403 {
		t.Errorf("anybody may say that an order is paid: %d %s", a.Status, a.Body)
	}
	s.Stop()
	for name, secret := range map[string]string{"shoppers' secret": shopperSecret, "operators' secret": opsSecret,
		"a token": alice, "an operator's token": tokens["operator"], "the sub": "alice"} {
		if strings.Contains(s.Logs.String(), secret) {
			t.Errorf("%s is in the log:\n%s", name, s.Logs)
		}
	}
}

func TestTokenUsage(t *testing.T) {
	t.Parallel()
	key := nodetest.TempFile(t, strings.Repeat("k", 40))
	for _, c := range []struct {
		args   []string
		status int
		want   string
	}{
		{[]string{"--key-file", key}, 2, "--sub"},
		{[]string{"--sub", "a b", "--key-file", key}, 2, "--sub"},
		{[]string{"--sub", "a", "--key-file", nodetest.TempFile(t, "short")}, 1, "32"},
		{[]string{"--sub", "a", "--key-file", filepath.Join(t.TempDir(), "none")}, 1, "no such file"},
		{[]string{"--sub", "a", "--key-file", key, "--role", "king"}, 2, "king"},
		{[]string{"--sub", "a", "--key-file", key, "--ttl", "-1h"}, 2, "-1h"},
		{[]string{"--sub", "a", "--key-file", key, "--ttl", "soon"}, 2, "soon"},
	} {
		status, out, errs := runTool(t, "", append([]string{"token"}, c.args...)...)
		if status != c.status || out != "" || !strings.Contains(errs, c.want) {
			t.Errorf("%v: status %d, %s%s", c.args, status, out, fmt.Sprintf("%q", errs))
		}
	}
}
