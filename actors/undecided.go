package actors

import "sync/atomic"

// undecided counts the grabs under way of the shoppers who share a place here, so
// that nobody who may yet be granted a unit is told that they missed it. Who
// shares their place with somebody undecided is told to ask again instead: with a
// full waiting room (16,384) that is one in sixteen.
type undecided [1 << 18]atomic.Int32

func (c *undecided) place(fingerprint uint64) *atomic.Int32 {
	return &c[fingerprint>>1%uint64(len(c))] // its lowest bit is always set
}

func (c *undecided) enter(fingerprint uint64)       { c.place(fingerprint).Add(1) }
func (c *undecided) leave(fingerprint uint64)       { c.place(fingerprint).Add(-1) }
func (c *undecided) count(fingerprint uint64) int32 { return c.place(fingerprint).Load() }
func (c *undecided) has(fingerprint uint64) bool    { return c.place(fingerprint).Load() > 0 }
