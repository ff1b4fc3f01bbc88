package cluster

import (
	"context"
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"hash/crc32"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"sync"
	"time"

	"doorbuster/cluster/peer"
	"doorbuster/engine"
)

// mark is a place in a log. Marks compare as Raft compares logs: by term, and then
// by index. What a newer leader has cut off a log leaves it with a higher mark.
type mark struct {
	Term  uint64 `json:"term"`
	Index uint64 `json:"index"`
}

func (m mark) before(o mark) bool {
	return m.Term < o.Term || m.Term == o.Term && m.Index < o.Index
}

func later(a, b mark) mark {
	if a.before(b) {
		return b
	}
	return a
}

// acquaintance is what a node remembers of another, or of itself.
type acquaintance struct {
	peer.Past
	// Wrote is how far it was known to have written.
	Wrote mark   `json:"wrote"`
	Peer  string `json:"peer,omitempty"` // where it was, to ask it at the next start
}

// shortSince gives the first start of lives later than starts at which the log
// ended before what was written until then.
func shortSince(lives []peer.Start, starts uint64, wrote mark) (at peer.Start, short bool) {
	for _, l := range lives {
		if l.Count > starts && (mark{l.Term, l.Index}).before(wrote) {
			return l, true
		}
	}
	return at, false
}

// memory is what this node remembers of the nodes that it has met, or that others
// have told it of: with which directory, how often that was started, and how far it
// was known to have written. A directory that was put back to an older copy of
// itself shows by that.
//
// A new directory, or start, is on disk before the node that came is let in. How
// far it has written comes to disk in the background, so that grants wait for
// nothing: what is remembered is a lower bound. Safe for concurrent use.
type memory struct {
	path string
	// floor is what this node itself had applied when that was written last before its
	// start; not changed.
	floor engine.LogIndex

	mu      sync.Mutex
	applied engine.LogIndex // to be written
	of      map[string]acquaintance
	changed bool                 // since it was written
	twice   map[string]time.Time // by node: since when another process of it was kept out
}

const (
	memoryFile = "peers"
	// memoryEvery is how often marks are written, at most. More often costs fsyncs
	// beside the log's; less forgets more when the power fails.
	memoryEvery = 500 * time.Millisecond
	// maxMemoryBytes bounds the file, and what another node tells.
	maxMemoryBytes = 256 << 10
	// keptStarts is how many starts of a directory are told: enough that a node that
	// was away in the meantime finds the one that began with less.
	keptStarts = 16
	// twiceFor is how long another process must have been kept out before that is an
	// alarm: a node that starts again may come before its end was noticed.
	twiceFor = 2 * reachableFor
)

var memorySums = crc32.MakeTable(crc32.Castagnoli)

// openMemory reads what is remembered. The file is a CRC32C of the rest, little-
// endian, and JSON. old tells that the directory was started before, so that there
// must be one.
func openMemory(dir string, old bool) (*memory, error) {
	m := &memory{path: filepath.Join(dir, memoryFile), of: map[string]acquaintance{}, twice: map[string]time.Time{}}
	b, err := os.ReadFile(m.path)
	switch {
	case errors.Is(err, fs.ErrNotExist) && !old:
		return m, m.write()
	case err != nil:
		err = bare(err)
	case len(b) < 4 || crc32.Checksum(b[4:], memorySums) != binary.LittleEndian.Uint32(b):
		err = errors.New("its checksum is wrong")
	default:
		kept := memoryText{Of: m.of}
		err = json.Unmarshal(b[4:], &kept)
		m.floor, m.applied = kept.Applied, kept.Applied
	}
	if err != nil {
		return nil, fmt.Errorf("%w: %s: what this node remembers of the others is gone or damaged (%w), so it can't "+
			"tell an older copy of them. "+
			"Take it out with 'doorbuster cluster remove', and join it under a new id with an empty directory",
			ErrDirectory, m.path, err)
	}
	return m, nil
}

// memoryText is what the file has.
type memoryText struct {
	Applied engine.LogIndex         `json:"applied"`
	Of      map[string]acquaintance `json:"of"`
}

// write puts everything on disk; m.mu is held, or nobody else has m.
func (m *memory) write() error {
	b, err := json.Marshal(memoryText{m.applied, m.of})
	if err == nil {
		err = writeDurably(m.path, append(binary.LittleEndian.AppendUint32(nil, crc32.Checksum(b, memorySums)), b...))
	}
	if err != nil {
		return fmt.Errorf("%s: %w", memoryFile, bare(err))
	}
	m.changed = false
	return nil
}

// keep writes what has changed; this node has applied everything up to an index.
func (m *memory) keep(applied engine.LogIndex) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.changed = m.changed || applied > m.applied
	m.applied = max(m.applied, applied)
	if !m.changed {
		return nil
	}
	return m.write()
}

