package peer

import (
	"errors"
	"fmt"
	"strings"
)

// Codes of a Refusal.
const (
	CodeCluster     = "cluster"     // of another cluster
	CodeGeneration  = "generation"  // the peer is of an older generation
	CodeSuperseded  = "superseded"  // the peer is of a newer generation: the refusing node is the old one
	CodeIncarnation = "incarnation" // the id is known with another data directory
	CodeOlderCopy   = "older copy"  // the peer's directory has been put back to an older copy
	CodeTwice       = "twice"       // another process goes by the peer's id, and is there
	CodeRemoved     = "removed"     // the peer was taken out of the cluster
	CodeIdentity    = "identity"    // not who the certificate, or the caller, says
	CodeVersion     = "version"     // speaks a newer handshake
	CodeSelf        = "self"        // has the refusing node's own id
	CodeMalformed   = "malformed"   // not a handshake, or out of its bounds
	CodeOther       = "other"
)

// Refusal is what a node says when it turns a peer away. It is an error.
type Refusal struct {
	Code string `json:"code"` // one of the codes above
	// Detail is a sentence: what is wrong, and what to do.
	Detail string `json:"detail"`
	// Generation and Node are those of the node that refuses.
	Generation uint64 `json:"generation,omitempty"`
	Node       string `json:"node,omitempty"`
}

// Refuse makes a refusal; the node that tells it adds who it is.
func Refuse(code, format string, args ...any) *Refusal {
	return &Refusal{Code: code, Detail: fmt.Sprintf(format, args...)}
}

func (r *Refusal) Error() string {
	if r.Node == "" {
		return fmt.Sprintf("refused (%s): %s", r.Code, r.Detail)
	}
	return fmt.Sprintf("refused by node %s (%s): %s", r.Node, r.Code, r.Detail)
}

// maxDetailBytes leaves the frame room for escapes, and for the other fields.
const maxDetailBytes = 512

// tidied bounds what is about to be told, or what a peer told: a code that is
// known, a detail in one line.
func (r *Refusal) tidied() *Refusal {
	t := *r
	switch t.Code {
	case CodeCluster, CodeGeneration, CodeSuperseded, CodeIncarnation, CodeOlderCopy, CodeTwice, CodeRemoved,
		CodeIdentity, CodeVersion, CodeSelf, CodeMalformed:
	default:
		t.Code = CodeOther
	}
	t.Detail, t.Node = oneLine(t.Detail, maxDetailBytes), oneLine(t.Node, 64)
	return &t
}

// oneLine makes s at most limit bytes, all of them printable ASCII.
func oneLine(s string, limit int) string {
	s = strings.Map(func(r rune) rune {
		if unprintable(r) {
			return '?'
		}
		return r
	}, s[:min(len(s), limit)])
	return s[:min(len(s), limit)]
}

// asRefusal gives what err is told to a peer as.
func asRefusal(err error, own Hello) *Refusal {
	r := Refuse(CodeOther, "%v", err)
	var told *Refusal
	if errors.As(err, &told) {
		copied := *told
		r = &copied
	}
	r.Node, r.Generation = own.Node, own.Generation
	return r.tidied()
}
