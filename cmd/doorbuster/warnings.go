package main

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/textproto"
	"slices"
	"strings"
	"time"

	standardwebhooks "github.com/standard-webhooks/standard-webhooks/libraries/go"

	"doorbuster/cmd/doorbuster/settings"
	"doorbuster/engine"
	"doorbuster/httpapi"
	"doorbuster/httpapi/auth"
	"doorbuster/httpapi/sinks/webhook"
	"doorbuster/httpapi/warn"
)

// WarningsConfig says who hears of alarms.
type WarningsConfig struct {
	Receivers      []ReceiverConfig
	Repeat, PassOn time.Duration
}

// ReceiverConfig is one who hears of alarms.
type ReceiverConfig struct {
	Name, URL, Severity, Body, ContentType, SecretFile string
	Headers, Allow                                     []string
	Timeout                                            time.Duration
}

func (c *Config) addWarnings(t *settings.Table) {
	w := &c.Warnings
	t.Topic("Warnings")
	settings.Add(t, &w.Repeat, "warnings.repeat", warn.DefaultRepeat, "how often an alarm to wake somebody for is "+
		"sent "+
		"again until it is acknowledged", settings.Between(time.Second, 24*time.Hour))
	settings.Add(t, &w.PassOn, "warnings.pass_on", warn.DefaultPassOn, "how long a receiver has for that before the "+
		"next one hears of it, too", settings.Between(time.Second, 24*time.Hour))
	c.addThresholds(t)
	settings.AddList(t, &w.Receivers, "warnings.receivers",
		`{name: chat, url: "https://chat.example/hook", secret_file: chat.secret, severity: tell}`,
		(*ReceiverConfig).table, fmt.Sprintf("who is told of alarms by the node that leads, at most %d, those of "+
			"severity wake in turn; the same list on all nodes: see docs/alerts.md", warn.MaxReceivers))
}

func (r *ReceiverConfig) table() *settings.Table {
	t := &settings.Table{}
	settings.Add(t, &r.Name, "name", "", "the receiver's `id` (required)", id)
	settings.Add(t, &r.URL, "url", "", "`URL` that each message is posted to (required)", required,
		ifSet("http or https", webhook.CheckURL))
	settings.Add(t, &r.Severity, "severity", string(engine.SeverityTell), "tell: hears of every alarm once, and that "+
		"it "+
		"is over; wake: hears of those to wake somebody for, until they are acknowledged",
		settings.OneOf(string(engine.SeverityTell), string(engine.SeverityWake)))
	settings.Add(t, &r.Body, "body", warn.DefaultBody, "`template` of the body (Go's text/template) with .Text, "+
		".Event, "+
		".Cluster, .From, .Alarm, .Severity, .Node, .About, .Detail, .Advice, .Means, .Do, .Since, .By and .Times; "+
		"{{json .Text}} quotes")
	settings.Add(t, &r.ContentType, "content_type", "application/json", "`type` of the body; of a JSON type it must "+
		"be "+
		"JSON")
	settings.Add(t, &r.Headers, "headers", nil, "`headers` to send, such as [\"X-Team: ops\"]",
		checkedBy("", func(all []string) error { _, err := parseHeaders(all); return err }))
	settings.Add(t, &r.SecretFile, "secret_file", "", "`file` with the secret that posts are signed with, as a sink "+
		"of "+
		"kind webhook has it; read each time (required)", required)
	settings.Add(t, &r.Timeout, "timeout", 10*time.Second, "how long the receiver has for an answer",
		settings.Between(10*time.Millisecond, time.Minute))
	settings.Add(t, &r.Allow, "allow_addresses", nil, "inner `addresses` and prefixes (10.1.0.0/16) that may be "+
		"posted "+
		"to; others are refused",
		checkedBy("", func(s []string) error { _, err := webhook.ParseAddresses(s); return err }))
	return t
}

// ownHeaders are the ones that every message has.
var ownHeaders = []string{"Content-Type", "User-Agent", "Host", "Content-Length", "Transfer-Encoding", "Connection"}

func parseHeaders(all []string) (http.Header, error) {
	h := http.Header{}
	for _, line := range all {
		name, value, found := strings.Cut(line, ":")
		name, value = textproto.CanonicalMIMEHeaderKey(strings.TrimSpace(name)), strings.TrimSpace(value)
		plain := func(s string, extra string) bool {
			return s != "" && !strings.ContainsFunc(s, func(c rune) bool {
				return (c <= ' ' || c > '~') && !strings.ContainsRune(extra, c)
			})
		}
		switch {
		case !found || !plain(name, "") || !plain(value, " "):
			return nil, errors.New(`each is like "X-Team: ops", in printable ASCII`)
		case slices.Contains(ownHeaders, name) || strings.HasPrefix(name, "Webhook-"):
			return nil, fmt.Errorf("%s is not to be set", name)
		}
		h.Add(name, value)
	}
	return h, nil
}

