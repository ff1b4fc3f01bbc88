package peer

import (
	"bytes"
	"errors"
	"io"
	"net"
	"strings"
	"testing"
	"time"

	"github.com/hashicorp/go-hclog"
	"github.com/hashicorp/raft"
)

// TestMeterFollows: it knows where messages end, however they are cut.
func TestMeterFollows(t *testing.T) {
	value := strings.Join([]string{
		"\x00\x7f\xe0\xff\xc0\xc2\xc3",                                     // small numbers, nil, booleans: 7
		"\xca1234\xcb12345678",                                             // floats: 2
		"\xcc1\xcd12\xce1234\xcf12345678",                                  // unsigned: 4
		"\xd01\xd112\xd21234\xd312345678",                                  // signed: 4
		"\xa0\xa3abc\xd9\x01a\xda\x00\x01a\xdb\x00\x00\x00\x01a",           // strings: 5
		"\xc4\x01a\xc5\x00\x01a\xc6\x00\x00\x00\x01a\xc4\x00",              // bytes: 4
		"\xd4ta\xd5tab\xd6tabcd\xd7tabcdefgh\xd8tabcdefghabcdefgh",         // extensions: 5
		"\xc7\x01ta\xc8\x00\x01ta\xc9\x00\x00\x00\x01ta\xc7\x00t",          // of any length: 4
		"\x80\x81\x01\x02\xde\x00\x01\x01\x02\xdf\x00\x00\x00\x01\x01\x02", // maps: 4
		"\x90\x92\x01\x91\x02\xdc\x00\x01\x01\xdd\x00\x00\x00\x01\x01",     // lists: 4
	}, "")
	message := "\xdc\x00\x2b" + value // a list of 43
	requests := "\x00" + message + "\x04" + message + "\x01\xc0" + "\x03\x80"
	for size := 1; size <= len(requests); size++ {
		m := &meter{bounds: requestBounds, requests: true}
		for rest := []byte(requests); len(rest) > 0; {
			n := min(size, len(rest))
			if err := m.take(rest[:n]); err != nil {
				t.Fatalf("by %d bytes: %v", size, err)
			}
			rest = rest[n:]
		}
		if m.begun {
			t.Fatalf("by %d bytes: not at an end", size)
		}
		if err := m.take([]byte{9}); err == nil { // a type is what comes now
			t.Errorf("by %d bytes: out of step", size)
		}
	}
	answers := &meter{bounds: answerBounds}
	if err := answers.take([]byte("\xa0" + message + "\xa0" + message)); err != nil || answers.begun {
		t.Errorf("%v", err)
	}
}

func TestMeterBounds(t *testing.T) {
	small := bounds{message: 64, field: 16, values: 8, depth: 3}
	for name, c := range map[string]struct {
		send string
		want string // "" for none
	}{
		"as much as may be": {"\x00\x97" + "\xb0" + strings.Repeat("x", 16) + "123456", ""},
		"a field too long":  {"\x00\xb1", "claims 17 bytes"},
		"too long with the others": {"\x00\x94" + strings.Repeat("\xb0"+strings.Repeat("x", 16), 3) +
			"\xb0", "and a message 64"},
		"too many values":       {"\x00\x98", "claims 8 values"},
		"too many in two lists": {"\x00\x92\x95\x01\x01\x01\x01\x01\x92", "claims 2 values"},
		"too deep":              {"\x00\x91\x91\x91", "deeper than 3"},
		"deep enough":           {"\x00\x91\x91\x01", ""},
		"no such type":          {"\x05", "type 5"},
		"numbers too long":      {"\x00\x97" + strings.Repeat("\xcf12345678", 7), ""},
	} {
		t.Run(name, func(t *testing.T) {
			m := &meter{bounds: small, requests: true}
			err := m.take([]byte(c.send))
			if c.want == "" && err != nil || c.want != "" && (err == nil || !strings.Contains(err.Error(), c.want)) {
				t.Errorf("%v", err)
			}
		})
	}
}

// FuzzMeter: whatever comes in, in whatever pieces, gives the same verdict, and
// never a field or list beyond the bounds.
func FuzzMeter(f *testing.F) {
	f.Add([]byte("\x00\x81\xa4Addr\xc4\x01a"), uint8(1))
	f.Add([]byte("\x02\x81\xadConfiguration\xc6\x40\x00\x00\x00"), uint8(3))
	f.Add([]byte("\x01\xdd\x00\x00\x00\x02\xc7\x02tab\xc0\x01"), uint8(2))
	f.Fuzz(func(t *testing.T, in []byte, size uint8) {
		whole, pieces := &meter{bounds: requestBounds, requests: true}, &meter{bounds: requestBounds, requests: true}
		want := whole.take(in)
		var got error
		for rest := in; len(rest) > 0 && got == nil; {
			n := min(int(size)+1, len(rest))
			got, rest = pieces.take(rest[:n]), rest[n:]
		}
		if (want == nil) != (got == nil) || want != nil && want.Error() != got.Error() {
			t.Fatalf("whole %v, in pieces %v", want, got)
		}
		if want == nil && (whole.taken != pieces.taken || whole.seen != pieces.seen || whole.skip != pieces.skip ||
			whole.snapshot != pieces.snapshot) {
			t.Fatalf("%+v\n%+v", whole, pieces)
		}
		if whole.skip > whole.field+1 || len(whole.open) > whole.depth+1 {
			t.Fatalf("%+v", whole)
		}
	})
}

