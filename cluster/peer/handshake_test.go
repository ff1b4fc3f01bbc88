package peer

import (
	"bytes"
	"encoding/hex"
	"errors"
	"io"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"
)

// TestSampleOfVersion1 reads what version 1 sends, as it was kept: later versions
// have to read it too.
func TestSampleOfVersion1(t *testing.T) {
	kept := map[string]any{
		"preamble": Hello{Cluster: "shop", Node: "a1", Generation: 3, Past: Past{Incarnation: "5f0c"}, To: "b1"},
		"welcome":  Hello{Cluster: "shop", Node: "b1", Generation: 3, Past: Past{Incarnation: "77aa"}},
		"refused":  &Refusal{Code: CodeGeneration, Detail: "stop it", Generation: 4, Node: "b1"},
	}
	words := map[string]byte{"preamble": byte(kindRPC), "welcome": welcome, "refused": refused}
	for name, what := range kept {
		path := filepath.Join("testdata", "v1-"+name+".hex")
		text, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		sample, err := hex.DecodeString(strings.TrimSpace(string(text)))
		if err != nil {
			t.Fatal(err)
		}
		if frame, err := appendFrame(nil, words[name], what); err != nil || !bytes.Equal(frame, sample) {
			t.Errorf("%s is written otherwise: %x %v", name, frame, err)
		}
		from := bytes.NewReader(append(sample, "and more"...))
		switch name {
		case "preamble":
			k, peer, err := readPreamble(from)
			if err != nil || k != kindRPC || !reflect.DeepEqual(peer, what) {
				t.Errorf("%v %+v %v", k, peer, err)
			}
		default:
			peer, told, err := readAnswer(from)
			if err != nil || name == "welcome" && (!reflect.DeepEqual(peer, what) || told != nil) ||
				name == "refused" && *told != *what.(*Refusal) {
				t.Errorf("%+v %v %v", peer, told, err)
			}
		}
		// Not a byte of what follows is taken: it is Raft's, or RPC's.
		if rest, _ := io.ReadAll(from); string(rest) != "and more" {
			t.Errorf("%s: left %q", name, rest)
		}
	}
}

// TestLongestHello: whatever a Hello and a Refusal may hold fits a frame.
func TestLongestHello(t *testing.T) {
	id := strings.Repeat("x", 64)
	longest := Hello{Cluster: id, Node: id, To: id, Generation: 1<<64 - 1,
		Past: Past{Incarnation: strings.Repeat("<", maxIncarnationBytes)}}
	if err := longest.check(); err != nil {
		t.Fatal(err)
	}
	frame, err := appendFrame(nil, byte(kindRaft), longest)
	if err != nil {
		t.Fatal(err)
	}
	if _, peer, err := readPreamble(bytes.NewReader(frame)); err != nil || !reflect.DeepEqual(peer, longest) {
		t.Errorf("%+v %v", peer, err)
	}
	why := asRefusal(errors.New(strings.Repeat("<\x00\xff界", 5000)), longest)
	if frame, err = appendFrame(nil, refused, why); err != nil {
		t.Fatal(err)
	}
	if _, told, err := readAnswer(bytes.NewReader(frame)); err != nil || *told != *why {
		t.Errorf("%+v %v", told, err)
	}
}

// FuzzPreamble: no preamble panics, takes more than it may, or gets through with
// what could not be told to others.
func FuzzPreamble(f *testing.F) {
	whole, err := appendFrame(nil, byte(kindRaft), hello("a1"))
	if err != nil {
		f.Fatal(err)
	}
	f.Add(whole)
	f.Add(whole[:20])
	f.Add([]byte("DBP1\x01\x02\xff\xff"))
	f.Add([]byte("\x16\x03\x01\x02\x00"))
	f.Fuzz(func(t *testing.T, in []byte) {
		from := bytes.NewReader(in)
		k, peer, err := readPreamble(from)
		if taken := len(in) - from.Len(); taken > headerBytes+maxHelloBytes {
			t.Errorf("%d bytes were taken", taken)
		}
		var why *Refusal
		switch {
		case err == nil:
			if k != kindRaft && k != kindRPC || peer.check() != nil {
				t.Errorf("%v %+v", k, peer)
			}
			if _, err := appendFrame(nil, byte(k), peer); err != nil {
				t.Error(err)
			}
		case errors.As(err, &why):
			if _, err := appendFrame(nil, refused, asRefusal(why, hello("b1"))); err != nil {
				t.Error(err)
			}
		case !errors.Is(err, io.EOF) && !errors.Is(err, io.ErrUnexpectedEOF):
			t.Errorf("%v", err)
		}
		readAnswer(bytes.NewReader(in))
	})
}