// get gives what is remembered of a node.
func (m *memory) get(id string) acquaintance {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.of[id]
}

// wrote notes how far a node is known to have written.
func (m *memory) wrote(id string, to mark) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if a, known := m.of[id]; known && a.Wrote.before(to) {
		a.Wrote = to
		m.of[id], m.changed = a, true
	}
}

// retain forgets whom gone names, and learns where the members are.
func (m *memory) retain(members []Member, gone func(id string, a acquaintance) bool) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	before := len(m.of)
	maps.DeleteFunc(m.of, gone)
	changed := len(m.of) != before
	for _, x := range members {
		if a, known := m.of[x.ID]; known && a.Peer != x.Peer {
			a.Peer = x.Peer
			m.of[x.ID], changed = a, true
		}
	}
	if !changed {
		return nil
	}
	return m.write()
}

// forget forgets everybody: this node belongs to another cluster from now on, or to
// another generation of it.
func (m *memory) forget() error {
	m.mu.Lock()
	defer m.mu.Unlock()
	clear(m.of)
	return m.write()
}

// addresses gives where the nodes were that are remembered.
func (m *memory) addresses() (addrs []string) {
	m.mu.Lock()
	defer m.mu.Unlock()
	for _, a := range m.of {
		if a.Peer != "" {
			addrs = append(addrs, a.Peer)
		}
	}
	return addrs
}

// meet weighs a node that comes, or was called, against what is remembered of it.
// living is the life of the process that goes by its id and was heard just now, ""
// if none was. A *peer.Refusal says what is wrong with it.
func (m *memory) meet(h peer.Hello, living string) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	a, known := m.of[h.Node]
	advice := fmt.Sprintf("What it acknowledged since is not in it. 'doorbuster cluster remove --node %s', and join "+
		"it under a new id with an empty directory", h.Node)
	switch {
	case !known:
	case a.Incarnation != h.Incarnation:
		return peer.Refuse(peer.CodeIncarnation,
			"node %q comes with another data directory than before: what it acknowledged is not in it. "+
				"Remove the node, and join it from scratch under a new id", h.Node)
	case a.Life == h.Life && a.Starts == h.Starts:
		delete(m.twice, h.Node)
		return nil
	case living != "" && living == a.Life:
		if m.twice[h.Node].IsZero() {
			m.twice[h.Node] = time.Now()
		}
		return peer.Refuse(peer.CodeTwice,
			"node %s is there already, as another process: stop one of the two, and give no two of them copies of "+
				"one directory", h.Node)
	case h.Starts <= a.Starts:
		return peer.Refuse(peer.CodeOlderCopy,
			"node %s comes with an older copy of its directory: it counts %d starts of it, and start %d has been "+
				"met. %s", h.Node, h.Starts, a.Starts, advice)
	default:
		if at, short := shortSince(h.Lives, a.Starts, a.Wrote); short {
			return peer.Refuse(peer.CodeOlderCopy,
				"node %s comes with an older copy of its directory: its log ended at index %d (term %d) at start "+
					"%d, and had reached index %d (term %d) before. %s",
				h.Node, at.Index, at.Term, at.Count, a.Wrote.Index, a.Wrote.Term, advice)
		}
	}
	delete(m.twice, h.Node)
	a.Past = h.Past
	if n := len(h.Lives); n > 0 {
		a.Wrote = later(a.Wrote, mark{h.Lives[n-1].Term, h.Lives[n-1].Index})
	}
	m.of[h.Node] = a
	return m.write()
}

// keptOut gives how long another process of a node has been kept out.
func (m *memory) keptOut(id string) time.Duration {
	m.mu.Lock()
	defer m.mu.Unlock()
	if since := m.twice[id]; !since.IsZero() {
		return time.Since(since)
	}
	return 0
}

// tells gives what is remembered, and self, as another node's hears takes it.
func (m *memory) tells(id string, self acquaintance) []byte {
	m.mu.Lock()
	defer m.mu.Unlock()
	all := maps.Clone(m.of)
	all[id] = self
	b, err := json.Marshal(all)
	if err != nil || len(b) > maxMemoryBytes {
		return nil
	}
	return b
}

