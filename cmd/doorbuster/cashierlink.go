package main

import (
	"cmp"
	"fmt"
	"os"
	"path/filepath"
	"time"

	"doorbuster/httpapi/auth"
	"doorbuster/httpapi/calendar"
	"doorbuster/httpapi/payment"
	"doorbuster/httpapi/reconcile/archive"
	"doorbuster/httpapi/reconcile/daily"
	"doorbuster/httpapi/reconcile/intake"
	"doorbuster/httpapi/reconcile/statement"
)

// meetCashier makes what deals with the cashier, as far as it is configured.
func (n *node) meetCashier(k cashierKeys) (err error) {
	if len(k.pay) > 0 {
		if n.pay, err = payment.NewKeys(k.pay); err != nil {
			return err
		}
	}
	if len(k.cashier) > 0 {
		if n.cashier, err = payment.NewSecrets(k.cashier); err != nil {
			return err
		}
	}
	if n.cfg.Cashier.URL == "" {
		return nil
	}
	client, err := payment.NewClient(payment.Config{URL: n.cfg.Cashier.URL, Secrets: n.cashier,
		Timeout: n.cfg.Cashier.Timeout, Logger: n.logger})
	if err != nil {
		return err
	}
	n.jobs = payment.NewJobs(client, n.office)
	n.metrics.MustRegister(n.jobs.Collectors()...)
	return nil
}

// archive is where reports of reconciliations are kept.
func (c *Config) archive() string { return filepath.Join(c.Data, archive.Folder) }

func sameFolder(a, b string) bool {
	a, errA := filepath.Abs(a)
	b, errB := filepath.Abs(b)
	return errA == nil && errB == nil && a == b
}

// when says when statements of a format are had daily, and by which days. Who sets a zone and
// no hour has the format's hour as it is in that zone now.
func (c *ReconcileConfig) when(format statement.Format) (at string, zone *time.Location, err error) {
	hour, published := format.Published()
	if zone, err = calendar.Zone(cmp.Or(c.Timezone, published)); err != nil {
		return "", nil, err
	}
	if c.At != "" {
		return c.At, zone, nil
	}
	there, err := calendar.Zone(published)
	if err != nil {
		return "", nil, err
	}
	clock, err := time.Parse("15:04", hour)
	if err != nil {
		return "", nil, err
	}
	y, m, d := time.Now().In(there).Date()
	return time.Date(y, m, d, clock.Hour(), clock.Minute(), 0, 0, there).In(zone).Format("15:04"), zone, nil
}

// makeReconciler makes what takes statements in, and what has them taken in daily.
func (n *node) makeReconciler() error {
	c := &n.cfg.Reconcile
	reading := statement.Reading{Kinds: c.IgnoreKinds, OrderPrefixes: c.OrderPrefixes}
	if err := reading.ParseFormat(c.Format, os.ReadFile); err != nil {
		return fmt.Errorf("reconcile.format: %w", err)
	}
	at, zone, err := c.when(reading.As)
	if err != nil {
		return err
	}
	n.intake = intake.New(intake.Config{Dir: n.cfg.archive(), Node: n.cfg.Node, Zone: zone, Accounts: n.office,
		Leads: n.office.Leads, Log: n.logger, Registerer: n.metrics})
	if c.Folder == "" && c.URL == "" {
		return nil
	}
	d := daily.Config{Folder: c.Folder, URL: c.URL, At: at, Zone: zone, Archive: n.cfg.archive(),
		Reading: reading, Intake: n.intake, Leads: n.office.Leads, Now: n.now, Every: n.cfg.look, Log: n.logger,
		Registerer: n.metrics}
	if c.KeyFile != "" {
		d.Secrets = func() (*payment.Secrets, error) {
			text, err := auth.ReadFile(c.KeyFile)
			if err != nil {
				return nil, err
			}
			return payment.NewSecrets(auth.Secrets(text))
		}
	}
	n.daily, err = daily.New(d)
	return err
}
