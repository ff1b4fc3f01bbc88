package cluster

import (
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"slices"

	"doorbuster/cluster/peer"
	"doorbuster/engine"
)

// Kind is what a node is there for.
type Kind string

// Kinds of nodes. An edge node serves shoppers and has no vote; a witness votes
// and serves none.
const (
	KindVoter   Kind = "voter"
	KindWitness Kind = "witness"
	KindEdge    Kind = "edge"
)

// votes reports whether a node of this kind counts for the quorum.
func (k Kind) votes() bool { return k != KindEdge }

// Member is a node of the cluster.
type Member struct {
	ID   string `json:"id"`
	Zone string `json:"zone"`
	Kind Kind   `json:"kind,omitempty"` // voter if empty
	Peer string `json:"peer"`           // host:port where the others reach it
	// Drained: an operator has taken it out of service; it neither leads nor
	// wants new shoppers.
	Drained bool `json:"drained,omitempty"`
}

// Validate tells everything that is wrong with m.
func (m Member) Validate() error {
	errs := []error{peer.CheckID("id", m.ID), peer.CheckID("zone", m.Zone)}
	if host, port, err := net.SplitHostPort(m.Peer); err != nil || host == "" || port == "" ||
		len(m.Peer) > engine.MaxTextBytes {
		errs = append(errs, fmt.Errorf("peer %q is not HOST:PORT", m.Peer))
	}
	if m.Kind != KindVoter && m.Kind != KindWitness && m.Kind != KindEdge {
		errs = append(errs, fmt.Errorf("kind %q is none of voter, witness, edge", m.Kind))
	}
	return errors.Join(errs...)
}

// ZoneAck says what an acknowledgement waits for beyond Raft's quorum.
type ZoneAck string

// Zone acknowledgement: off is the quorum alone; prefer waits for a voter of
// another zone while one answers; require waits for one always.
const (
	ZoneAckOff     ZoneAck = "off"
	ZoneAckPrefer  ZoneAck = "prefer"
	ZoneAckRequire ZoneAck = "require"
)

// Valid reports whether z is one of the three.
func (z ZoneAck) Valid() bool {
	return z == ZoneAckOff || z == ZoneAckPrefer || z == ZoneAckRequire
}

// Membership is what the cluster agrees on about itself. It is replicated, takes
// effect when it is committed, and is immutable: a change makes a new one.
type Membership struct {
	// Version counts the changes. One that does not follow the present one is
	// ignored: somebody else was faster.
	Version   uint64   `json:"version"`
	ZoneAck   ZoneAck  `json:"zone_ack"`
	Preferred string   `json:"preferred,omitempty"` // zone that is to lead; see home
	Members   []Member `json:"members"`
	// Removed are the nodes that were taken out, the latest last, maxRemoved at
	// most: what a node finds here it knows. A node that is neither here nor among
	// the members may have joined since.
	Removed []Removed `json:"removed,omitempty"`
	// Operator and Note say who made it and why, for the audit.
	Operator string `json:"operator,omitempty"`
	Note     string `json:"note,omitempty"`
}

// member gives the one with this id, or nil.
func (r *Membership) member(id string) *Member {
	if i := slices.IndexFunc(r.Members, func(m Member) bool { return m.ID == id }); i >= 0 {
		return &r.Members[i]
	}
	return nil
}

// Removed is a node that was taken out for good, with its data directory. Under its
// id another directory may join.
type Removed struct {
	ID          string `json:"id"`
	Incarnation string `json:"incarnation,omitempty"` // "" if the leader never met it
}

// maxRemoved bounds how many removed nodes a membership names.
const maxRemoved = 64

// remove takes a member out and remembers that.
func (r *Membership) remove(gone Removed) {
	r.Members = slices.DeleteFunc(r.Members, func(m Member) bool { return m.ID == gone.ID })
	r.Removed = append(slices.Clone(r.Removed), gone)
	r.Removed = r.Removed[max(0, len(r.Removed)-maxRemoved):]
}

// removed reports whether a node is known to have been taken out.
func (r *Membership) removed(id, incarnation string) bool {
	return slices.ContainsFunc(r.Removed, func(gone Removed) bool {
		return gone.ID == id && (gone.Incarnation == incarnation || gone.Incarnation == "" && r.member(id) == nil)
	})
}

