package main

import (
	"errors"
	"fmt"
	"strings"
	"time"

	"doorbuster/cmd/doorbuster/settings"
	"doorbuster/engine"
	"doorbuster/httpapi/auth"
	"doorbuster/httpapi/catalogue"
	"doorbuster/httpapi/catalogue/pull"
	"doorbuster/httpapi/payment"
)

// PullConfig says where a supplier's catalogue is fetched from.
type PullConfig struct {
	Supplier, URL, KeyFile            string
	Every                             time.Duration
	Format, Currency, Language, Stock string
	MaxBytes                          int64
}

func (c *Config) addPulls(t *settings.Table) {
	t.FileTopic("The catalogue")
	settings.AddList(t, &c.Pulls, "catalogue.pulls",
		`{supplier: acme, url: "https://acme.example/catalogue.csv", every: 1h, currency: EUR}`, (*PullConfig).table,
		fmt.Sprintf("where the leader fetches suppliers' catalogues from, each taking the place of what the supplier "+
			"had; at most %d, the same list on all nodes: see docs/catalogue.md", pull.MaxSources))
}

func (p *PullConfig) table() *settings.Table {
	t := &settings.Table{}
	settings.Add(t, &p.Supplier, "supplier", "", "`id` of the supplier; each is in the list once (required)",
		settings.Elsewhere[string](id.Says))
	settings.Add(t, &p.URL, "url", "", "`URL` that the catalogue is fetched from; redirects are not followed "+
		"(required)", settings.Elsewhere[string]("http or https"))
	settings.Add(t, &p.Every, "every", pull.DefaultEvery, "how long after a fetch that succeeded the next one is due",
		settings.Elsewhere[time.Duration](settings.Between(pull.MinEvery, pull.MaxEvery).Says))
	settings.Add(t, &p.Format, "format", string(catalogue.Auto), "how the catalogue is written; auto goes by its "+
		"beginning", settings.Elsewhere[string](strings.Join(catalogue.Formats(), ", ")))
	settings.Add(t, &p.Currency, "currency", "", "currency of prices in rows that name none",
		settings.Elsewhere[string]("ISO 4217 code"))
	settings.Add(t, &p.Language, "language", catalogue.DefaultLanguage, "language of names that don't say theirs",
		settings.Elsewhere[string]("language such as en or zh-Hant"))
	settings.Add(t, &p.Stock, "stock", string(catalogue.StockRemaining), "what figures count that don't say so, as "+
		"those of shop systems: what is left, all that there ever were, or nothing that is looked at",
		settings.Elsewhere[string](strings.Join(catalogue.StockKinds(), ", ")))
	settings.Add(t, &p.KeyFile, "key_file", "", "`file` with the secret that the request is signed with, as requests "+
		"to the cashier are; read each time; without it the request is not signed")
	settings.Add(t, &p.MaxBytes, "max_bytes", catalogue.MaxBytes, "bytes of a catalogue at most; a longer one is not "+
		"taken", settings.Elsewhere[int64](settings.Between[int64](1, catalogue.MaxBytes).Says))
	return t
}

// source is what a room makes of it.
func (p *PullConfig) source() pull.Source {
	s := pull.Source{Supplier: p.Supplier, URL: p.URL, Every: p.Every, MaxBytes: p.MaxBytes,
		Reading: catalogue.Config{Format: catalogue.Format(p.Format), Currency: p.Currency, Language: p.Language,
			Stock: catalogue.StockKind(p.Stock)}}
	if p.KeyFile != "" {
		s.Secrets = func() (*payment.Secrets, error) {
			text, err := auth.ReadFile(p.KeyFile)
			if err != nil {
				return nil, err
			}
			return payment.NewSecrets(auth.Secrets(text))
		}
	}
	return s
}

// agreeOnPulls is agree for the catalogues that are fetched.
func (c *Config) agreeOnPulls() error {
	var errs []error
	if len(c.Pulls) > pull.MaxSources {
		errs = append(errs, fmt.Errorf("catalogue.pulls: there are %d of them; there may be %d", len(c.Pulls),
			pull.MaxSources))
	}
	first := map[string]int{}
	for i := range c.Pulls {
		key, s := fmt.Sprintf("catalogue.pulls[%d]", i), c.Pulls[i].source()
		if at, again := first[s.Supplier]; again && engine.ValidID(s.Supplier) {
			errs = append(errs, fmt.Errorf("%s.supplier: catalogue.pulls[%d] is %q, too", key, at, s.Supplier))
		}
		first[s.Supplier] = i
		if err := s.Validate(); err != nil {
			errs = append(errs, settings.Under(key+".", err))
		}
	}
	return errors.Join(errs...)
}

// makePuller makes what fetches suppliers' catalogues, if there are any to fetch.
func (n *node) makePuller() (err error) {
	if len(n.cfg.Pulls) == 0 {
		return nil
	}
	c := pull.Config{Office: n.office, Leads: n.office.Leads, Now: n.now, Every: n.cfg.look, Log: n.logger,
		Registerer: n.metrics}
	for i := range n.cfg.Pulls {
		c.Sources = append(c.Sources, n.cfg.Pulls[i].source())
	}
	n.puller, err = pull.New(c)
	return err
}
