package rpc

import (
	"context"
	"errors"
	"net"
	"reflect"
	"strings"
	"testing"

	"google.golang.org/grpc"

	"doorbuster/cluster/rpc/peerpb"
	"doorbuster/engine"
)

// TestReports: lists and pieces come as they were given; what is beyond bounds, or
// does not fit its checksum, does not.
func TestReports(t *testing.T) {
	f := newFake()
	f.reports = func(q ReportsRequest) (ReportsPage, error) {
		switch {
		case q.ID == "":
			return ReportsPage{Kept: []KeptReport{{"r2", 7, 0}, {"r1", 1, 1 << 30}}}, nil
		case q.ID == "long":
			return ReportsPage{Piece: make([]byte, MaxPieceBytes+1)}, nil
		case q.ID == "r1" && q.Findings && q.From == 9:
			return ReportsPage{Piece: []byte("findings")}, nil
		}
		return ReportsPage{}, errors.New("no such report")
	}
	_, r := pair(t, f)
	ctx := t.Context()
	if p, err := r.Reports(ctx, ReportsRequest{}); err != nil || !reflect.DeepEqual(p.Kept, []KeptReport{{"r2", 7, 0}, {"r1", 1, 1 << 30}}) || p.Piece != nil {
		t.Errorf("the list: %+v, %v", p, err)
	}
	if p, err := r.Reports(ctx, ReportsRequest{ID: "r1", Findings: true, From: 9}); err != nil || string(p.Piece) != "findings" || p.Kept != nil {
		t.Errorf("a piece: %+v, %v", p, err)
	}
	for want, q := range map[string]ReportsRequest{"no such report": {ID: "r1"}, "a piece of 524289 bytes": {ID: "long"}, "no id": {ID: "a/b"}, "from byte -1": {ID: "r1", From: -1}} {
		if _, err := r.Reports(ctx, q); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%+v: %v, want %q", q, err, want)
		}
	}
	for name, m := range map[string]*peerpb.ReportsReply{
		"no checksum": {Piece: []byte("x")},
		"another one": {Piece: []byte("x"), Sha256: make([]byte, 32)},
	} {
		if _, err := reportsFromWire(ReportsRequest{ID: "r1"}, m); err == nil {
			t.Errorf("%s: taken", name)
		}
	}
	for name, m := range map[string]*peerpb.ReportsReply{
		"too many":    {Kept: make([]*peerpb.KeptReport, MaxReports+1)},
		"no id":       {Kept: []*peerpb.KeptReport{{Id: "../x"}}},
		"beyond size": {Kept: []*peerpb.KeptReport{{Id: "r1", Findings: 1 << 40}}},
	} {
		if _, err := reportsFromWire(ReportsRequest{}, m); !errors.Is(err, errBeyond) && name != "no id" || err == nil {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// olderBuild is a node that does not know Reports.
type olderBuild struct{ peerpb.UnimplementedPeerServer }

func (olderBuild) Barrier(context.Context, *peerpb.BarrierRequest) (*peerpb.BarrierReply, error) {
	return &peerpb.BarrierReply{Index: 5}, nil
}

// TestReportsOfAnOlderBuild: it says so, and its connection serves on.
func TestReportsOfAnOlderBuild(t *testing.T) {
	known := peerpb.Peer_ServiceDesc
	var methods []grpc.MethodDesc
	for _, m := range known.Methods {
		if m.MethodName != "Reports" {
			methods = append(methods, m)
		}
	}
	known.Methods = methods
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	s := grpc.NewServer()
	s.RegisterService(&known, olderBuild{})
	go s.Serve(ln)
	t.Cleanup(s.Stop)
	p, _ := peers(t, dialTCP)
	r := p.Peer(ln.Addr().String())
	if _, err := r.Reports(t.Context(), ReportsRequest{}); !errors.Is(err, ErrOlderBuild) || errors.Is(err, engine.ErrNotLeader) || errors.Is(err, engine.ErrOutcomeUnknown) {
		t.Errorf("got %v", err)
	}
	if index, err := r.Barrier(t.Context()); err != nil || index != 5 {
		t.Errorf("the next call: %d, %v", index, err)
	}
}
