package cluster

import (
	"sync"

	"github.com/hashicorp/raft"
	raftboltdb "github.com/hashicorp/raft-boltdb/v2"
)

// fatal tells once that the node can't go on.
type fatal struct {
	once sync.Once
	tell func(error)
}

func (f *fatal) fail(err error) { f.once.Do(func() { go f.tell(err) }) }

// stableStore keeps term and vote. Raft panics when they can't be written; this
// says so in an orderly way instead, and lets nothing be answered on the strength
// of a vote that is not on disk.
type stableStore struct {
	*raftboltdb.BoltStore
	fatal *fatal
}

var _ raft.StableStore = (*stableStore)(nil)

func (s *stableStore) Set(key, value []byte) error {
	return s.must(s.BoltStore.Set(key, value))
}

func (s *stableStore) SetUint64(key []byte, value uint64) error {
	return s.must(s.BoltStore.SetUint64(key, value))
}

func (s *stableStore) must(err error) error {
	if err == nil {
		return nil
	}
	s.fatal.fail(err)
	select {} // the process is about to exit
}
