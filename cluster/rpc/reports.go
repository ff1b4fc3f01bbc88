package rpc

import (
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"math"

	"google.golang.org/grpc"

	"doorbuster/cluster/rpc/peerpb"
	"doorbuster/engine"
)

// ReportsRequest asks for the list of a node's reports, or, if ID is not "", for a
// piece of that one from a byte on: of its findings, or of what it says as a whole.
type ReportsRequest struct {
	ID       string // engine.ValidID
	Findings bool
	From     int64
}

// ReportsPage is the list, the newest first, or a piece.
type ReportsPage struct {
	Kept  []KeptReport
	Piece []byte
}

// KeptReport is a report, and the length of its two parts in bytes.
type KeptReport struct {
	ID              string
	Whole, Findings int64
}

// Reports answers Peer.Reports.
func (s *Server) Reports(_ context.Context, m *peerpb.ReportsRequest) (*peerpb.ReportsReply, error) {
	q := ReportsRequest{ID: m.GetId(), Findings: m.GetFindings(), From: int64(min(m.GetFrom(), math.MaxInt64))}
	if err := checkReports(q); err != nil {
		return nil, s.refuse("Reports", err)
	}
	p, err := s.handler.Reports(q)
	if err == nil && len(p.Piece) > MaxPieceBytes {
		err = fmt.Errorf("a piece of %d bytes, not up to %d", len(p.Piece), MaxPieceBytes)
	}
	if err != nil {
		return &peerpb.ReportsReply{Fault: faultOf(err)}, nil
	}
	reply := new(peerpb.ReportsReply)
	for _, k := range p.Kept[:min(len(p.Kept), MaxReports)] {
		reply.Kept = append(reply.Kept, &peerpb.KeptReport{Id: k.ID, Whole: uint64(k.Whole), Findings: uint64(k.Findings)})
	}
	if q.ID != "" {
		sum := sha256.Sum256(p.Piece)
		reply.Piece, reply.Sha256 = p.Piece, sum[:]
	}
	return reply, nil
}

// Reports asks the other node for the list of its reports, or for a piece of one.
// Besides the errors of all methods: ErrOlderBuild.
func (r *Peer) Reports(ctx context.Context, q ReportsRequest) (p ReportsPage, err error) {
	if err := checkReports(q); err != nil {
		return p, err
	}
	bad := error(nil)
	err = r.call(ctx, func(ctx context.Context, via grpc.CallOption) (*peerpb.Fault, error) {
		m, err := r.client.Reports(ctx, &peerpb.ReportsRequest{Id: q.ID, Findings: q.Findings, From: uint64(q.From)}, via)
		if err == nil && m.GetFault() == nil {
			p, bad = reportsFromWire(q, m)
		}
		return m.GetFault(), err
	})
	if err == nil && bad != nil {
		err = errLost(bad)
	}
	if err != nil {
		return ReportsPage{}, err
	}
	return p, nil
}

func checkReports(q ReportsRequest) error {
	switch {
	case q.ID != "" && !engine.ValidID(q.ID):
		return errors.New("a report that is no id")
	case q.From < 0:
		return fmt.Errorf("a piece from byte %d on", q.From)
	}
	return nil
}

func reportsFromWire(q ReportsRequest, m *peerpb.ReportsReply) (p ReportsPage, err error) {
	if q.ID != "" {
		p.Piece = m.GetPiece()
		if sum := sha256.Sum256(p.Piece); len(p.Piece) > MaxPieceBytes || string(sum[:]) != string(m.GetSha256()) {
			return p, fmt.Errorf("a piece of a report with %d bytes that its checksum does not fit, or over %d", len(p.Piece), MaxPieceBytes)
		}
		return p, nil
	}
	if n := len(m.GetKept()); n > MaxReports {
		return p, fmt.Errorf("a list of %d reports: %w", n, errBeyond)
	}
	for _, k := range m.GetKept() {
		if !engine.ValidID(k.GetId()) || k.GetWhole() > math.MaxInt32 || k.GetFindings() > math.MaxInt32 {
			return p, fmt.Errorf("a report in a list: %w", errBeyond)
		}
		p.Kept = append(p.Kept, KeptReport{k.GetId(), int64(k.GetWhole()), int64(k.GetFindings())})
	}
	return p, nil
}
