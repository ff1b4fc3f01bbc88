// Package waltest holds a disk to try a log on: one in memory that loses power
// at a chosen operation, fails, runs full or hangs, and remembers what a real
// one might.
//
// Start with [NewDisk]; hand it to wal.Config.FS.
package waltest

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"maps"
	"math/rand/v2"
	"path/filepath"
	"slices"
	"sync"
	"syscall"

	"doorbuster/wal/vfs"
)

// ErrPowerLost is what every operation returns from the crash on.
var ErrPowerLost = errors.New("waltest: power lost")

// sectorBytes is what the disk writes whole or not at all.
const sectorBytes = vfs.BlockBytes

// Kind is a kind of operation that changes a disk.
type Kind string

// The kinds. Reading is not counted.
const (
	Mkdir       Kind = "mkdir"
	Create      Kind = "create"
	Write       Kind = "write"
	Sync        Kind = "sync"
	Truncate    Kind = "truncate"
	Preallocate Kind = "preallocate"
	Remove      Kind = "remove"
	Rename      Kind = "rename"
	SyncDir     Kind = "syncdir"
)

// Op is one operation.
type Op struct {
	N    int // from 1
	Kind Kind
	Name string // base name
}

func (op Op) String() string { return fmt.Sprintf("operation %d, %s %s", op.N, op.Kind, op.Name) }

// Disk is a vfs.FS in memory. Each file has what programs see and what is
// durable; names likewise.
//
// What a crash leaves is drawn from the seed: any subset of the 512-byte
// sectors written since the file's last sync, the old or the new size, and any
// subset of the names made, renamed and removed since the directory's last
// sync. A failed sync loses what it should have made durable for good, although
// reading shows it still, and the next sync succeeds: that is how kernels
// behave.
type Disk struct {
	mu       sync.Mutex
	rng      *rand.Rand
	dirs     map[string]bool
	names    map[string]*inode
	durable  map[string]*inode
	pending  []nameChange
	ops      int
	crashAt  int
	crashed  bool
	capacity int64
	inject   func(Op) error
	direct   bool
}

type inode struct {
	seen    []byte
	durable []byte
	dirty   map[int]bool // sectors of seen that a crash may lose
}

// nameChange is a change of names since the last SyncDir: to is linked to node,
// and from is taken away. Either may be empty.
type nameChange struct {
	from, to string
	node     *inode
}

func (c nameChange) apply(names map[string]*inode) {
	delete(names, c.from)
	if c.to != "" {
		names[c.to] = c.node
	}
}

// NewDisk returns an empty disk.
func NewDisk(seed uint64) *Disk {
	return &Disk{
		rng:  rand.New(rand.NewPCG(seed, 0)),
		dirs: map[string]bool{".": true, "/": true}, names: map[string]*inode{}, durable: map[string]*inode{},
	}
}

var _ vfs.FS = (*Disk)(nil)

// Ops returns the number of operations so far.
func (d *Disk) Ops() int {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.ops
}

// CrashAt makes the power fail in operation n, counted from the disk's first.
func (d *Disk) CrashAt(n int) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.crashAt = n
}

// Crash makes the power fail now.
func (d *Disk) Crash() {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.crashed = true
}

// Inject has f called before each operation, which fails with f's error unless
// that is nil. A failed write may have written a part. f may block: the
// operation then hangs.
func (d *Disk) Inject(f func(Op) error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.inject = f
}

// FailAt makes operation n, and no other, fail with err.
func (d *Disk) FailAt(n int, err error) {
	d.Inject(func(op Op) error {
		if op.N == n {
			return err
		}
		return nil
	})
}

// Stall makes the next operation of that kind hang. entered is closed once it
// does; release lets it go on.
func (d *Disk) Stall(kind Kind) (entered <-chan struct{}, release func()) {
	hangs, goOn := make(chan struct{}), make(chan struct{})
	var once sync.Once
	d.Inject(func(op Op) error {
		if op.Kind == kind {
			once.Do(func() {
				close(hangs)
				<-goOn
			})
		}
		return nil
	})
	return hangs, sync.OnceFunc(func() { close(goOn) })
}

// SetCapacity bounds the sum of file sizes; 0 lifts the bound.
func (d *Disk) SetCapacity(bytes int64) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.capacity = bytes
}

// SetDirect says how WriteSync goes: as one operation around the page cache, of which a
// crash leaves any sectors, and which makes nothing else durable; or as a write and a
// sync. Restart keeps it.
func (d *Disk) SetDirect(direct bool) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.direct = direct
}