// TestRaftPasses: each of Raft's requests, as large as we send them, goes through
// with Raft's own transport on both sides.
func TestRaftPasses(t *testing.T) {
	both(t, func(t *testing.T, files func(string) *Files) {
		checkGoroutines(t)
		a, b := openNode(t, hello("a1"), files("a1"), nil), openNode(t, hello("b1"), files("b1"), nil)
		from, to := transportOn(t, a), transportOn(t, b)
		stop, stopped := make(chan struct{}), make(chan struct{})
		snapshot := bytes.Repeat([]byte("\xc6\x40\x00\x00"), 12<<20) // 48 MiB, which look like anything
		var entries, snapshotBytes int
		go func() {
			defer close(stopped)
			for {
				select {
				case rpc := <-to.Consumer():
					switch command := rpc.Command.(type) {
					case *raft.AppendEntriesRequest:
						entries += len(command.Entries)
						rpc.Respond(&raft.AppendEntriesResponse{Success: true, LastLog: 7}, nil)
					case *raft.RequestVoteRequest:
						rpc.Respond(&raft.RequestVoteResponse{Granted: true}, nil)
					case *raft.RequestPreVoteRequest:
						rpc.Respond(&raft.RequestPreVoteResponse{Granted: true}, nil)
					case *raft.TimeoutNowRequest:
						rpc.Respond(&raft.TimeoutNowResponse{}, nil)
					case *raft.InstallSnapshotRequest:
						n, _ := io.Copy(io.Discard, rpc.Reader)
						snapshotBytes = int(n)
						rpc.Respond(&raft.InstallSnapshotResponse{Success: true}, nil)
					}
				case <-stop:
					return
				}
			}
		}()
		target := raft.ServerAddress(b.addr())
		batch := &raft.AppendEntriesRequest{RPCHeader: raft.RPCHeader{ProtocolVersion: 3, ID: []byte("a1"),
			Addr: []byte(a.addr())}, Term: 3}
		for i := range 32 {
			batch.Entries = append(batch.Entries,
				&raft.Log{Index: uint64(i), Term: 3, Data: bytes.Repeat([]byte{0xdd}, 448<<10), AppendedAt: time.Now()})
		}
		for range 2 {
			response := raft.AppendEntriesResponse{}
			if err := from.AppendEntries("b1", target, batch, &response); err != nil ||
				!response.Success || response.LastLog != 7 {
				t.Fatalf("%v %+v", err, response)
			}
			if err := from.RequestVote("b1", target, &raft.RequestVoteRequest{Term: 3},
				&raft.RequestVoteResponse{}); err != nil {
				t.Fatal(err)
			}
			if err := from.RequestPreVote("b1", target, &raft.RequestPreVoteRequest{Term: 3},
				&raft.RequestPreVoteResponse{}); err != nil {
				t.Fatal(err)
			}
			if err := from.TimeoutNow("b1", target, &raft.TimeoutNowRequest{}, &raft.TimeoutNowResponse{}); err != nil {
				t.Fatal(err)
			}
			installed := raft.InstallSnapshotResponse{}
			request := &raft.InstallSnapshotRequest{SnapshotVersion: 1, Size: int64(len(snapshot)),
				Configuration: []byte("c")}
			if err := from.InstallSnapshot("b1", target, request, &installed,
				bytes.NewReader(snapshot)); err != nil || !installed.Success {
				t.Fatal(err)
			}
		}
		from.Close()
		to.Close()
		close(stop)
		<-stopped
		if entries != 64 || snapshotBytes != len(snapshot) {
			t.Errorf("%d entries, %d bytes of a snapshot", entries, snapshotBytes)
		}
		if text := a.journal.String() + b.journal.String(); text != "" {
			t.Errorf("%s", text)
		}
	})
}

func transportOn(t *testing.T, n *testNode) *raft.NetworkTransport {
	t.Helper()
	return raft.NewNetworkTransportWithConfig(&raft.NetworkTransportConfig{
		Stream: n.Raft(), MaxPool: 3, Timeout: patience, MaxRPCsInFlight: 1, Logger: hclog.NewNullLogger(),
	})
}

// TestNothingAfterASnapshot: what follows a snapshot is not measured, and so not
// read once the snapshot is answered.
func TestNothingAfterASnapshot(t *testing.T) {
	a, b := openNode(t, hello("a1"), nil, nil), openNode(t, hello("b1"), nil, nil)
	out, in := connect(t, a, b, kindRaft)
	send := func(c net.Conn, what string) {
		if _, err := c.Write([]byte(what)); err != nil {
			t.Fatal(err)
		}
	}
	send(out, "\x02\x81\xa4Size\x03abc")
	got := make([]byte, 11)
	if _, err := io.ReadFull(in, got); err != nil {
		t.Fatal(err)
	}
	send(in, "\xa0\x80")
	send(out, "\x00\x81\xa4Addr\xc6\x40\x00\x00\x00")
	if n, err := in.Read(got); n != 0 || !errors.Is(err, io.EOF) {
		t.Errorf("%d bytes, %v", n, err)
	}
}
