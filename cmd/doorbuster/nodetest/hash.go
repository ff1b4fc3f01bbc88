package nodetest

import (
	"bytes"
	"encoding/binary"
	"encoding/json"

	"doorbuster/cluster"
)

// SameHash waits until all nodes that are up have a state of the same index, and
// compares them to the last byte.
func (f *Fleet) SameHash() {
	f.T.Helper()
	var states map[string]cluster.BackupInfo
	f.Eventually(func() bool {
		states = map[string]cluster.BackupInfo{}
		for _, m := range f.Nodes {
			if m.Up {
				states[m.ID] = m.backupInfo()
			}
		}
		return sameIndex(states)
	}, "the nodes do not come to the same log index")
	hash := ""
	for id, s := range states {
		if hash == "" {
			hash = s.Hash
		}
		if s.Hash != hash {
			f.T.Errorf("the state forked: %s has hash %s at log index %d, another %s", id, s.Hash, s.LogIndex, hash)
		}
	}
}

func sameIndex(states map[string]cluster.BackupInfo) bool {
	for _, a := range states {
		for _, b := range states {
			if a.LogIndex != b.LogIndex {
				return false
			}
		}
	}
	return true
}

// backupInfo is what the head of a backup says of a node's state.
func (m *Member) backupInfo() (info cluster.BackupInfo) {
	m.T.Helper()
	a := m.Ops("GET", "/admin/v1/cluster/backup?state_only=true", "")
	head, body := []byte(a.Body[:24]), []byte(a.Body[24:])
	if a.Status != 200 || !bytes.HasPrefix(head, []byte("DBSAVED1")) {
		m.T.Fatalf("%d %.200q", a.Status, a.Body)
	}
	if err := json.Unmarshal(body[:binary.LittleEndian.Uint32(head[12:])], &info); err != nil {
		m.T.Fatal(err)
	}
	return info
}
