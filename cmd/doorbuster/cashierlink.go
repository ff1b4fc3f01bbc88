package main

import (
	"context"
	"errors"
	"fmt"
	"sync"

	"github.com/spf13/pflag"

	"doorbuster/engine"
	"doorbuster/httpapi/auth"
	"doorbuster/httpapi/hidden"
	"doorbuster/httpapi/payment"
)

// addCashierFlags declares the settings of the shop's dealings with the cashier.
func addCashierFlags(f *pflag.FlagSet) {
	f.String("pay-keys", "", "YAML `file` with the keys of payment tokens: a list like {id: \"2026-09\", file: pay.key, signs: true}; read again when it or a key changes")
	f.String("cashier-url", "", "`URL` of the cashier, who is asked for refunds, and to take no money once the time to pay is over; without it refunds stay due")
	f.String("cashier-key-file", "", "`file` with the secret shared with the cashier, 32 bytes or more; several, one a line, all do, and the first one signs; read again when it changes")
	f.Duration("cashier-timeout", payment.DefaultConfig().Timeout, "how long the cashier has for an answer")
}

// validateCashier reports every setting of these that can't be.
func (c Config) validateCashier() error {
	if c.CashierURL == "" {
		return nil
	}
	errs := []error{prefixed("cashier", payment.Config{URL: c.CashierURL, Timeout: c.CashierTimeout}.Validate())}
	if c.CashierKeyFile == "" && !c.Dev {
		errs = append(errs, fmt.Errorf("cashier.key_file: the cashier at %s must know who asks it; give the secret that is shared with it", hidden.URL(c.CashierURL)))
	}
	return errors.Join(errs...)
}

// cashierKeys are what the shop and the cashier believe each other by.
type cashierKeys struct {
	pay     []payment.Key // of payment tokens; none without pay_keys
	cashier [][]byte      // shared secrets; none without cashier_key_file
}

func (c Config) readCashierKeys() (k cashierKeys, err error) {
	if k.pay, err = payment.ReadKeys(c.PayKeys); err != nil || c.CashierKeyFile == "" {
		return k, err
	}
	text, err := auth.ReadFile(c.CashierKeyFile)
	if err != nil {
		return k, fmt.Errorf("the cashier's secret: %w", err)
	}
	k.cashier = auth.Secrets(text)
	return k, nil
}

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
	if n.cfg.CashierURL == "" {
		return nil
	}
	client, err := payment.NewClient(payment.Config{URL: n.cfg.CashierURL, Secrets: n.cashier, Timeout: n.cfg.CashierTimeout, Logger: n.logger})
	if err != nil {
		return err
	}
	n.errands = &errands{Errands: payment.NewErrands(client, n.group), client: client}
	n.metrics.MustRegister(n.errands.Collectors()...)
	return nil
}

// errands are run from when the rooms are open until the doors close.
type errands struct {
	*payment.Errands
	client *payment.Client
	mu     sync.Mutex
	stop   func() // cancels and waits; nil before the beginning
}

// refundTries tells what came of asking the cashier for a refund, if this node asks.
func (n *node) refundTries(no engine.RefundNo) (payment.Tries, bool) {
	if n.errands == nil {
		return payment.Tries{}, false
	}
	return n.errands.RefundTries(no)
}

func (e *errands) begin() {
	if e == nil {
		return
	}
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		e.Run(ctx)
	}()
	e.mu.Lock()
	e.stop = func() { cancel(); <-ended }
	e.mu.Unlock()
}

func (e *errands) end() {
	if e == nil {
		return
	}
	e.mu.Lock()
	stop := e.stop
	e.stop = nil
	e.mu.Unlock()
	if stop != nil {
		stop()
	}
	e.client.Close()
}
