package main

import (
	"bytes"
	"errors"
	"fmt"

	"doorbuster/httpapi/auth"
	"doorbuster/httpapi/payment"
	"doorbuster/httpapi/personal"
)

// keys are what others are believed by, and what this node is: all that is read again
// when its file changes.
type keys struct {
	shopper, ops auth.Keys
	risk         string // the token that the risk service is asked with; "" without
	traces       string // that the collector of traces is sent; "" without
	personal     []personal.Key
	cashierKeys
}

func (c Config) readKeys() (k keys, err error) {
	if c.Risk.TokenFile != "" {
		token, err := auth.ReadFile(c.Risk.TokenFile)
		if err != nil {
			return k, fmt.Errorf("the risk service's token: %w", err)
		}
		k.risk = string(bytes.TrimSpace(token))
	}
	if c.Traces.TokenFile != "" {
		token, err := auth.ReadFile(c.Traces.TokenFile)
		if err != nil {
			return k, fmt.Errorf("the collector's token: %w", err)
		}
		k.traces = string(bytes.TrimSpace(token))
	}
	if k.personal, err = c.readPersonalKeys(); err != nil {
		return k, err
	}
	if k.cashierKeys, err = c.readCashierKeys(); err != nil || c.Dev {
		return k, err
	}
	k.shopper.Issuer, k.ops.Issuer = c.Tokens.ShopperIssuer, c.Tokens.OpsIssuer
	for _, want := range []struct {
		path string
		into *[]byte
		what string
	}{
		{c.Tokens.ShopperKeyFile, &k.shopper.Secret, "shoppers' secret"},
		{c.Tokens.ShopperPublicKeyFile, &k.shopper.PublicKeyPEM, "shoppers' public key"},
		{c.Tokens.OpsKeyFile, &k.ops.Secret, "operators' secret"},
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
				return k, errors.New("shoppers and operators must not share a secret: " +
					"make another with 'openssl rand -base64 48'")
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

// cashierKeys are what the shop and the cashier believe each other by.
type cashierKeys struct {
	pay     []payment.Key // of payment tokens; none without pay_keys
	cashier [][]byte      // shared secrets; none without cashier_key_file
}

func (c Config) readCashierKeys() (k cashierKeys, err error) {
	if k.pay, err = payment.ReadKeys(c.Cashier.PayKeys); err != nil || c.Cashier.KeyFile == "" {
		return k, err
	}
	text, err := auth.ReadFile(c.Cashier.KeyFile)
	if err != nil {
		return k, fmt.Errorf("the cashier's secret: %w", err)
	}
	k.cashier = auth.Secrets(text)
	return k, nil
}

// newKeyWatcher takes new keys from their files while the node runs.
func (n *node) newKeyWatcher() *auth.Watcher[keys] {
	w := &auth.Watcher[keys]{Read: n.cfg.readKeys, Log: n.logger, Take: []func(keys) error{
		func(k keys) error { return n.shoppers.SetTokens(k.shopper) },
		func(k keys) error { return n.admin.SetTokens(k.ops) },
		n.takePersonalKeys,
	}}
	if n.risk != nil {
		w.Take = append(w.Take, func(k keys) error {
			return errors.Join(n.risk.SetToken(k.risk), n.lookRisk.SetToken(k.risk))
		})
	}
	if n.tracer != nil {
		w.Take = append(w.Take, func(k keys) error { return n.tracer.SetToken(k.traces) })
	}
	if n.pay != nil {
		w.Take = append(w.Take, func(k keys) error { return n.pay.Replace(k.pay) })
	}
	if n.cashier != nil {
		w.Take = append(w.Take, func(k keys) error { return n.cashier.Replace(k.cashier) })
	}
	return w
}
