package cluster

import (
	"bytes"
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"hash/crc32"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"sync"
	"time"

	"github.com/hashicorp/raft"
	raftboltdb "github.com/hashicorp/raft-boltdb/v2"
	"go.etcd.io/bbolt"

	"doorbuster/wal"
)

// stableStore keeps term and vote, which must never be forgotten, in raft-boltdb's
// raft.db, and beside it in raft.sum: bbolt checks two pages of its file and maps the
// rest, so that one bad byte can change a vote, lose it, or lead bbolt out of the file.
// raft.sum is two copies, each in a block of its own: a CRC-32C of the rest of the
// block, and the values in JSON. A change replaces the file and then goes to raft.db:
// a crash leaves the old file or the new one, and whatever a bad byte does to one copy,
// the other has what was confirmed. What was in raft.db before a start is not read: it is
// rebuilt from raft.sum. A change that can't be written ends the node in an orderly
// way, where Raft would panic, and nothing is answered on the strength of a vote that
// is not on disk. Safe for concurrent use.
type stableStore struct {
	path, sum string
	fatal     *fatal

	mu     sync.Mutex
	values map[string][]byte
	bolt   *raftboltdb.BoltStore // nil until the first change, or make
}

var _ raft.StableStore = (*stableStore)(nil)

// termKey is where Raft keeps its term.
var termKey = []byte("CurrentTerm")

// errUsed: what term and vote were is not known any more.
var errUsed = errors.New("whom this node voted for is not known, so it might vote again")

// stableBytes is the size of a copy; the values take a tenth of it.
const stableBytes = 4096

// openStable reads the store of a data directory and changes nothing; one that is
// missing is empty. An error says what to do.
func openStable(dir string, fatal *fatal) (*stableStore, error) {
	s := &stableStore{path: filepath.Join(dir, stableFile), sum: filepath.Join(dir, sumFile), fatal: fatal}
	refuse := func(format string, args ...any) (*stableStore, error) {
		return nil, fmt.Errorf("%s, and %w. %s", fmt.Sprintf(format, args...), errUsed, wal.Advice)
	}
	b, err := os.ReadFile(s.sum)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return nil, fmt.Errorf("%s: %w", sumFile, bare(err))
	}
	_, missing := os.Stat(s.path)
	switch {
	case err != nil && missing != nil:
		return s, nil
	case err != nil:
		return refuse("%s is missing beside %s", s.sum, stableFile)
	case !s.read(b):
		return refuse("%s is damaged: no checksum in it fits", s.sum)
	case missing != nil && s.term() == 0: // a crash in the middle of the first start
		return s, nil
	case missing != nil:
		return refuse("%s is missing", s.path)
	}
	return s, nil
}

// read takes in raft.sum; false if no copy in it is whole.
func (s *stableStore) read(b []byte) bool {
	for ; len(b) >= stableBytes; b = b[stableBytes:] {
		copied := b[:stableBytes]
		body := bytes.TrimRight(copied[9:], "\x00")
		if bytes.Equal(copied, sealStable(body)) && json.Unmarshal(body, &s.values) == nil {
			return true
		}
	}
	return false
}

// sealStable makes a copy.
func sealStable(body []byte) []byte {
	b := make([]byte, stableBytes)
	copy(b[9:], body)
	copy(b, fmt.Sprintf("%08x\n", crc32.Checksum(b[9:], crc32.MakeTable(crc32.Castagnoli))))
	return b
}

// make begins the files if there are none, and makes both copies, and raft.db, the same.
func (s *stableStore) make() error { return s.setTerm(s.term()) }

// rebuild makes raft.db from the values, and opens it; s.mu is held.
func (s *stableStore) rebuild(values map[string][]byte) error {
	temporary := s.path + temporarySuffix
	if err := os.RemoveAll(temporary); err != nil {
		return err
	}
	bolt, err := raftboltdb.New(raftboltdb.Options{Path: temporary, BoltOptions: &bbolt.Options{Timeout: time.Second}})
	if err != nil {
		return err
	}
	for key, value := range values {
		if err = bolt.Set([]byte(key), value); err != nil {
			break
		}
	}
	if err = errors.Join(err, bolt.Close()); err == nil {
		err = os.Rename(temporary, s.path)
	}
	if err == nil {
		err = syncDir(filepath.Dir(s.path))
	}
	if err != nil {
		return err
	}
	s.bolt, err = raftboltdb.New(raftboltdb.Options{Path: s.path, BoltOptions: &bbolt.Options{Timeout: time.Second}})
	return err
}

// Close lets go of raft.db.
func (s *stableStore) Close() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.bolt == nil {
		return nil
	}
	return s.bolt.Close()
}

// term gives the newest that this node knows of; 0: it has never been in use.
func (s *stableStore) term() uint64 {
	term, _ := s.GetUint64(termKey)
	return term
}

// reaches refuses a store that is older than what the node has: Raft writes each term
// before anything of it.
func (s *stableStore) reaches(term uint64) error {
	switch known := s.term(); {
	case known >= term:
		return nil
	case known == 0:
		return fmt.Errorf("%s is missing, but this node has entries of term %d: %w. %s", s.path,
			term, errUsed, wal.Advice)
	default:
		return fmt.Errorf("%s ends with term %d, but this node has entries of term %d: it is an older copy, and %w. "+
			"%s", s.path, known, term, errUsed, wal.Advice)
	}
}

// Get gives nil for a key that is not there.
func (s *stableStore) Get(key []byte) ([]byte, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return bytes.Clone(s.values[string(key)]), nil
}

// GetUint64 gives 0 for a key that is not there.
func (s *stableStore) GetUint64(key []byte) (uint64, error) {
	b, _ := s.Get(key)
	if len(b) != 8 {
		return 0, nil
	}
	return binary.BigEndian.Uint64(b), nil
}

// Set returns once the value is on disk.
func (s *stableStore) Set(key, value []byte) error {
	if err := s.set(key, value); err != nil {
		s.fatal.fail(CauseDisk, err)
		select {} // the process is about to exit
	}
	return nil
}

// SetUint64 is Set for a number.
func (s *stableStore) SetUint64(key []byte, value uint64) error {
	return s.Set(key, binary.BigEndian.AppendUint64(nil, value))
}

func (s *stableStore) setTerm(term uint64) error {
	return s.set(termKey, binary.BigEndian.AppendUint64(nil, term))
}

func (s *stableStore) set(key, value []byte) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	next := map[string][]byte{}
	maps.Copy(next, s.values)
	next[string(key)] = bytes.Clone(value)
	body, err := json.Marshal(next)
	if err == nil && len(body) > stableBytes-9 {
		err = errors.New("the values are too long")
	}
	if err == nil {
		copied := sealStable(body)
		err = writeDurably(s.sum, append(copied, copied...))
	}
	if err != nil {
		return fmt.Errorf("%s: %w", sumFile, bare(err))
	}
	s.values = next
	if s.bolt == nil {
		err = s.rebuild(next)
	} else {
		err = s.bolt.Set(key, value)
	}
	if err != nil {
		return fmt.Errorf("%s: %w", stableFile, bare(err))
	}
	return nil
}
