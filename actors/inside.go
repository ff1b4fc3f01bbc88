package actors

import "sync/atomic"

// inside counts the grabs under way of the shoppers who share a place here, so
// that nobody who may yet be granted a unit is told that he missed it. Who
// shares his place with somebody inside is told to ask again instead: with a
// full waiting room (16,384) that is one in sixteen.
type inside [1 << 18]atomic.Int32

func (c *inside) place(fingerprint uint64) *atomic.Int32 {
	return &c[fingerprint>>1%uint64(len(c))] // its lowest bit is always set
}

func (c *inside) enter(fingerprint uint64)       { c.place(fingerprint).Add(1) }
func (c *inside) leave(fingerprint uint64)       { c.place(fingerprint).Add(-1) }
func (c *inside) count(fingerprint uint64) int32 { return c.place(fingerprint).Load() }
func (c *inside) has(fingerprint uint64) bool    { return c.place(fingerprint).Load() > 0 }
