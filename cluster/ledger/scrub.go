package ledger

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"hash/fnv"
	"io"
	"math"
	"os"
)

// The database's own format checks only its two meta pages. Scrub walks the whole
// file by itself, page by page and with every number checked before it is
// followed, so that no damage can lead it astray: a page that is reached twice, or
// never, or is free and in use, keys out of order, a row whose checksum does not
// fit, a bucket with rows too few. What remains are bytes that mean nothing.
//
// Pages of bbolt (all numbers in the machine's order, which is little endian
// wherever this runs; a file from elsewhere is refused by its magic):
//
//	page    id u64, flags u16, count u16, overflow u32, elements
//	branch  elements of position u32, key bytes u32, page u64
//	leaf    elements of flags u32, position u32, key bytes u32, value bytes u32
//	meta    magic u32, version u32, page bytes u32, flags u32, root page u64,
//	        sequence u64, freelist page u64, pages u64, transaction u64, FNV-64a
//	a position counts from its element's own beginning

const (
	pageHead   = 16
	leafPage   = 0x02
	branchPage = 0x01
	freePage   = 0x10

	boltMagic   = 0xED0CDAED
	boltVersion = 2
	elementSize = 16
	bucketLeaf  = 1 // flag of a leaf's element: its value is a bucket
	bucketHead  = 16
	maxDepth    = 64
)

// meta is one of the two pages that a database begins with.
type meta struct {
	pageBytes      uint32
	root           uint64
	freelist       uint64
	pages          uint64
	transaction    uint64
	checksumIsGood bool
}

func readMeta(page []byte) (m meta) {
	b := page[pageHead:]
	le := binary.LittleEndian
	m = meta{pageBytes: le.Uint32(b[8:]), root: le.Uint64(b[16:]), freelist: le.Uint64(b[32:]), pages: le.Uint64(b[40:]), transaction: le.Uint64(b[48:])}
	sum := fnv.New64a()
	sum.Write(b[:56])
	m.checksumIsGood = le.Uint32(b) == boltMagic && le.Uint32(b[4:]) == boltVersion && sum.Sum64() == le.Uint64(b[56:])
	return m
}

const metaBytes = pageHead + 64

// readMetas gives the newer meta page. Both must be good: a database is written
// one meta after the other, each in a sector of its own.
func readMetas(f io.ReaderAt) (newest meta, err error) {
	var buf [metaBytes]byte
	if _, err := f.ReadAt(buf[:], 0); err != nil {
		return meta{}, fmt.Errorf("%w: its first page can't be read: %w", errDamaged, err)
	}
	first := readMeta(buf[:])
	if !first.checksumIsGood || first.pageBytes < 1024 || first.pageBytes > 64<<10 {
		return meta{}, fmt.Errorf("%w: its first page does not fit its checksum", errDamaged)
	}
	if _, err := f.ReadAt(buf[:], int64(first.pageBytes)); err != nil {
		return meta{}, fmt.Errorf("%w: its second page can't be read: %w", errDamaged, err)
	}
	second := readMeta(buf[:])
	if !second.checksumIsGood || second.pageBytes != first.pageBytes {
		return meta{}, fmt.Errorf("%w: its second page does not fit its checksum", errDamaged)
	}
	if second.transaction > first.transaction {
		return second, nil
	}
	return first, nil
}

// checkSize tells whether the file is as long as it says. A shorter one must not be
// mapped: to touch what is missing would end the process.
func checkSize(path string) error {
	f, err := os.Open(path)
	if err != nil {
		return err
	}
	defer f.Close()
	m, err := readMetas(f)
	if err != nil {
		return err
	}
	info, err := f.Stat()
	if err != nil {
		return err
	}
	if m.pages > math.MaxInt64/uint64(m.pageBytes) || info.Size() < int64(m.pages)*int64(m.pageBytes) {
		return fmt.Errorf("%w: it has %d bytes, and should have %d pages of %d", errDamaged, info.Size(), m.pages, m.pageBytes)
	}
	return nil
}

// scrubber walks a file that nobody writes to meanwhile.
type scrubber struct {
	f       io.ReaderAt
	meta    meta
	reached []uint64 // bits, by page
	rows    func(bucket byte, key, value []byte) error
	stop    func() bool
}

