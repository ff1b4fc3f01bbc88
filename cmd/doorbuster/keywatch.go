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
	if n.cfg.Dev {
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
			continue
		}
		if err == nil {
			err = n.takeKeys(next, now)
		}
		if err != nil {
			if text := err.Error(); text != complaint {
				complaint = text
				n.logger.Error("new keys can't be used; the old ones stay", "error", err)
			}
			continue
		}
		now, complaint = next, ""
		n.logger.Info("tokens are checked with new keys")
	}
}

// takeKeys has both doors check tokens with next, or neither.
func (n *node) takeKeys(next, now keys) error {
	if err := n.shoppers.SetTokens(next.shopper); err != nil {
		return err
	}
	if err := n.admin.SetTokens(next.ops); err != nil {
		_ = n.shoppers.SetTokens(now.shopper) // they did a moment ago
		return err
	}
	return nil
}
