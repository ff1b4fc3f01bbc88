package wal_test

import (
	"bytes"
	"testing"

	"doorbuster/wal"
)

func TestBatchesOutsideOfALog(t *testing.T) {
	recs := []wal.Record{{Index: 3, Term: 1, Meta: []byte("m"), Data: []byte("one")},
		{Index: 9, Term: 2, Data: []byte("two")}}
	first := wal.AppendBatch(nil, recs)
	b := wal.AppendBatch(bytes.Clone(first), []wal.Record{{Index: 12, Term: 2}})
	got, length, ok := wal.DecodeBatch(b, nil)
	if !ok || length != len(first) || len(got) != 2 || got[1].Index != 9 || string(got[0].Data) != "one" ||
		string(got[0].Meta) != "m" {
		t.Fatalf("%v, %d, %v", got, length, ok)
	}
	if n := wal.Sealed(b); n != 2 {
		t.Errorf("%d batches are sealed, want 2", n)
	}
	at := 0
	for _, want := range []bool{false, false, true, false, true} {
		length, ok := wal.FrameLength(b[at:])
		r, decoded, commit, whole := wal.DecodeFrame(b[at:])
		if !ok || !whole || length != decoded || commit != want || !commit && r.FrameBytes() != int64(length) {
			t.Fatalf("at %d: %d, %d, %v", at, length, decoded, commit)
		}
		at += length
	}
	for i := range first {
		bad := bytes.Clone(first)
		bad[i] ^= 0x10
		if _, _, ok := wal.DecodeBatch(bad, nil); ok {
			t.Fatalf("a flip at %d was not noticed", i)
		}
		if _, _, ok := wal.DecodeBatch(first[:i], nil); ok {
			t.Fatalf("a cut at %d was not noticed", i)
		}
	}
}
