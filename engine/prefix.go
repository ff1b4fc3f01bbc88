package engine

import (
	"bytes"
	"net/netip"
	"strconv"
)

// prefixLengths are the lengths of the prefixes that a roster names, or has named:
// an address is looked up once for each, so that what is looked up does not grow
// with the list.
type prefixLengths [3]uint64

// note takes in the length of a prefix as CanonicalPrefix writes it. What is none
// does no harm: nothing is found by it.
func (p *prefixLengths) note(id []byte) {
	at := bytes.LastIndexByte(id, '/')
	if at < 0 || len(id)-at > 4 {
		return
	}
	if bits, err := strconv.ParseUint(string(id[at+1:]), 10, 8); err == nil && bits <= 128 {
		p[bits/64] |= 1 << (bits % 64)
	}
}

func (p *prefixLengths) has(bits int) bool { return p[bits/64]&(1<<(bits%64)) != 0 }

// PrefixLevel gives the worst that the risk list of addresses says of addr, and the
// narrowest prefix by which it says that.
func (v Rosters) PrefixLevel(addr netip.Addr) (worst Level, by netip.Prefix) {
	r := v.s.rosters[RosterID{Kind: RosterRiskIP}]
	if r == nil || r.listed == 0 || !addr.IsValid() {
		return LevelNone, by
	}
	addr = addr.Unmap().WithZone("")
	var room [64]byte
	for bits := addr.BitLen(); bits >= 0; bits-- {
		if !r.lengths.has(bits) {
			continue
		}
		prefix, err := addr.Prefix(bits)
		if err != nil {
			continue // longer than an address of this kind
		}
		if level := r.level(prefix.AppendTo(room[:0])); level > worst {
			worst, by = level, prefix
		}
	}
	return worst, by
}
