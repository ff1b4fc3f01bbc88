package backoffice

import (
	"context"
	"sync"
	"sync/atomic"
	"time"

	"doorbuster/engine"
)

// PersonalKey gives the key that a shopper's receivers are sealed with, wrapped, as this
// node knows it.
func (bo *Office) PersonalKey(shopper string) (key engine.PersonalKey, there bool) {
	bo.View(func(s *engine.State) { key, there = s.Personal().Key(shopper) })
	return key, there
}

// ListKey gives the key that phone numbers and addresses on risk lists are sealed with.
func (bo *Office) ListKey() (key engine.PersonalKey, there bool) {
	bo.View(func(s *engine.State) { key, there = s.Personal().ListKey() })
	return key, there
}

// PersonalSecret gives the secret that hashes of personal data are made with, the same on
// all nodes of the group; false before this node knows it.
func (bo *Office) PersonalSecret() (secret [32]byte, known bool) {
	bo.View(func(s *engine.State) { secret, known = s.Derive("personal data") })
	return secret, known
}

// KeepListKey has the group keep a key for risk lists, unless it has one. Afterwards
// ListKey gives the one that it has.
func (bo *Office) KeepListKey(ctx context.Context, key engine.PersonalKey) error {
	_, err := bo.Ask(ctx, engine.Command{Kind: engine.CmdRewrap, Rewraps: []engine.Rewrap{{Key: key}}})
	if err == nil {
		err = bo.CatchUp(ctx)
	}
	return err
}

// EraseShopper destroys a shopper's key, and drops what was sealed with it; without a key
// there is nothing to do.
func (bo *Office) EraseShopper(ctx context.Context, by engine.By, shopper, note string) error {
	c := engine.Command{Kind: engine.CmdErase, Shoppers: []string{shopper}, Note: note}
	if err := bo.sign(ctx, &c, by); err != nil {
		return err
	}
	if err := bo.CatchUp(ctx); err != nil {
		return err
	}
	if _, there := bo.PersonalKey(shopper); !there {
		return nil
	}
	_, err := bo.Ask(ctx, c)
	if err == nil {
		err = bo.CatchUp(ctx)
	}
	return err
}

// PersonalStatus tells what the state has of a shopper's personal data, and what became of
// it; once this node knows all that was told.
func (bo *Office) PersonalStatus(shopper string) (p engine.PersonalStatus, err error) {
	if err := bo.Current(); err != nil {
		return p, err
	}
	bo.View(func(s *engine.State) { p = s.Personal().Status(shopper) })
	return p, nil
}

// KeyUses tells how many keys each key of the key file wraps in the state.
func (bo *Office) KeyUses() (uses []engine.KeyUse) {
	bo.View(func(s *engine.State) { uses = s.Personal().Uses() }) // never changed in place
	return uses
}

// Bounds of what is done about keys in the background.
const (
	keysEvery  = time.Second
	keysAtOnce = 4096 // rows that are looked at under one lock
	erasing    = 32   // shoppers who are erased at once
)

// KeyKeeping is what a node that leads does about keys as time goes by.
type KeyKeeping struct {
	// Rewrap gives a key as it is to be wrapped from now on; changed is false of one that is
	// so already. shopper is "" for risk lists'.
	Rewrap func(shopper string, key engine.PersonalKey) (to engine.PersonalKey, changed bool, err error)
	// Newest is the number of the key that is to wrap all others; 0 if there is none.
	Newest func() uint32
	// EraseAfter is how long after its last use a shopper's key is destroyed who awaits no
	// goods; 0 is never.
	EraseAfter time.Duration
}

// KeepKeys has keys rewrapped once there is a newer one to wrap them, and those destroyed
// that have not been used for long, by the node that leads, until ctx ends.
func (bo *Office) KeepKeys(ctx context.Context, k KeyKeeping) {
	tick := time.NewTicker(keysEvery)
	defer tick.Stop()
	var looked engine.Time // when keys were last looked at for their age
	for {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
		if !bo.Leads() {
			continue
		}
		bo.rewrapAll(ctx, k)
		if now := bo.Now(); k.EraseAfter > 0 && now.Sub(looked) >= min(k.EraseAfter/10, time.Hour) {
			looked = now
			bo.eraseOld(ctx, now.Add(-k.EraseAfter))
		}
	}
}