// hears takes in what another node remembers, if that is news. gone tells of whom nothing is to be
// learned. Where two lives contradict each other, one of them is an older copy: the
// node concerned is weighed anew when it comes.
func (m *memory) hears(own string, told []byte, gone func(id string, a acquaintance) bool) {
	m.mu.Lock()
	defer m.mu.Unlock()
	var all map[string]acquaintance
	if len(told) == 0 || json.Unmarshal(told, &all) != nil {
		return
	}
	for id, t := range all {
		a, known := m.of[id]
		if id == own || gone(id, t) || known && a.Incarnation != t.Incarnation || len(t.Lives) > keptStarts ||
			!known && len(m.of) >= 2*maxMembers {
			continue
		}
		next := a
		_, short := shortSince(a.Lives, t.Starts, t.Wrote)
		_, shorter := shortSince(t.Lives, a.Starts, a.Wrote)
		switch {
		case !known:
			next = t
		case t.Starts == a.Starts && t.Life == a.Life:
			next.Wrote = later(a.Wrote, t.Wrote)
		case t.Starts < a.Starts && !short, t.Life == "":
			continue
		case t.Starts > a.Starts && !shorter:
			next = t
			next.Wrote = later(a.Wrote, t.Wrote)
		default:
			next.Starts, next.Wrote, next.Life = max(a.Starts, t.Starts), later(a.Wrote, t.Wrote), ""
		}
		if next.Life != a.Life || next.Starts != a.Starts || next.Wrote != a.Wrote {
			m.of[id], m.changed = next, true
		}
	}
}

// nextLife counts a start of the directory, before anybody hears of it, and gives
// how this node is known in this life.
func (n *Node) nextLife(life string) error {
	at := n.written()
	return n.dir.update(func(v *dirVersion) {
		v.Starts++
		v.Life = life
		v.Lives = append(slices.Clone(v.Lives), peer.Start{Count: v.Starts, Term: at.Term, Index: at.Index})
		v.Lives = v.Lives[max(0, len(v.Lives)-keptStarts):]
	})
}

// written gives how far this node has written, or was legitimately cut back to.
func (n *Node) written() mark { return later(n.store.written(), n.dir.version().Cut) }

// cutting is asked before entries from lowest on are cut off the log, as a leader
// wants it. What this node has applied is agreed on for good: a leader that has it
// not comes of nodes that have forgotten it, and the node ends instead. Else it is
// noted first, so that nobody takes the shorter log for an older copy.
//
// A snapshot that replaces the whole log begins at the log's first entry; what it
// has is not in question here (see Restore).
func (n *Node) cutting(lowest uint64) error {
	if n.alone() {
		return nil
	}
	if floor := n.floor(); lowest <= floor && lowest > n.log.FirstIndex() {
		_, leader := n.raft.LeaderWithID()
		return n.contradicts(fmt.Sprintf("The leader %s wants to overwrite the log of node %s from index %d on, and "+
			"that has applied everything up to index %d", leader, n.cfg.NodeID, lowest, floor))
	}
	term, err := n.stable.GetUint64(termKey)
	if err != nil {
		return fmt.Errorf("%s: %w", stableFile, bare(err))
	}
	cut := later(n.written(), mark{term, lowest - 1})
	return n.dir.update(func(v *dirVersion) { v.Cut = cut })
}

// contradicts ends this node, for others want it to forget what it has applied. It
// tells them first, as far as they listen: who looks at their status must learn it.
func (n *Node) contradicts(what string) error {
	err := errors.New(what)
	n.contradicted.Do(func() {
		text := fmt.Sprintf("%s. Node %s stops: see its log for what to do.", what, n.cfg.NodeID)
		n.alarm(engine.AlarmContradiction, n.cfg.NodeID, text)
		go func() {
			n.tellAlarm(text)
			n.fatal.fail(CauseContradiction, err)
		}()
	})
	return err
}

// tellAlarm tells the other nodes of an alarm that this one will not be there to
// show.
func (n *Node) tellAlarm(text string) {
	body, err := json.Marshal(Operation{Name: OpAlarm, Operator: "node " + n.cfg.NodeID,
		Node: n.cfg.NodeID, Note: text})
	if err != nil {
		return
	}
	ctx, cancel := context.WithTimeout(context.Background(), musterPatience)
	defer cancel()
	var telling sync.WaitGroup
	for _, m := range n.others() {
		telling.Go(func() { _, _ = n.net.peers.Peer(m.Peer).Operate(ctx, OpAlarm, body) })
	}
	telling.Wait()
}

// self is what this node tells others of itself.
func (n *Node) self() acquaintance {
	return acquaintance{Past: n.dir.version().Past, Wrote: n.written()}
}

// stranger tells of whom this node is to remember nothing: who was removed, and, of
// nodes that others tell of, who is no member.
func (n *Node) stranger(id string, a acquaintance) bool {
	r := n.fsm.membership.Load()
	return r != nil && (r.removed(id, a.Incarnation) || r.member(id) == nil && n.fresh.holds())
}

// keepMemory writes what is remembered, from time to time, and at the end.
func (n *Node) keepMemory() {
	keep := func() {
		if err := n.memory.keep(n.applied.load()); err != nil {
			n.fatal.fail(CauseDisk, err)
		}
	}
	n.every(memoryEvery, keep)
	keep()
}
