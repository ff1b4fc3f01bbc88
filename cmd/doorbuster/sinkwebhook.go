package main

import (
	"errors"
	"strings"
	"time"

	standardwebhooks "github.com/standard-webhooks/standard-webhooks/libraries/go"

	"doorbuster/cmd/doorbuster/settings"
	"doorbuster/httpapi/sinks"
	"doorbuster/httpapi/sinks/cloudevents"
	"doorbuster/httpapi/sinks/webhook"
)

// webhookConfig is a sink of kind webhook.
type webhookConfig struct {
	URL, SecretFile, Source string
	Timeout                 time.Duration
	InFlight, Attempts      int
	Allow                   []string
}

func (w *webhookConfig) add(t *settings.Table) {
	d := webhook.DefaultConfig()
	settings.Add(t, &w.URL, "url", "", "`URL` that each change is posted to (required)", required,
		ifSet("http or https", webhook.CheckURL))
	settings.Add(t, &w.SecretFile, "secret_file", "", "`file` with the secret that posts are signed with: whsec_ and "+
		"base64 of 24 to 64 bytes; up to 8, one a line, all sign; read again when it changes (required)", required)
	settings.Add(t, &w.Source, "source", "", "the events' source, a `URI` reference; /doorbuster/ and the cluster's "+
		"id (of a lone node, the node's) without")
	settings.Add(t, &w.Timeout, "timeout", d.Timeout, "how long the receiver has for an answer",
		settings.Between(10*time.Millisecond, time.Minute))
	settings.Add(t, &w.InFlight, "in_flight", d.InFlight, "orders whose changes are posted at once",
		settings.Between(1, 64))
	settings.Add(t, &w.Attempts, "attempts", d.Attempts, "times that a change is posted which the receiver refuses "+
		"while it takes others, before it becomes a dead letter", settings.Between(1, 100))
	settings.Add(t, &w.Allow, "allow_addresses", nil, "inner `addresses` and prefixes (10.1.0.0/16) that may be "+
		"posted to; others are refused",
		checkedBy("", func(s []string) error { _, err := webhook.ParseAddresses(s); return err }))
}

func (w *webhookConfig) agree(c *Config) error {
	if !c.Dev && len(w.Allow) == 0 && strings.HasPrefix(strings.ToLower(w.URL), "http:") {
		return errors.New("url: http would show orders to whoever is on the way; take https (or, for a receiver in a " +
			"network of one's own, name its address in allow_addresses)")
	}
	format := c.eventFormat(w.Source)
	return format.Validate()
}

func (w *webhookConfig) open(n *node, m sinks.Means) (sinks.Sink, error) {
	allow, err := webhook.ParseAddresses(w.Allow)
	if err != nil {
		return nil, err
	}
	format := n.cfg.eventFormat(w.Source)
	if _, err := w.signers(); err != nil {
		return nil, err
	}
	return webhook.New(webhook.Config{URL: w.URL, Signers: w.signers, Encode: format.Encode,
		ContentType: cloudevents.ContentType, Timeout: w.Timeout, InFlight: w.InFlight, Attempts: w.Attempts,
		Allow: allow, Means: m})
}

func (w *webhookConfig) signers() ([]*standardwebhooks.Webhook, error) {
	return readSigners(w.SecretFile)
}
