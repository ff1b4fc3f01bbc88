package wal_test

import (
	"errors"
	"fmt"
	"os"

	"doorbuster/wal"
	"doorbuster/wal/vfs"
	"doorbuster/wal/waltest"
)

func Example() {
	dir, err := os.MkdirTemp("", "wal")
	if err != nil {
		fmt.Println(err)
		return
	}
	defer os.RemoveAll(dir)

	l, err := wal.Open(wal.DefaultConfig(dir))
	if err != nil {
		fmt.Println(err)
		return
	}
	defer l.Close()

	// One batch: all of it is on disk when Append returns nil, or none is.
	err = l.Append([]wal.Record{
		{Index: 1, Term: 1, Data: []byte("one")},
		{Index: 2, Term: 1, Data: []byte("two")},
		{Index: 3, Term: 1, Data: []byte("three")},
	})
	fmt.Println("append:", err)
	fmt.Println("drop the front:", l.TruncatePrefix(2))
	fmt.Println("drop the back:", l.TruncateSuffix(3))
	fmt.Println("holds", l.FirstIndex(), "to", l.LastIndex())

	r, err := l.Read(2)
	fmt.Printf("%d: %s, %v\n", r.Index, r.Data, err)
	_, err = l.Read(3)
	fmt.Println(err)
	// Output:
	// append: <nil>
	// drop the front: <nil>
	// drop the back: <nil>
	// holds 2 to 2
	// 2: two, <nil>
	// wal: record not found
}

// A crash in the middle of an append leaves a torn tail, which Open cuts off
// and reports.
func ExampleLog_Recovery() {
	disk := waltest.NewDisk(1)
	cfg := wal.DefaultConfig("wal")
	cfg.FS = disk
	l, err := wal.Open(cfg)
	if err != nil {
		fmt.Println(err)
		return
	}
	name := "wal/00000000000000000001.wal"
	for i := range uint64(2) {
		before := disk.Clone()
		if err := l.Append([]wal.Record{{Index: i + 1, Data: []byte("some bytes")}}); err != nil {
			fmt.Println(err)
		}
		if i == 1 { // of this append, 30 bytes got to the disk
			before.SetBytes(name, disk.Bytes(name)[:1024+30])
			cfg.FS = before
		}
	}
	l.Close()

	l, err = wal.Open(cfg)
	if err != nil {
		fmt.Println(err)
		return
	}
	defer l.Close()
	fmt.Println(l.Recovery().Torn)
	fmt.Println("holds", l.FirstIndex(), "to", l.LastIndex())
	// Output:
	// 00000000000000000001.wal at byte 1024: 17 bytes, 0 intact records from index 2: no intact frame
	// holds 1 to 1
}

// Damage in the middle is no trace of a crash: the log is refused as it is.
func ExampleVerify() {
	disk := waltest.NewDisk(1)
	cfg := wal.DefaultConfig("wal")
	cfg.FS = disk
	l, err := wal.Open(cfg)
	if err != nil {
		fmt.Println(err)
		return
	}
	for i := range uint64(2) {
		if err := l.Append([]wal.Record{{Index: i + 1, Data: []byte("some bytes")}}); err != nil {
			fmt.Println(err)
		}
	}
	l.Close()

	report, err := wal.Verify(disk, "wal", wal.Known{})
	fmt.Println(report.Batches, "batches,", report.Records, "records,", err)

	name := "wal/00000000000000000001.wal"
	b := disk.Bytes(name)
	b[550] ^= 1
	disk.SetBytes(name, b)
	_, err = wal.Verify(disk, "wal", wal.Known{})
	var damage *wal.DamageError
	if errors.As(err, &damage) {
		fmt.Println(damage.Segment, damage.Offset, damage.Index)
		fmt.Println(damage.Reason)
	}
	// Output:
	// 2 batches, 2 records, <nil>
	// 00000000000000000001.wal 512 1
	// no intact frame, and every sector that it lies in was written
}

func ExampleDump() {
	_, err := wal.Dump(vfs.OS(), "testdata/format1", wal.Known{}, func(e wal.Entry) error {
		if e.Index%25 == 0 {
			fmt.Println(e.Index, e.Term, e.Segment, e.Offset, len(e.Data))
		}
		return nil
	})
	fmt.Println(err)
	// Output:
	// 125 4 00000000000000000124.wal 632 87
	// 150 6 00000000000000000150.wal 512 112
	// <nil>
}
