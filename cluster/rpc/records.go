package rpc

import (
	"context"
	"errors"
	"math"

	"google.golang.org/grpc"

	"doorbuster/cluster/ledger/trail"
	"doorbuster/cluster/rpc/peerpb"
	"doorbuster/engine"
)

// Trail answers Peer.Trail.
func (s *Server) Trail(_ context.Context, m *peerpb.TrailRequest) (*peerpb.TrailReply, error) {
	p, err := s.handler.Trail(engine.LogIndex(m.GetAfter()), engine.LogIndex(m.GetUpto()), m.GetDeeds())
	if err != nil {
		return &peerpb.TrailReply{Fault: faultOf(err)}, nil
	}
	return &peerpb.TrailReply{Group: p.Group[:], Dropped: uint64(p.Dropped), After: uint64(p.After), Upto: uint64(p.Upto), Time: int64(p.Time),
		Frames: p.Frames}, nil
}

// Trail asks the other node for a page of its trail. What is in it is for the trail to
// check.
func (r *Peer) Trail(ctx context.Context, after, upto engine.LogIndex, deeds bool) (p trail.Page, err error) {
	bad := error(nil)
	err = r.call(ctx, func(ctx context.Context, via grpc.CallOption) (*peerpb.Fault, error) {
		m, err := r.client.Trail(ctx, &peerpb.TrailRequest{After: uint64(after), Upto: uint64(upto), Deeds: deeds}, via)
		if err == nil && m.GetFault() == nil {
			p = trail.Page{Dropped: engine.LogIndex(m.GetDropped()), After: engine.LogIndex(m.GetAfter()), Upto: engine.LogIndex(m.GetUpto()),
				Time: engine.Time(m.GetTime()), Frames: m.GetFrames()}
			if copy(p.Group[:], m.GetGroup()) != len(p.Group) {
				bad = errors.New("a page of a trail without a group")
			}
		}
		return m.GetFault(), err
	})
	if err == nil && bad != nil {
		err = errLost(bad)
	}
	return p, err
}

// Orders answers Peer.Orders.
func (s *Server) Orders(_ context.Context, m *peerpb.OrdersRequest) (*peerpb.OrdersReply, error) {
	chunk, total, err := s.handler.Orders(engine.SessionHandle(m.GetSession()), int64(min(m.GetOffset(), math.MaxInt64)))
	if err != nil {
		return &peerpb.OrdersReply{Fault: faultOf(err)}, nil
	}
	return &peerpb.OrdersReply{Chunk: chunk, Total: uint64(total)}, nil
}

// Orders asks the other node for a piece of its file of a settled session.
func (r *Peer) Orders(ctx context.Context, h engine.SessionHandle, offset int64) (chunk []byte, total int64, err error) {
	err = r.call(ctx, func(ctx context.Context, via grpc.CallOption) (*peerpb.Fault, error) {
		m, err := r.client.Orders(ctx, &peerpb.OrdersRequest{Session: uint32(h), Offset: uint64(offset)}, via)
		chunk, total = m.GetChunk(), int64(min(m.GetTotal(), math.MaxInt64))
		return m.GetFault(), err
	})
	return chunk, total, err
}