// Restart returns the disk that the machine finds after losing power now.
// Nothing is injected into it, and its operations count from 1.
func (d *Disk) Restart(seed uint64) *Disk {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.crashed = true
	after := NewDisk(seed)
	after.direct = d.direct
	// Crashes that lose all or nothing are worth more than chance would give.
	keep := []float64{0, 0.1, 0.5, 0.9, 1}[after.rng.IntN(5)]
	kept := func() bool { return after.rng.Float64() < keep }
	names := maps.Clone(d.durable)
	for _, c := range d.pending {
		if kept() {
			c.apply(names)
		}
	}
	after.dirs = maps.Clone(d.dirs)
	for _, name := range slices.Sorted(maps.Keys(names)) {
		b := names[name].afterCrash(kept)
		node := &inode{seen: b, durable: slices.Clone(b), dirty: map[int]bool{}}
		after.names[name], after.durable[name] = node, node
	}
	return after
}

func (n *inode) afterCrash(kept func() bool) []byte {
	size := len(n.durable)
	if len(n.seen) != size && kept() {
		size = len(n.seen)
	}
	b := make([]byte, size)
	copy(b, n.durable)
	for _, sector := range slices.Sorted(maps.Keys(n.dirty)) {
		at := sector * sectorBytes
		if at >= size || !kept() {
			continue
		}
		end := min(at+sectorBytes, size)
		clear(b[at:end])
		if at < len(n.seen) {
			copy(b[at:end], n.seen[at:])
		}
	}
	return b
}

// Clone returns a disk with the same files, all of them durable.
func (d *Disk) Clone() *Disk {
	d.mu.Lock()
	defer d.mu.Unlock()
	c := NewDisk(0)
	c.dirs = maps.Clone(d.dirs)
	for name, n := range d.names {
		node := &inode{seen: slices.Clone(n.seen), durable: slices.Clone(n.seen), dirty: map[int]bool{}}
		c.names[name], c.durable[name] = node, node
	}
	return c
}

// Files returns the names of all files, sorted.
func (d *Disk) Files() []string {
	d.mu.Lock()
	defer d.mu.Unlock()
	return slices.Sorted(maps.Keys(d.names))
}

// Bytes returns a copy of a file's bytes, nil when there is no such file.
func (d *Disk) Bytes(name string) []byte {
	d.mu.Lock()
	defer d.mu.Unlock()
	n := d.names[name]
	if n == nil {
		return nil
	}
	return slices.Clone(n.seen)
}

// SetBytes replaces or makes a file, durably.
func (d *Disk) SetBytes(name string, b []byte) {
	d.mu.Lock()
	defer d.mu.Unlock()
	for dir := filepath.Dir(name); !d.dirs[dir]; dir = filepath.Dir(dir) {
		d.dirs[dir] = true
	}
	node := &inode{seen: slices.Clone(b), durable: slices.Clone(b), dirty: map[int]bool{}}
	d.names[name], d.durable[name] = node, node
}

