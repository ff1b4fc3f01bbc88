package main

import (
	"reflect"
	"time"
)

// keysEvery is how often the key files are looked at.
const keysEvery = time.Second

// watchKeys takes new keys from their files while the node runs. A file that does
// not do keeps the old ones, and says so once for each change.
func (n *node) watchKeys(now keys) {
	if n.cfg.Dev && n.pay == nil && n.cashier == nil && n.risk == nil {
		return
	}
	tick := time.NewTicker(keysEvery)
	defer tick.Stop()
	complaint := ""
	for {
		select {
		case <-n.closing:
			return
		case <-tick.C:
		}
		next, err := n.cfg.readKeys()
		if err == nil && reflect.DeepEqual(next, now) {
			complaint = ""
			n.keyFault.Store(nil)
			continue
		}
		if err == nil {
			err = n.takeKeys(next, now)
		}
		if err != nil {
			if text := err.Error(); text != complaint {
				complaint = text
				n.keyFault.Store(&text)
				n.logger.Error("new keys can't be used; the old ones stay", "error", err)
			}
			continue
		}
		now, complaint = next, ""
		n.keyFault.Store(nil)
		n.logger.Info("new keys were read, and count from now on")
	}
}

// takeKeys has all that goes by keys go by next, or nothing.
func (n *node) takeKeys(next, now keys) error {
	var undo []func()
	for _, of := range []struct {
		there bool
		take  func(keys) error
	}{
		{true, func(k keys) error { return n.shoppers.SetTokens(k.shopper) }},
		{true, func(k keys) error { return n.admin.SetTokens(k.ops) }},
		{n.risk != nil, func(k keys) error { return n.risk.SetToken(k.risk) }},
		{n.pay != nil, func(k keys) error { return n.pay.Replace(k.pay) }},
		{n.cashier != nil, func(k keys) error { return n.cashier.Replace(k.cashier) }},
	} {
		if !of.there {
			continue
		}
		if err := of.take(next); err != nil {
			for _, back := range undo {
				back()
			}
			return err
		}
		undo = append(undo, func() { _ = of.take(now) }) // it did a moment ago
	}
	return nil
}
