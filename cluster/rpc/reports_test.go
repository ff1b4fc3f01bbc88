package rpc

import (
	"context"
	"errors"
	"reflect"
	"strings"
	"testing"

	"doorbuster/cluster/rpc/peerpb"
	"doorbuster/engine"
)

// TestReports: lists and pieces come as they were given; what is beyond bounds, or
// does not fit its checksum, does not.
func TestReports(t *testing.T) {
	f := newFake()
	f.reports = func(q engine.ReportsRequest) (engine.ReportsPage, error) {
		switch {
		case q.ID == "":
			return engine.ReportsPage{Kept: []engine.KeptReport{{ID: "r2", Whole: 7},
				{ID: "r1", Whole: 1, Findings: 1 << 30}}}, nil
		case q.ID == "long":
			return engine.ReportsPage{Piece: make([]byte, engine.MaxReportPieceBytes+1)}, nil
		case q.ID == "r1" && q.Findings && q.From == 9:
			return engine.ReportsPage{Piece: []byte("findings")}, nil
		}
		return engine.ReportsPage{}, errors.New("no such report")
	}
	_, r := pair(t, f)
	ctx := t.Context()
	if p, err := r.Reports(ctx, engine.ReportsRequest{}); err != nil ||
		!reflect.DeepEqual(p.Kept,
			[]engine.KeptReport{{ID: "r2", Whole: 7}, {ID: "r1", Whole: 1, Findings: 1 << 30}}) || p.Piece != nil {
		t.Errorf("the list: %+v, %v", p, err)
	}
	if p, err := r.Reports(ctx, engine.ReportsRequest{ID: "r1", Findings: true, From: 9}); err != nil ||
		string(p.Piece) != "findings" || p.Kept != nil {
		t.Errorf("a piece: %+v, %v", p, err)
	}
	for want, q := range map[string]engine.ReportsRequest{"no such report": {ID: "r1"},
		"a piece of 524289 bytes": {ID: "long"}, "no id": {ID: "a/b"}, "from byte -1": {ID: "r1", From: -1}} {
		if _, err := r.Reports(ctx, q); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%+v: %v, want %q", q, err, want)
		}
	}
	one := engine.ReportsRequest{ID: "r1"}
	for name, err := range map[string]error{
		"no checksum": reports.judge(one, reportsTold{}, []byte("x")),
		"too many": reports.judge(engine.ReportsRequest{},
			reportsTold{Kept: make([]engine.KeptReport, MaxReports+1)}, nil),
		"no id": reports.judge(engine.ReportsRequest{}, reportsTold{Kept: []engine.KeptReport{{ID: "../x"}}},
			nil),
		"beyond size": reports.judge(engine.ReportsRequest{},
			reportsTold{Kept: []engine.KeptReport{{ID: "r1", Findings: 1 << 40}}}, nil),
		"below": reports.judge(engine.ReportsRequest{}, reportsTold{Kept: []engine.KeptReport{{ID: "r1", Whole: -1}}},
			nil),
	} {
		if err == nil {
			t.Errorf("%s: taken", name)
		}
	}
}

// olderBuild is a node that does not know Reports.
type olderBuild struct{ peerpb.UnimplementedPeerServer }

func (olderBuild) Call(_ context.Context, q *peerpb.Question) (*peerpb.Reply, error) {
	if q.Name == "barrier" {
		return &peerpb.Reply{Json: []byte("5")}, nil
	}
	return (*Server)(nil).Call(context.Background(), &peerpb.Question{Name: q.Name + " of a later build"})
}

// TestReportsOfAnOlderBuild: it says so, and its connection serves on.
func TestReportsOfAnOlderBuild(t *testing.T) {
	p, _ := peers(t, dialTCP)
	r := p.Peer(pretend(t, olderBuild{}))
	if _, err := r.Reports(t.Context(), engine.ReportsRequest{}); !errors.Is(err, ErrOlderBuild) ||
		errors.Is(err, engine.ErrNotLeader) || errors.Is(err, engine.ErrOutcomeUnknown) {
		t.Errorf("got %v", err)
	}
	if index, err := r.Barrier(t.Context()); err != nil || index != 5 {
		t.Errorf("the next call: %d, %v", index, err)
	}
}
