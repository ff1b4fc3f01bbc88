package settled

import (
	"encoding/binary"
	"slices"

	"github.com/FastFilter/xorfilter"
	"github.com/cespare/xxhash/v2"

	"doorbuster/cluster/ledger/codec"
)

// filter says which names a file may have: a binary fuse filter of 16 bits, 2.25
// bytes a name, wrong once in 65,536 names that are not there. So a question across
// thousands of files opens those that know the answer, and hardly ever another. nil
// has none.
type filter struct{ *xorfilter.BinaryFuse[uint16] }

func hashOf(name string) uint64 { return xxhash.Sum64String(name) }

// filterOf makes one of hashes, which it sorts.
func filterOf(hashes []uint64) (filter, error) {
	slices.Sort(hashes)
	hashes = slices.Compact(hashes) // the library has been wrong about duplicates (its issues 30 and 35)
	if len(hashes) == 0 {
		return filter{}, nil
	}
	f, err := xorfilter.NewBinaryFuse[uint16](hashes)
	return filter{f}, err
}

func (f filter) mayHave(hash uint64) bool { return f.BinaryFuse != nil && f.Contains(hash) }

func (f filter) append(w *codec.Writer) {
	if f.BinaryFuse == nil {
		w.Uint(0)
		return
	}
	w.Uint(uint64(len(f.Fingerprints)), f.Seed, uint64(f.SegmentLength))
	w.Buf, _ = binary.Append(w.Buf, binary.LittleEndian, f.Fingerprints) // their size is fixed
}

// readFilter reads what append wrote. A length is a power of two, and there are two
// segments more than a name's first place may be in.
func readFilter(r *codec.Reader) filter {
	n := r.Uint()
	if n == 0 {
		return filter{}
	}
	seed, length := r.Uint(), r.Uint32()
	if length == 0 || length&(length-1) != 0 || n%uint64(length) != 0 || n < 3*uint64(length) ||
		n > uint64(len(r.Buf)) {
		r.Fail()
		return filter{}
	}
	prints, segments := r.Bytes(2*n), uint32(n/uint64(length))-2
	if prints == nil {
		return filter{}
	}
	f := &xorfilter.BinaryFuse[uint16]{Seed: seed, SegmentLength: length, SegmentLengthMask: length - 1,
		SegmentCount: segments, SegmentCountLength: segments * length, Fingerprints: make([]uint16, n)}
	_, _ = binary.Decode(prints, binary.LittleEndian, f.Fingerprints) // there are as many
	return filter{f}
}
