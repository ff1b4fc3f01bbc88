package main

import "doorbuster/httpapi/auth"

// newKeyWatcher takes new keys from their files while the node runs.
func (n *node) newKeyWatcher() *auth.Watcher[keys] {
	w := &auth.Watcher[keys]{Read: n.cfg.readKeys, Log: n.logger, Take: []func(keys) error{
		func(k keys) error { return n.shoppers.SetTokens(k.shopper) },
		func(k keys) error { return n.admin.SetTokens(k.ops) },
	}}
	if n.risk != nil {
		w.Take = append(w.Take, func(k keys) error { return n.risk.SetToken(k.risk) })
	}
	if n.pay != nil {
		w.Take = append(w.Take, func(k keys) error { return n.pay.Replace(k.pay) })
	}
	if n.cashier != nil {
		w.Take = append(w.Take, func(k keys) error { return n.cashier.Replace(k.cashier) })
	}
	return w
}