func (r *Membership) zoneOf(id string) string {
	if m := r.member(id); m != nil {
		return m.Zone
	}
	return ""
}

// home gives the zone that is to lead: the preferred one or, if there is none, the one
// that has more votes than any other, so that the loss of another zone does not take
// the leader. "" is no zone in particular.
func (r *Membership) home() string {
	if r.Preferred != "" {
		return r.Preferred
	}
	votes, most, home := map[string]int{}, 0, ""
	for _, m := range r.Members {
		if m.Kind.votes() {
			votes[m.Zone]++
		}
		switch {
		case votes[m.Zone] > most:
			most, home = votes[m.Zone], m.Zone
		case votes[m.Zone] == most && m.Zone != home:
			home = ""
		}
	}
	return home
}

// clone is what a change begins with.
func (r *Membership) clone() *Membership {
	next := *r
	next.Members = slices.Clone(r.Members)
	next.Version++
	return &next
}

// A membership's entry in the log begins with a byte that no batch of the engine
// begins with, followed by JSON. maxMembershipBytes bounds it.
const (
	membershipEntry    = 0xC1
	maxMembershipBytes = 256 << 10
)

func encodeMembership(r *Membership) []byte {
	b, _ := json.Marshal(r) // strings and numbers: it can't fail
	return append([]byte{membershipEntry}, b...)
}

func isMembership(entry []byte) bool { return len(entry) > 0 && entry[0] == membershipEntry }

// DecodeMembership reads a membership's entry. Errors: engine.ErrMalformed.
func DecodeMembership(entry []byte) (*Membership, error) {
	if !isMembership(entry) || len(entry) > maxMembershipBytes {
		return nil, engine.ErrMalformed
	}
	r := new(Membership)
	if err := json.Unmarshal(entry[1:], r); err != nil {
		return nil, fmt.Errorf("membership: %w: %w", engine.ErrMalformed, err)
	}
	if !r.ZoneAck.Valid() {
		return nil, fmt.Errorf("membership: %w: zone ack %q", engine.ErrMalformed, r.ZoneAck)
	}
	return r, nil
}

// A snapshot is its head, then the engine's state:
//
//	magic "DBSNAP01", u32 length (little-endian), snapshotHead as JSON, engine's snapshot
const snapshotMagic = "DBSNAP01"

// maxHeadBytes bounds a snapshot's head, all of it.
const maxHeadBytes = maxMembershipBytes + 64<<10

func writeHead(w io.Writer, h snapshotHead) error {
	b, err := json.Marshal(h)
	if err != nil {
		return err
	}
	if _, err := w.Write(binary.LittleEndian.AppendUint32([]byte(snapshotMagic), uint32(len(b)))); err != nil {
		return err
	}
	_, err = w.Write(b)
	return err
}

// readHead reads what writeHead wrote; the engine's snapshot follows.
func readHead(from io.Reader) (h snapshotHead, err error) {
	var fixed [len(snapshotMagic) + 4]byte
	if _, err := io.ReadFull(from, fixed[:]); err != nil {
		return h, err
	}
	if magic := string(fixed[:len(snapshotMagic)]); magic == "DBCLUST2" {
		return h, fmt.Errorf("snapshot: %w", engine.ErrOlderFormat)
	} else if magic != snapshotMagic {
		return h, fmt.Errorf("snapshot: %w: it does not begin with %q", engine.ErrMalformed, snapshotMagic)
	}
	length := binary.LittleEndian.Uint32(fixed[len(snapshotMagic):])
	if int64(length) > int64(maxHeadBytes-len(fixed)) {
		return h, fmt.Errorf("snapshot: a head of %d bytes: %w", length, engine.ErrMalformed)
	}
	b := make([]byte, length)
	if _, err := io.ReadFull(from, b); err != nil {
		return h, err
	}
	if err := json.Unmarshal(b, &h); err != nil {
		return h, fmt.Errorf("snapshot: %w: %w", engine.ErrMalformed, err)
	}
	if h.Roster != nil && !h.Roster.ZoneAck.Valid() {
		return h, fmt.Errorf("snapshot: %w: zone ack %q", engine.ErrMalformed, h.Roster.ZoneAck)
	}
	return h, nil
}
