package main

import (
	"context"
	"sync"

	"doorbuster/engine"
	"doorbuster/httpapi/payment"
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
	client, err := payment.NewClient(payment.Config{URL: n.cfg.Cashier.URL, Secrets: n.cashier, Timeout: n.cfg.Cashier.Timeout, Logger: n.logger})
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