// errStopped: the ledger is closing.
var errStopped = errors.New("stopped")

// scrub checks the whole file at path, in one pass over its pages in use, and gives
// errDamaged if it is not what was written. stop is asked now and then.
func scrub(path string, stop func() bool) error {
	f, err := os.Open(path)
	if err != nil {
		return err
	}
	defer f.Close()
	s := &scrubber{f: f, stop: stop}
	if s.meta, err = readMetas(f); err != nil {
		return err
	}
	if s.meta.pages > 1<<40/uint64(s.meta.pageBytes)*64 {
		return s.bad("claims %d pages", s.meta.pages)
	}
	s.reached = make([]uint64, (s.meta.pages+63)/64)
	s.reach(0)
	s.reach(1)
	var found, told tallies
	s.rows = func(bucket byte, key, value []byte) error {
		body, err := unseal(bucket, key, value)
		if err != nil {
			return err
		}
		if int(bucket) < len(found) {
			found[bucket].rows++
			found[bucket].sum += sealOf(value)
		}
		switch {
		case bucket != bucketMeta:
		case string(key) == string(keyTally):
			told, err = talliesOf(body)
		case string(key) == string(keyHead):
			_, err = headOf(body)
		}
		return err
	}
	if err := s.page(s.meta.root, 0, nil, nil, 0); err != nil {
		return err
	}
	if err := s.freelist(); err != nil {
		return err
	}
	for page := range s.meta.pages {
		if s.reached[page/64]&(1<<(page%64)) == 0 {
			return s.bad("page %d is neither in use nor free", page)
		}
	}
	for _, b := range buckets[1:] {
		if found[b] != told[b] {
			return s.bad("bucket %c has %d rows, and should have %d", b, found[b].rows, told[b].rows)
		}
	}
	if n := found[bucketMeta].rows; n != 2 && n != 3 { // the third once events were dropped
		return s.bad("%d rows of its own, not 2 or 3", n)
	}
	return nil
}

func (s *scrubber) bad(format string, args ...any) error {
	return fmt.Errorf("%w: %s", errDamaged, fmt.Sprintf(format, args...))
}

// reach marks a page; false if it was before, or is beyond the end.
func (s *scrubber) reach(page uint64) bool {
	if page >= s.meta.pages || s.reached[page/64]&(1<<(page%64)) != 0 {
		return false
	}
	s.reached[page/64] |= 1 << (page % 64)
	return true
}

// read gives a page with what overflows into those behind it.
func (s *scrubber) read(id uint64) ([]byte, error) {
	if id >= s.meta.pages {
		return nil, s.bad("page %d is beyond the last of %d", id, s.meta.pages)
	}
	size := int(s.meta.pageBytes)
	b := make([]byte, size)
	if _, err := s.f.ReadAt(b, int64(id)*int64(size)); err != nil {
		return nil, s.bad("page %d can't be read: %v", id, err)
	}
	le := binary.LittleEndian
	overflow := uint64(le.Uint32(b[12:]))
	if le.Uint64(b) != id || overflow >= s.meta.pages-id {
		return nil, s.bad("page %d says that it is page %d with %d more", id, le.Uint64(b), overflow)
	}
	for i := range overflow + 1 {
		if !s.reach(id + i) {
			return nil, s.bad("page %d is in use twice", id+i)
		}
	}
	if overflow > 0 {
		b = append(b, make([]byte, overflow*uint64(size))...)
		if _, err := s.f.ReadAt(b[size:], int64(id+1)*int64(size)); err != nil {
			return nil, s.bad("page %d can't be read: %v", id+1, err)
		}
	}
	return b, nil
}

// page walks what is under a page: keys from least (nil: any) to below limit (nil:
// any). bucket is the letter of the bucket; 0 at the root, which holds the buckets.
func (s *scrubber) page(id uint64, bucket byte, least, limit []byte, depth int) error {
	if depth > maxDepth {
		return s.bad("the tree is deeper than %d", maxDepth)
	}
	if s.stop() {
		return errStopped
	}
	b, err := s.read(id)
	if err != nil {
		return err
	}
	return s.elements(id, b, bucket, least, limit, depth)
}