// rewrapAll has all keys wrapped by the newest that are wrapped by others.
func (bo *Office) rewrapAll(ctx context.Context, k KeyKeeping) {
	newest := k.Newest()
	waiting := false
	for _, u := range bo.KeyUses() {
		waiting = waiting || u.Keys > 0 && u.KEK != newest
	}
	if newest == 0 || !waiting {
		return
	}
	failed, done := 0, 0
	send := func(rows []engine.Rewrap) bool {
		if len(rows) == 0 {
			return true
		}
		out, err := bo.Ask(ctx, engine.Command{Kind: engine.CmdRewrap, Rewraps: rows})
		if err != nil {
			if ctx.Err() == nil {
				bo.logger.Warn("keys could not be wrapped anew; it is tried again", "error", err)
			}
			return false
		}
		done += int(out.Event.Quantity)
		return true
	}
	anew := func(rows []engine.Rewrap, shopper string, was engine.PersonalKey) []engine.Rewrap {
		to, changed, err := k.Rewrap(shopper, was)
		if err != nil {
			failed++
		} else if changed {
			rows = append(rows, engine.Rewrap{Shopper: shopper, Was: was, Key: to})
		}
		return rows
	}
	if key, there := bo.ListKey(); there && !send(anew(nil, "", key)) {
		return
	}
	for at, end := 0, false; !end; {
		var keys []engine.HeldKey
		bo.View(func(s *engine.State) { keys, at, end = s.Personal().Keys(at, keysAtOnce) })
		var rows []engine.Rewrap
		for _, held := range keys {
			if rows = anew(rows, held.Shopper, held.PersonalKey); len(rows) == engine.MaxRewraps {
				if !send(rows) {
					return
				}
				rows = nil
			}
		}
		if !send(rows) {
			return
		}
	}
	if done > 0 {
		bo.logger.Info("keys were wrapped by the newest key of the key file", "keys", done, "key", newest,
			"not_opened", failed)
	}
}

// eraseOld destroys the keys that were not used since a time.
func (bo *Office) eraseOld(ctx context.Context, since engine.Time) {
	if since <= 0 {
		return
	}
	erased := 0
	for at, end := 0, false; !end; {
		var due []string
		bo.View(func(s *engine.State) {
			var keys []engine.HeldKey
			keys, at, end = s.Personal().Keys(at, keysAtOnce)
			for _, held := range keys {
				if held.Used < since && s.Personal().Undelivered(held.Shopper) == 0 {
					due = append(due, held.Shopper)
				}
			}
		})
		erased += bo.eraseEach(ctx, due, since)
		if ctx.Err() != nil || !bo.Leads() {
			return
		}
	}
	if erased > 0 {
		bo.logger.Info("personal data that had not been used for long was erased", "shoppers", erased)
	}
}

// eraseEach erases shoppers, each by a command of their own, so that the event says whose
// data is gone; some at once, so that they share entries.
func (bo *Office) eraseEach(ctx context.Context, due []string, since engine.Time) (erased int) {
	var done atomic.Int64
	var asking sync.WaitGroup
	turns := make(chan struct{}, erasing)
	for _, shopper := range due {
		turns <- struct{}{}
		if ctx.Err() != nil || !bo.Leads() {
			break
		}
		asking.Go(func() {
			defer func() { <-turns }()
			out, err := bo.Ask(ctx, engine.Command{Kind: engine.CmdErase, Shoppers: []string{shopper}, Deadline: since,
				Note: "not used for as long as personal_erase_after says"})
			if err == nil { // else the next look finds them again
				done.Add(int64(out.Event.Quantity))
			}
		})
	}
	asking.Wait()
	return int(done.Load())
}
