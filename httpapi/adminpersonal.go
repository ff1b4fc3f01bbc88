package httpapi

import (
	"fmt"
	"net/http"
	"slices"
	"strings"

	"doorbuster/engine"
	"doorbuster/httpapi/wire"
)

// shopperOf reads which shopper a path is about.
func shopperOf(r *http.Request) (string, error) {
	shopper := r.PathValue("shopper")
	if !engine.ValidShopper(shopper) {
		return "", refuse(malformed, "That is no shopper's id: "+engine.ShopperForm+".")
	}
	return shopper, nil
}

// personalData tells what is kept of a shopper, and what became of it.
func (s *AdminServer) personalData(r *http.Request) (j wire.PersonalData, err error) {
	shopper, err := shopperOf(r)
	if err != nil {
		return j, err
	}
	p, err := s.operator.PersonalStatus(shopper)
	if err != nil {
		return j, err
	}
	return s.personalStatus(shopper, &p), nil
}

// eraseQuery says why personal data is erased, and that it is meant.
type eraseQuery struct {
	Note string `query:"note" as:"note"` // Why, for the audit trail.
	// true: erase although goods may still have to be sent to the shopper; without it that is
	// a 409.
	Sure bool `query:"sure"`
}

// erasePersonalData destroys a shopper's key.
func (s *AdminServer) erasePersonalData(r *http.Request, q *eraseQuery) (j wire.PersonalData, err error) {
	shopper, err := shopperOf(r)
	if err != nil {
		return j, err
	}
	p, err := s.operator.PersonalStatus(shopper)
	if err != nil {
		return j, err
	}
	if p.Held && p.Undelivered > 0 && !q.Sure {
		return j, refuse(conflict, fmt.Sprintf("%d orders of this shopper are held or paid, and their goods may still "+
			"have to be sent: without a receiver they can't be. Nothing was erased. If it is meant, say so with "+
			"?sure=true (--yes).", p.Undelivered))
	}
	if err := s.operator.EraseShopper(r.Context(), byOf(r), shopper, q.Note); err != nil {
		return j, err
	}
	if p, err = s.operator.PersonalStatus(shopper); err != nil {
		return j, err
	}
	s.log.Info("personal data erased", "operator", operatorOf(r), "log_index", p.Erasure.Index)
	return s.personalStatus(shopper, &p), nil
}

// personalKeys tells which keys of the key file are in use.
func (s *AdminServer) personalKeys(*http.Request) (wire.PersonalKeys, error) {
	return wire.PersonalKeys{Keys: s.keksOf(s.operator.KeyUses(), 0, ^uint32(0))}, nil
}

// keksOf tells of the keys with numbers from first to last that wrap or wrapped something,
// or are in this node's key file.
func (s *AdminServer) keksOf(uses []engine.KeyUse, first, last uint32) []wire.PersonalKEKs {
	in := s.vault.Numbers()
	numbers := slices.Clone(in)
	for _, u := range uses {
		numbers = append(numbers, u.KEK)
	}
	slices.Sort(numbers)
	keks := []wire.PersonalKEKs{}
	for _, n := range slices.Compact(numbers) {
		if n < first || n > last {
			continue
		}
		k := wire.PersonalKEKs{Number: n, InFile: slices.Contains(in, n), Newest: len(in) > 0 && n == in[len(in)-1]}
		for _, u := range uses {
			if u.KEK != n {
				continue
			}
			if k.Keys = u.Keys; u.Keys == 0 {
				k.UnusedSince = rfc3339(u.Since)
			}
		}
		k.MayBeRemoved = k.InFile && !k.Newest && k.Keys == 0
		keks = append(keks, k)
	}
	return keks
}

func (s *AdminServer) personalStatus(shopper string, p *engine.PersonalStatus) wire.PersonalData {
	j := wire.PersonalData{Shopper: shopper, LogIndex: uint64(p.LogIndex), Held: p.Held, Key: p.Key.KEK,
		Undelivered: p.Undelivered}
	if !p.Erased {
		return j
	}
	at := uint64(p.Erasure.Index)
	e := &wire.PersonalErasure{At: rfc3339(p.Erasure.At), LogIndex: at,
		State:   wire.PersonalCopies{Gone: !p.Sweeping, Nodes: []wire.PersonalCopy{}},
		Disk:    wire.PersonalCopies{Gone: true, Nodes: []wire.PersonalCopy{}},
		Backups: wire.PersonalBackups{Gone: true, Keys: s.keksOf(p.Uses, p.Erasure.First, p.Erasure.Last)}}
	for _, n := range s.cluster.Status().Nodes {
		state := wire.PersonalCopy{Node: n.ID, Gone: n.AppliedIndex >= at, Index: n.AppliedIndex}
		disk := wire.PersonalCopy{Node: n.ID, Gone: n.OldestIndex > at, Index: n.OldestIndex}
		e.State.Nodes, e.Disk.Nodes = append(e.State.Nodes, state), append(e.Disk.Nodes, disk)
		e.State.Gone, e.Disk.Gone = e.State.Gone && state.Gone, e.Disk.Gone && disk.Gone
	}
	for _, k := range e.Backups.Keys {
		e.Backups.Gone = e.Backups.Gone && !k.InFile
	}
	// What a disk still has is wrapped, too: without the keys that wrapped it nobody opens it.
	e.Gone = e.State.Gone && e.Backups.Gone
	e.Says = sayErasure(e)
	j.Erasure = e
	return j
}

// sayErasure says what is left, and what to do for it to go.
func sayErasure(e *wire.PersonalErasure) string {
	if e.Gone {
		return "No copy of the key is left that could be opened."
	}
	var says []string
	say := func(format string, args ...any) { says = append(says, fmt.Sprintf(format, args...)) }
	if e.State.Gone {
		say("It is gone from the state of all nodes: nobody reads it there.")
	} else {
		say("These nodes have not applied it yet, or are still at it: %s.", left(e.State))
	}
	if e.Disk.Gone {
		say("No log and no snapshot has the key any more.")
	} else {
		say("The key, wrapped, is still in entries of the log or in snapshots from before index %d on %s, until newer "+
			"snapshots and entries take their place ('doorbuster cluster snapshot' brings that forward).", e.LogIndex,
			left(e.Disk))
	}
	if e.Backups.Gone {
		say("Backups from before can't be opened any more: the key file has none of the keys that wrapped it.")
		return strings.Join(says, " ")
	}
	for _, k := range e.Backups.Keys {
		switch {
		case !k.InFile:
		case k.Newest:
			say("Backups from before can be opened by key %d of the key file, which is the newest: put a newer one "+
				"into it ('doorbuster personal-keys rotate'), wait until key %d wraps nothing, and remove that.",
				k.Number,
				k.Number)
		case k.MayBeRemoved && k.UnusedSince != "":
			say("Backups from before can be opened by key %d, which wraps nothing that is live since %s: remove it "+
				"from the key file of every node.", k.Number, k.UnusedSince)
		case k.MayBeRemoved:
			say("Backups from before can be opened by key %d, which wraps nothing that is live: remove it from the "+
				"key file of every node.", k.Number)
		default:
			say("Backups from before can be opened by key %d, which still wraps %d keys; they are being wrapped by "+
				"the newest one.", k.Number, k.Keys)
		}
	}
	return strings.Join(says, " ")
}

// left names the nodes that still have something.
func left(c wire.PersonalCopies) string {
	var names []string
	for _, n := range c.Nodes {
		if !n.Gone {
			names = append(names, n.Node)
		}
	}
	if len(names) == 0 {
		return "all nodes"
	}
	return strings.Join(names, ", ")
}
