package wire

// PersonalData is what is kept of a shopper's personal data, and what became of it.
type PersonalData struct {
	Shopper  string `json:"shopper"`
	LogIndex uint64 `json:"log_index"` // As of which.
	// There is a key of the shopper's: receivers that were set can be read.
	Held bool `json:"held"`
	// Of one held: the number of the key of the key file that wraps it.
	Key uint32 `json:"key,omitempty"`
	// Orders whose goods may still have to reach the receiver.
	Undelivered int              `json:"undelivered"`
	Erasure     *PersonalErasure `json:"erasure,omitempty"` // The last one that somebody asked for.
}

// PersonalErasure is when a shopper's key was destroyed, and where copies of it are left.
type PersonalErasure struct {
	At       string         `json:"at" jsonschema:"format=date-time"`
	LogIndex uint64         `json:"log_index"` // The entry that did it.
	State    PersonalCopies `json:"state"`     // In memory, where orders are read from.
	// On the disks of nodes: in entries of the log, and in snapshots, from before it.
	Disk    PersonalCopies  `json:"disk"`
	Backups PersonalBackups `json:"backups"`
	Gone    bool            `json:"gone"` // No copy is left anywhere that could be opened.
	Says    string          `json:"says"` // What is left, and what to do for it to go.
}

// PersonalCopies are where copies of a shopper's key may be, node by node.
type PersonalCopies struct {
	Gone  bool           `json:"gone"` // From all nodes.
	Nodes []PersonalCopy `json:"nodes"`
}

// PersonalCopy is whether a node has no copy any more.
type PersonalCopy struct {
	Node string `json:"node"`
	Gone bool   `json:"gone"`
	// Up to which the node has applied the log, or from which on its disk has something of it.
	Index uint64 `json:"index"`
}

// PersonalBackups are the keys of the key file by which backups from before an erasure can
// still be opened.
type PersonalBackups struct {
	Gone bool           `json:"gone"` // None of them is in the key file of the node that answers.
	Keys []PersonalKEKs `json:"keys"`
}

// PersonalKEKs is a key of the key file, or one that wraps keys.
type PersonalKEKs struct {
	Number uint32 `json:"number"`
	InFile bool   `json:"in_file"` // Of the node that answers.
	Newest bool   `json:"newest"`  // It wraps what is new.
	Keys   int64  `json:"keys"`    // How many it wraps in the state.
	// It wraps nothing any more, so nothing needs it but backups from before then.
	MayBeRemoved bool   `json:"may_be_removed"`
	UnusedSince  string `json:"unused_since,omitempty" jsonschema:"format=date-time"`
}

// PersonalKeys are the keys that personal data is protected by.
type PersonalKeys struct {
	Keys []PersonalKEKs `json:"keys"`
}