// body reads the template of the body.
func (r *ReceiverConfig) body() (*warn.Body, error) {
	return warn.ParseBody(r.Body, strings.Contains(strings.ToLower(r.ContentType), "json"))
}

// agreeOnWarnings is agree for those who hear of alarms.
func (c *Config) agreeOnWarnings() error {
	var errs []error
	if n := len(c.Warnings.Receivers); n > warn.MaxReceivers {
		errs = append(errs, fmt.Errorf("warnings.receivers: there are %d of them; it may be %d", n, warn.MaxReceivers))
	}
	first := map[string]int{}
	for i := range c.Warnings.Receivers {
		r, key := &c.Warnings.Receivers[i], fmt.Sprintf("warnings.receivers[%d]", i)
		if at, again := first[r.Name]; again && r.Name != "" {
			errs = append(errs, fmt.Errorf("%s.name: warnings.receivers[%d] is called %q, too", key, at, r.Name))
		}
		first[r.Name] = i
		if _, err := r.body(); err != nil {
			errs = append(errs, settings.Under(key+".", fmt.Errorf("body: %w", err)))
		}
		if !c.Dev && len(r.Allow) == 0 && strings.HasPrefix(strings.ToLower(r.URL), "http:") {
			errs = append(errs, errors.New(key+".url: http would show it to whoever is on the way; take https (or, "+
				"for a "+
				"receiver in a network of one's own, name its address in allow_addresses)"))
		}
	}
	return errors.Join(errs...)
}

// makeWarnings makes what sends alarms, if there is anybody to send them to.
func (n *node) makeWarnings() error {
	w := &n.cfg.Warnings
	if len(w.Receivers) == 0 {
		return nil
	}
	watch := &dutyWatch{node: n}
	cfg := warn.Config{Cluster: n.cfg.Cluster.ID, Node: n.cfg.Node, Repeat: w.Repeat, PassOn: w.PassOn,
		Duty: watch.duty, Notes: n.office.AlarmNotes, Alarms: watch.alarms, Logger: n.logger,
		Heal: func(ctx context.Context, x engine.AlarmChange) error {
			return n.office.NoteAlarm(ctx, engine.By{}, x, "")
		}}
	if cfg.Cluster == "" {
		cfg.Cluster = n.cfg.Node
	}
	for i := range w.Receivers {
		r := &w.Receivers[i]
		made := warn.Receiver{Name: r.Name, URL: r.URL, Severity: engine.Severity(r.Severity),
			ContentType: r.ContentType,
			Signers:     func() ([]*standardwebhooks.Webhook, error) { return readSigners(r.SecretFile) },
			Timeout:     r.Timeout}
		var errs [4]error
		made.Body, errs[0] = r.body()
		made.Header, errs[1] = parseHeaders(r.Headers)
		made.Allow, errs[2] = webhook.ParseAddresses(r.Allow)
		_, errs[3] = made.Signers()
		if err := errors.Join(errs[:]...); err != nil {
			return fmt.Errorf("receiver %s of warnings: %w", r.Name, err)
		}
		cfg.Receivers = append(cfg.Receivers, made)
	}
	s, err := warn.New(cfg)
	if err != nil {
		return err
	}
	n.warnings = s
	n.metrics.MustRegister(s.Collectors()...)
	return nil
}

// dutyWatch says whether this node tells of alarms. One goroutine calls it.
type dutyWatch struct {
	node       *node
	leaderless time.Time // since when no leader is known; zero while one is
}

// leaderlessFor is how long no leader is known before somebody else tells of that: an
// election is over sooner.
const leaderlessFor = 5 * time.Second

func (d *dutyWatch) duty() warn.Duty {
	if d.node.office.Leads() {
		d.leaderless = time.Time{}
		return warn.Leads
	}
	status := d.node.cluster.ClusterStatus()
	if status.Leader != "" {
		d.leaderless = time.Time{}
		return warn.Off
	}
	now := time.Now()
	if d.leaderless.IsZero() {
		d.leaderless = now
	}
	for _, x := range status.Nodes {
		if x.Reachable && x.ID < d.node.cfg.Node {
			return warn.Off
		}
	}
	if now.Sub(d.leaderless) < leaderlessFor {
		return warn.Off
	}
	return warn.StandIn
}

func (d *dutyWatch) alarms() []engine.Alarm {
	status := clusterView{d.node}.Status()
	return httpapi.AllAlarms(&status)
}

// readSigners reads a file of secrets.
func readSigners(file string) ([]*standardwebhooks.Webhook, error) {
	text, err := auth.ReadFile(file)
	if err != nil {
		return nil, err
	}
	signers, err := webhook.ReadSecrets(text)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", file, err)
	}
	return signers, nil
}
