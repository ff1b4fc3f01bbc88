package main

import (
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

// makeReconciler makes what takes statements in, and what has them taken in daily.
func (n *node) makeReconciler() error {
	c := &n.cfg.Reconcile
	zone, err := calendar.Zone(c.Timezone)
	if err != nil {
		return err
	}
	n.intake = intake.New(intake.Config{Dir: n.cfg.archive(), Node: n.cfg.Node, Zone: zone, Accounts: n.office,
		Leads: n.office.Leads, Log: n.logger, Registerer: n.metrics})
	if c.Folder == "" && c.URL == "" {
		return nil
	}
	d := daily.Config{Folder: c.Folder, URL: c.URL, At: c.At, Zone: zone, Archive: n.cfg.archive(),
		Filter: statement.Filter{Kinds: c.IgnoreKinds, OrderPrefixes: c.OrderPrefixes},
		Intake: n.intake, Leads: n.office.Leads, Now: time.Now, Log: n.logger, Registerer: n.metrics}
	if c.KeyFile != "" {
		d.Secrets = func() (*payment.Secrets, error) {
			text, err := auth.ReadFile(c.KeyFile)
			if err != nil {
				return nil, err
			}
			return payment.NewSecrets(auth.Secrets(text))
		}
	}
	if n.cfg.wall != nil {
		d.Now = n.cfg.wall
	}
	n.daily, err = daily.New(d)
	return err
}