// step runs one operation. apply changes what programs see, so in a crash it
// may yet have reached the disk; durable operations have no effect then.
func (d *Disk) step(kind Kind, name string, apply func() error) error {
	d.mu.Lock()
	if d.crashed {
		d.mu.Unlock()
		return ErrPowerLost
	}
	d.ops++
	op := Op{N: d.ops, Kind: kind, Name: filepath.Base(name)}
	inject := d.inject
	d.mu.Unlock()
	if inject != nil {
		if err := inject(op); err != nil {
			return &fs.PathError{Op: string(kind), Path: name, Err: err}
		}
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.crashed {
		return ErrPowerLost
	}
	if op.N == d.crashAt {
		d.crashed = true
		if kind != Sync && kind != SyncDir {
			apply() // its error is moot
		}
		return ErrPowerLost
	}
	return apply()
}

func (d *Disk) readable() error {
	if d.crashed {
		return ErrPowerLost
	}
	return nil
}

func (d *Disk) change(c nameChange) {
	c.apply(d.names)
	d.pending = append(d.pending, c)
}

// MkdirAll implements vfs.FS.
func (d *Disk) MkdirAll(dir string) error {
	d.mu.Lock()
	there := d.dirs[filepath.Clean(dir)]
	d.mu.Unlock()
	if there {
		return nil
	}
	return d.step(Mkdir, dir, func() error {
		for dir := filepath.Clean(dir); !d.dirs[dir]; dir = filepath.Dir(dir) {
			d.dirs[dir] = true
		}
		return nil
	})
}

// Create implements vfs.FS.
func (d *Disk) Create(name string) (vfs.File, error) {
	name = filepath.Clean(name)
	f := &file{disk: d, name: name, writable: true}
	err := d.step(Create, name, func() error {
		if !d.dirs[filepath.Dir(name)] {
			return &fs.PathError{Op: "create", Path: name, Err: fs.ErrNotExist}
		}
		if n := d.names[name]; n != nil {
			f.node = n
			n.resize(0)
			return nil
		}
		f.node = &inode{dirty: map[int]bool{}}
		d.change(nameChange{to: name, node: f.node})
		return nil
	})
	if err != nil {
		return nil, err
	}
	return f, nil
}

// OpenRead implements vfs.FS.
func (d *Disk) OpenRead(name string) (vfs.File, error) { return d.open(name, false) }

// OpenWrite implements vfs.FS.
func (d *Disk) OpenWrite(name string) (vfs.File, error) { return d.open(name, true) }

func (d *Disk) open(name string, writable bool) (vfs.File, error) {
	name = filepath.Clean(name)
	d.mu.Lock()
	defer d.mu.Unlock()
	if err := d.readable(); err != nil {
		return nil, err
	}
	n := d.names[name]
	if n == nil {
		return nil, &fs.PathError{Op: "open", Path: name, Err: fs.ErrNotExist}
	}
	return &file{disk: d, name: name, node: n, writable: writable}, nil
}

// Remove implements vfs.FS.
func (d *Disk) Remove(name string) error {
	name = filepath.Clean(name)
	return d.step(Remove, name, func() error {
		if d.names[name] == nil {
			return &fs.PathError{Op: "remove", Path: name, Err: fs.ErrNotExist}
		}
		d.change(nameChange{from: name})
		return nil
	})
}

// Rename implements vfs.FS.
func (d *Disk) Rename(from, to string) error {
	from, to = filepath.Clean(from), filepath.Clean(to)
	return d.step(Rename, from, func() error {
		n := d.names[from]
		if n == nil {
			return &fs.PathError{Op: "rename", Path: from, Err: fs.ErrNotExist}
		}
		d.change(nameChange{from: from, to: to, node: n})
		return nil
	})
}

// List implements vfs.FS.
func (d *Disk) List(dir string) ([]string, error) {
	dir = filepath.Clean(dir)
	d.mu.Lock()
	defer d.mu.Unlock()
	if err := d.readable(); err != nil {
		return nil, err
	}
	if !d.dirs[dir] {
		return nil, &fs.PathError{Op: "list", Path: dir, Err: fs.ErrNotExist}
	}
	var names []string
	for name := range d.names {
		if filepath.Dir(name) == dir {
			names = append(names, filepath.Base(name))
		}
	}
	return names, nil
}

// SyncDir implements vfs.FS.
func (d *Disk) SyncDir(dir string) error {
	dir = filepath.Clean(dir)
	return d.step(SyncDir, dir, func() error {
		d.pending = slices.DeleteFunc(d.pending, func(c nameChange) bool {
			if filepath.Dir(max(c.from, c.to)) != dir {
				return false
			}
			c.apply(d.durable)
			return true
		})
		return nil
	})
}

// resize changes the size that programs see.
func (n *inode) resize(size int) {
	for sector := min(size, len(n.seen)) / sectorBytes; sector*sectorBytes < max(size, len(n.seen)); sector++ {
		if sector*sectorBytes < len(n.durable) || size < len(n.seen) {
			n.dirty[sector] = true
		}
	}
	if size <= len(n.seen) {
		n.seen = slices.Clone(n.seen[:size])
		return
	}
	n.seen = append(n.seen, make([]byte, size-len(n.seen))...)
}

func (n *inode) write(b []byte, at int) {
	if end := at + len(b); end > len(n.seen) {
		n.resize(end)
	}
	copy(n.seen[at:], b)
	if len(b) > 0 {
		for sector := at / sectorBytes; sector <= (at+len(b)-1)/sectorBytes; sector++ {
			n.dirty[sector] = true
		}
	}
}

// written makes some sectors durable, and no others.
func (n *inode) written(from, to int) {
	if to > len(n.durable) {
		n.durable = append(n.durable, make([]byte, to-len(n.durable))...)
	}
	for at := from; at < to; at += sectorBytes {
		copy(n.durable[at:at+sectorBytes], n.seen[at:])
		delete(n.dirty, at/sectorBytes)
	}
}

func (n *inode) sync() {
	if len(n.durable) > len(n.seen) {
		n.durable = n.durable[:len(n.seen)]
	} else {
		n.durable = append(n.durable, make([]byte, len(n.seen)-len(n.durable))...)
	}
	for sector := range n.dirty {
		if at := sector * sectorBytes; at < len(n.seen) {
			copy(n.durable[at:min(at+sectorBytes, len(n.seen))], n.seen[at:])
		}
	}
	clear(n.dirty)
}

// room returns ENOSPC where growing node to size would exceed the capacity.
func (d *Disk) room(node *inode, size int) error {
	if d.capacity == 0 || size <= len(node.seen) {
		return nil
	}
	used := int64(size - len(node.seen))
	for _, n := range d.names {
		used += int64(len(n.seen))
	}
	if used > d.capacity {
		return syscall.ENOSPC
	}
	return nil
}

type file struct {
	disk     *Disk
	name     string
	node     *inode
	writable bool
	closed   bool // guarded by disk.mu
}

func (f *file) pathError(op string, err error) error {
	return &fs.PathError{Op: op, Path: f.name, Err: err}
}

func (f *file) step(kind Kind, apply func() error) error {
	return f.disk.step(kind, f.name, func() error {
		switch {
		case f.closed:
			return f.pathError(string(kind), fs.ErrClosed)
		case !f.writable:
			return f.pathError(string(kind), syscall.EBADF)
		}
		return apply()
	})
}

func (f *file) ReadAt(b []byte, at int64) (int, error) {
	f.disk.mu.Lock()
	defer f.disk.mu.Unlock()
	if err := f.disk.readable(); err != nil {
		return 0, err
	}
	if f.closed {
		return 0, f.pathError("read", fs.ErrClosed)
	}
	if at >= int64(len(f.node.seen)) {
		return 0, io.EOF
	}
	n := copy(b, f.node.seen[at:])
	if n < len(b) {
		return n, io.EOF
	}
	return n, nil
}

func (f *file) WriteAt(b []byte, at int64) (int, error) {
	err := f.step(Write, func() error {
		if err := f.disk.room(f.node, int(at)+len(b)); err != nil {
			return f.pathError("write", err)
		}
		f.node.write(b, int(at))
		return nil
	})
	if err == nil {
		return len(b), nil
	}
	f.disk.mu.Lock()
	defer f.disk.mu.Unlock()
	if f.disk.crashed || f.closed || !f.writable {
		return 0, err
	}
	n := f.disk.rng.IntN(len(b) + 1)
	if f.disk.room(f.node, int(at)+n) == nil {
		f.node.write(b[:n], int(at))
	}
	return 0, err
}

func (f *file) WriteSync(b []byte, at int64) error {
	if at%vfs.BlockBytes != 0 || len(b)%vfs.BlockBytes != 0 {
		return f.pathError("write", syscall.EINVAL)
	}
	_, err := f.WriteAt(b, at)
	switch {
	case err != nil:
		return err
	case !f.Direct():
		return f.Sync()
	}
	f.disk.mu.Lock()
	defer f.disk.mu.Unlock()
	f.node.written(int(at), int(at)+len(b))
	return nil
}

func (f *file) Sync() error {
	err := f.step(Sync, func() error {
		f.node.sync()
		return nil
	})
	if err != nil {
		f.disk.mu.Lock()
		defer f.disk.mu.Unlock()
		if !f.disk.crashed {
			clear(f.node.dirty)
		}
	}
	return err
}

func (f *file) Truncate(size int64) error {
	return f.step(Truncate, func() error {
		f.node.resize(int(size))
		return nil
	})
}

func (f *file) Preallocate(size int64) error {
	return f.step(Preallocate, func() error {
		if err := f.disk.room(f.node, int(size)); err != nil {
			return f.pathError("preallocate", err)
		}
		if int(size) > len(f.node.seen) {
			f.node.resize(int(size))
		}
		return nil
	})
}

func (f *file) Size() (int64, error) {
	f.disk.mu.Lock()
	defer f.disk.mu.Unlock()
	if err := f.disk.readable(); err != nil {
		return 0, err
	}
	if f.closed {
		return 0, f.pathError("size", fs.ErrClosed)
	}
	return int64(len(f.node.seen)), nil
}

func (f *file) Close() error {
	f.disk.mu.Lock()
	defer f.disk.mu.Unlock()
	if f.closed {
		return f.pathError("close", fs.ErrClosed)
	}
	f.closed = true
	return nil
}

func (f *file) Direct() bool {
	f.disk.mu.Lock()
	defer f.disk.mu.Unlock()
	return f.disk.direct
}
