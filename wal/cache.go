package wal

import "sync"

// tailCache holds the newest records, consecutive and bounded in bytes. It
// shares the appender's slices instead of copying them.
type tailCache struct {
	limit int64 // set before use

	mu    sync.RWMutex
	ring  []Record // length a power of two, or zero; record i is at i modulo the length
	first uint64   // index of the oldest; meaningful when count > 0
	count int
	bytes int64
}

// cachedOverhead is counted for each record beside its bytes.
const cachedOverhead = 64

func cachedBytes(r *Record) int64 { return int64(len(r.Meta)+len(r.Data)) + cachedOverhead }

func (c *tailCache) at(index uint64) *Record { return &c.ring[index&uint64(len(c.ring)-1)] }

func (c *tailCache) get(index uint64) (Record, bool) {
	c.mu.RLock()
	defer c.mu.RUnlock()
	if index < c.first || index-c.first >= uint64(c.count) {
		return Record{}, false
	}
	return *c.at(index), true
}

// add puts consecutive records behind the newest. Older ones make room.
func (c *tailCache) add(recs []Record) {
	if c.limit <= 0 {
		return
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	for c.count > 0 && recs[0].Index != c.first+uint64(c.count) {
		c.dropOldest()
	}
	for i := range recs {
		r := &recs[i]
		size := cachedBytes(r)
		for c.count > 0 && c.bytes+size > c.limit {
			c.dropOldest()
		}
		if size > c.limit {
			continue
		}
		if c.count == 0 {
			c.first = r.Index
		}
		if c.count == len(c.ring) {
			c.grow()
		}
		*c.at(r.Index) = *r
		c.count++
		c.bytes += size
	}
}

func (c *tailCache) dropOldest() {
	r := c.at(c.first)
	c.bytes -= cachedBytes(r)
	*r = Record{}
	c.first++
	c.count--
}

func (c *tailCache) grow() {
	old, first := c.ring, c.first
	c.ring = make([]Record, max(64, 2*len(old)))
	for i := range uint64(c.count) {
		*c.at(first + i) = old[(first+i)&uint64(len(old)-1)]
	}
}

// keep forgets what is below from, and what is at or above to.
func (c *tailCache) keep(from, to uint64) {
	c.mu.Lock()
	defer c.mu.Unlock()
	for c.count > 0 && c.first+uint64(c.count) > to {
		r := c.at(c.first + uint64(c.count) - 1)
		c.bytes -= cachedBytes(r)
		*r = Record{}
		c.count--
	}
	for c.count > 0 && c.first < from {
		c.dropOldest()
	}
}
