package peer

import (
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"io"
)

// The one who calls sends a preamble, the one who is called an answer, and then
// the connection is Raft's or RPC's. Both are frames of one shape:
//
//	0      4         5      6        8
//	+------+---------+------+--------+------------------+
//	| DBP1 | version | word | length | JSON, 0 to 4 KiB |
//	+------+---------+------+--------+------------------+
//
// The length is big-endian. In a preamble the word is the kind of stream and the
// JSON a Hello. In an answer the word says welcome, with the Hello of the one who
// is called, or refused, with a Refusal. A node answers in the version that it was
// called in, so the frame's shape outlives a version.
const (
	magic         = "DBP1"
	version       = 1
	headerBytes   = 8
	maxHelloBytes = 4 << 10
)

// kind is what a connection is for.
type kind byte

const (
	kindRaft kind = 1
	kindRPC  kind = 2
)

func (k kind) String() string {
	switch k {
	case kindRaft:
		return "raft"
	case kindRPC:
		return "rpc"
	}
	return fmt.Sprintf("kind %d", byte(k))
}

const (
	welcome = 0
	refused = 1
)

func appendFrame(to []byte, word byte, what any) ([]byte, error) {
	body, err := json.Marshal(what)
	if err != nil {
		return nil, err
	}
	if len(body) > maxHelloBytes {
		return nil, fmt.Errorf("%d bytes of handshake are over %d", len(body), maxHelloBytes)
	}
	to = append(append(to, magic...), version, word)
	to = binary.BigEndian.AppendUint16(to, uint16(len(body)))
	return append(to, body...), nil
}

// readFrame reads one frame and not a byte more, whatever its version. An error
// is a *Refusal, unless it is the connection's; io.EOF only if there was nothing
// at all.
func readFrame(from io.Reader) (frameVersion, word byte, body []byte, err error) {
	header := make([]byte, headerBytes)
	if n, err := io.ReadFull(from, header[:len(magic)]); err != nil {
		if n > 0 && string(header[:n]) != magic[:n] {
			return 0, 0, nil, notOurs(header[:n])
		}
		return 0, 0, nil, err
	}
	if string(header[:len(magic)]) != magic {
		return 0, 0, nil, notOurs(header[:len(magic)])
	}
	if _, err := io.ReadFull(from, header[len(magic):]); err != nil {
		return 0, 0, nil, cutShort(err)
	}
	if header[4] == 0 {
		return 0, 0, nil, malformed("a handshake of version 0")
	}
	length := binary.BigEndian.Uint16(header[6:])
	if length > maxHelloBytes {
		return 0, 0, nil, malformed(fmt.Sprintf("a handshake that claims %d bytes; at most %d are taken", length,
			maxHelloBytes))
	}
	body = make([]byte, length)
	if _, err := io.ReadFull(from, body); err != nil {
		return 0, 0, nil, cutShort(err)
	}
	return header[4], header[5], body, nil
}

func cutShort(err error) error {
	if errors.Is(err, io.EOF) {
		return io.ErrUnexpectedEOF
	}
	return err
}

func malformed(what string) *Refusal {
	return Refuse(CodeMalformed, "%s: is it a node of this program that speaks?", what)
}

// notOurs names what is likely to speak, from its first bytes.
func notOurs(first []byte) *Refusal {
	if len(first) > 1 && first[1] == 3 && (first[0] == 0x15 || first[0] == 0x16) {
		return Refuse(CodeMalformed, "the peer speaks TLS and this node does not: give both certificates, or neither")
	}
	if string(first) == "DBPR" {
		return Refuse(CodeVersion, "the peer runs a build before version 1 of the formats, which this one can't "+
			"talk to: run one build on all nodes")
	}
	return malformed(fmt.Sprintf("it begins with %q and not with %q", first, magic))
}

// readPreamble gives what the caller wants and who it says it is. Errors as of
// readFrame.
func readPreamble(from io.Reader) (kind, Hello, error) {
	theirs, word, body, err := readFrame(from)
	if err != nil {
		return 0, Hello{}, err
	}
	if theirs > version {
		return 0, Hello{}, newer(theirs)
	}
	if k := kind(word); k != kindRaft && k != kindRPC {
		return 0, Hello{}, malformed(fmt.Sprintf("a stream of the unknown kind %d", word))
	}
	peer, err := decodeHello(body)
	return kind(word), peer, err
}

func newer(theirs byte) *Refusal {
	return Refuse(CodeVersion, "the peer speaks version %d of the handshake, newer than this node's %d: upgrade "+
		"this node, or let the peer run the older build", theirs, version)
}

func decodeHello(body []byte) (Hello, error) {
	var peer Hello
	if err := json.Unmarshal(body, &peer); err != nil {
		return Hello{}, malformed("a handshake that is not the JSON it should be: " + err.Error())
	}
	if err := peer.check(); err != nil {
		return Hello{}, malformed(err.Error())
	}
	return peer, nil
}

// readAnswer gives who answered, and what it refused with if it did. Errors as of
// readFrame; told is what the peer said, err what is wrong with how it did.
func readAnswer(from io.Reader) (peer Hello, told *Refusal, err error) {
	theirs, word, body, err := readFrame(from)
	switch {
	case err != nil:
		return Hello{}, nil, err
	case word == refused:
		told = &Refusal{}
		if err := json.Unmarshal(body, told); err != nil {
			return Hello{}, nil, malformed("a refusal that is not the JSON it should be: " + err.Error())
		}
		return Hello{}, told.tidied(), nil
	case theirs > version:
		return Hello{}, nil, newer(theirs)
	case word != welcome:
		return Hello{}, nil, malformed(fmt.Sprintf("an answer of the unknown status %d", word))
	}
	peer, err = decodeHello(body)
	return peer, nil, err
}
