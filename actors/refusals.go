package actors

import (
	"cmp"
	"slices"

	"doorbuster/engine"
)

// refused reports whether an answer to a grab is a no that a shopper may ask about
// later: neither a yes, nor a place on a waitlist, nor "not known yet".
func refused(code engine.Code) bool {
	switch code {
	case engine.CodeGranted, engine.CodeWaitlisted, engine.CodeEntered, engine.CodeProcessing:
		return false
	}
	return true
}

// noteRefusal notes a no on the node that the shopper came to. gate is the
// listing's; nil where it has to be looked for, and may not be there.
func (g *Group) noteRefusal(gate *gate, listing []byte, fingerprint uint64, code engine.Code, why engine.Reason) {
	if gate == nil {
		if gate = g.named(listing); gate == nil {
			return
		}
	}
	if int(why) < len(gate.refused) { // else the leader is newer than this node
		gate.refused[why].Add(1)
	}
	if g.journal == nil || !g.journal.on.Load() {
		return
	}
	g.journal.note(fingerprint, gate.handle, code, why, g.journal.now.Load())
}

// RefusedBy gives how many grabs of a listing this node has refused since it started, by
// engine.Reason; nil for a listing that it does not know.
func (g *Group) RefusedBy(session, sku string) []uint64 {
	gate := g.named([]byte(session + "/skus/" + sku))
	if gate == nil {
		return nil
	}
	counts := make([]uint64, len(gate.refused))
	for i := range gate.refused {
		counts[i] = gate.refused[i].Load()
	}
	return counts
}

// maxRefused bounds one report; a shopper who is refused all day by a thousand
// listings is no shopper.
const maxRefused = 1000

// Refusals tells why this node refused a shopper, in one session or ("") in all
// that are known. It reads a few words for each listing and asks nobody.
func (g *Group) Refusals(shopper, session string) engine.RefusalReport {
	j := g.journal
	if j == nil {
		return engine.RefusalReport{}
	}
	r := engine.RefusalReport{On: j.on.Load(), Since: engine.Time(j.since.Load()), Entries: j.used.Load(),
		Capacity: j.capacity(), Lost: j.lostSoFar()}
	fingerprint := g.fingerprint([]byte(shopper))
	var found []noted
	for _, gate := range g.catalogue.Load().byHandle {
		f := gate.facts.Load()
		if session != "" && f.session != session {
			continue
		}
		found = j.read(found[:0], fingerprint, gate.handle)
		for _, n := range found {
			r.Refused = append(r.Refused, engine.Refused{Session: f.session, SKU: f.sku, Code: n.code, Reason: n.why,
				First: timeOf(n.first), Last: timeOf(n.last), Count: n.count})
		}
	}
	slices.SortStableFunc(r.Refused, func(a, b engine.Refused) int { return cmp.Compare(b.Last, a.Last) })
	if n := len(r.Refused); n > maxRefused {
		r.Refused, r.LeftOut = r.Refused[:maxRefused], int64(n-maxRefused)
	}
	return r
}
