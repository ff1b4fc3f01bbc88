package cluster

import (
	"bytes"
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"hash/crc32"
	"io/fs"
	"os"
	"path/filepath"
	"sync"

	"github.com/hashicorp/raft"

	"doorbuster/wal"
)

// stableStore keeps term and vote, which must never be forgotten, in a file of two
// copies, each in a block of its own: a CRC-32C of the rest of the block, and the
// values in JSON. A change is written to the first copy, synced, and then to the
// second: whatever a crash or a bad byte does to one of them, the other has what was
// confirmed, and a full disk has room for it. A change that can't be written ends the
// node in an orderly way, where Raft would panic, and nothing is answered on the
// strength of a vote that is not on disk. Safe for concurrent use.
type stableStore struct {
	path  string
	fatal *fatal

	mu     sync.Mutex
	values map[string][]byte // nil: there is no file
	uneven bool              // the copies differ, by a crash or a bad byte
}

var _ raft.StableStore = (*stableStore)(nil)

// termKey is where Raft keeps its term.
var termKey = []byte("CurrentTerm")

// errUsed: what term and vote were is not known any more.
var errUsed = errors.New("whom this node voted for is not known, so it might vote again")

// stableBytes is the size of a copy; the values take a tenth of it.
const stableBytes = 4096

// openStable reads the store of a data directory; one that is missing is empty. An
// error says what to do.
func openStable(dir string, fatal *fatal) (*stableStore, error) {
	s := &stableStore{path: filepath.Join(dir, stableFile), fatal: fatal}
	b, err := os.ReadFile(s.path)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return s, nil
	case err != nil:
		return nil, fmt.Errorf("%s: %w", stableFile, bare(err))
	}
	s.uneven = len(b) != 2*stableBytes || !bytes.Equal(b[:stableBytes], b[stableBytes:])
	for len(b) >= stableBytes {
		copied := b[:stableBytes]
		if body := bytes.TrimRight(copied[9:], "\x00"); bytes.Equal(copied, sealStable(body)) && json.Unmarshal(body, &s.values) == nil {
			return s, nil
		}
		b = b[stableBytes:]
	}
	return nil, fmt.Errorf("%s is damaged: no checksum in it fits, and %w. %s", s.path, errUsed, wal.Advice)
}

// sealStable makes a copy.
func sealStable(body []byte) []byte {
	b := make([]byte, stableBytes)
	copy(b[9:], body)
	copy(b, fmt.Sprintf("%08x\n", crc32.Checksum(b[9:], crc32.MakeTable(crc32.Castagnoli))))
	return b
}

// make begins the file if there is none, and makes both copies the same.
func (s *stableStore) make() error {
	if s.values != nil && !s.uneven {
		return nil
	}
	return s.setTerm(s.term())
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
		return fmt.Errorf("%s is missing, but this node has entries of term %d: %w. %s", s.path, term, errUsed, wal.Advice)
	default:
		return fmt.Errorf("%s ends with term %d, but this node has entries of term %d: it is an older copy, and %w. %s", s.path, known, term, errUsed, wal.Advice)
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
	next := map[string][]byte{string(key): bytes.Clone(value)}
	for k, v := range s.values {
		if k != string(key) {
			next[k] = v
		}
	}
	body, err := json.Marshal(next)
	if err == nil && len(body) > stableBytes-9 {
		err = errors.New("the values are too long")
	}
	if err == nil {
		err = s.write(sealStable(body))
	}
	if err != nil {
		return fmt.Errorf("%s: %w", stableFile, bare(err))
	}
	s.values, s.uneven = next, false
	return nil
}

// write replaces one copy after the other, or makes the file.
func (s *stableStore) write(copied []byte) error {
	if s.values == nil {
		return writeDurably(s.path, append(copied, copied...))
	}
	f, err := os.OpenFile(s.path, os.O_WRONLY, 0)
	if err != nil {
		return err
	}
	for _, at := range []int64{0, stableBytes} {
		if _, err = f.WriteAt(copied, at); err == nil {
			err = f.Sync()
		}
		if err != nil {
			break
		}
	}
	return errors.Join(err, f.Close())
}