func (s *scrubber) elements(id uint64, b []byte, bucket byte, least, limit []byte, depth int) error {
	le := binary.LittleEndian
	flags, count := le.Uint16(b[8:]), int(le.Uint16(b[10:]))
	if flags != branchPage && flags != leafPage {
		return s.bad("page %d is of kind %#x, and should be a branch or a leaf", id, flags)
	}
	if pageHead+count*elementSize > len(b) {
		return s.bad("page %d has room for fewer than %d elements", id, count)
	}
	at := func(i int) int { return pageHead + i*elementSize }
	slice := func(from, offset, n uint32, base int) []byte {
		begin := uint64(base) + uint64(from) + uint64(offset)
		if begin+uint64(n) > uint64(len(b)) {
			return nil
		}
		return b[begin : begin+uint64(n) : begin+uint64(n)]
	}
	key := func(i int) []byte {
		e := b[at(i):]
		if flags == branchPage {
			return slice(le.Uint32(e), 0, le.Uint32(e[4:]), at(i))
		}
		return slice(le.Uint32(e[4:]), 0, le.Uint32(e[8:]), at(i))
	}
	previous := least
	for i := range count {
		k := key(i)
		if k == nil {
			return s.bad("a key of page %d lies outside of it", id)
		}
		if order := bytes.Compare(previous, k); previous != nil && (order > 0 || i > 0 && order == 0) || limit != nil && bytes.Compare(k, limit) >= 0 {
			return s.bad("the keys of page %d are out of order", id)
		}
		previous = k
		e := b[at(i):]
		if flags == branchPage {
			end := limit
			if i+1 < count {
				if end = key(i + 1); end == nil {
					return s.bad("a key of page %d lies outside of it", id)
				}
			}
			if err := s.page(le.Uint64(e[8:]), bucket, k, end, depth+1); err != nil {
				return err
			}
			continue
		}
		value := slice(le.Uint32(e[4:]), le.Uint32(e[8:]), le.Uint32(e[12:]), at(i))
		if value == nil {
			return s.bad("a value of page %d lies outside of it", id)
		}
		if err := s.leaf(id, le.Uint32(e), bucket, k, value, depth); err != nil {
			return err
		}
	}
	return nil
}

func (s *scrubber) leaf(id uint64, flags uint32, bucket byte, key, value []byte, depth int) error {
	switch {
	case bucket != 0 && flags == 0:
		return s.rows(bucket, key, value)
	case bucket != 0 || flags != bucketLeaf || len(key) != 1 || !bytes.Contains(buckets, key):
		return s.bad("page %d holds what is no row and no bucket", id)
	case len(value) < bucketHead:
		return s.bad("bucket %c is cut short", key[0])
	}
	if root := binary.LittleEndian.Uint64(value); root != 0 {
		return s.page(root, key[0], nil, nil, depth+1)
	}
	if len(value) < bucketHead+pageHead {
		return s.bad("bucket %c is cut short", key[0])
	}
	return s.elements(id, value[bucketHead:], key[0], nil, nil, depth+1)
}

// freelist marks the pages that are free.
func (s *scrubber) freelist() error {
	if s.meta.freelist == math.MaxUint64 {
		return s.bad("there is no list of free pages")
	}
	b, err := s.read(s.meta.freelist)
	if err != nil {
		return err
	}
	le := binary.LittleEndian
	if le.Uint16(b[8:]) != freePage {
		return s.bad("page %d is no list of free pages", s.meta.freelist)
	}
	count, at := uint64(le.Uint16(b[10:])), uint64(pageHead)
	if count == 0xFFFF { // then the first element is how many there are
		count, at = le.Uint64(b[at:]), at+8
	}
	if count > (uint64(len(b))-at)/8 {
		return s.bad("the list of free pages has room for fewer than %d", count)
	}
	for i := range count {
		if free := le.Uint64(b[at+8*i:]); !s.reach(free) {
			return s.bad("page %d is free and in use, or free twice", free)
		}
	}
	return nil
}
