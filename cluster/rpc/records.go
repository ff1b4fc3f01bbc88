package rpc

import (
	"context"
	"errors"
	"fmt"
	"math"

	"google.golang.org/grpc"

	"doorbuster/cluster/rpc/peerpb"
	"doorbuster/engine"
)

// RecordsRequest asks for a page of a node's ledger: events from From on, or, if
// Session is not 0, the rows of that settled session behind the order After.
type RecordsRequest struct {
	Session engine.SessionHandle
	From    engine.TrailPosition
	After   uint32
}

// RecordsPage is such a page.
type RecordsPage struct {
	Group [16]byte // whose ledger it is
	Index engine.LogIndex
	First engine.TrailPosition // of the events that are kept
	Rows  []Record
	More  bool
}

// Record is a row as it stands in the ledger's file. What is in it is for the
// ledger to check.
type Record struct {
	Bucket     byte
	Key, Value []byte
}

// Records answers Peer.Records.
func (s *Server) Records(_ context.Context, m *peerpb.RecordsRequest) (*peerpb.RecordsReply, error) {
	p, err := s.handler.Records(RecordsRequest{Session: engine.SessionHandle(m.GetSession()), After: m.GetAfter(),
		From: engine.TrailPosition{Index: engine.LogIndex(m.GetFromIndex()), N: m.GetFromN()}})
	if err != nil {
		return &peerpb.RecordsReply{Fault: faultOf(err)}, nil
	}
	reply := &peerpb.RecordsReply{Group: p.Group[:], Index: uint64(p.Index), FirstIndex: uint64(p.First.Index), FirstN: p.First.N, More: p.More}
	for _, r := range p.Rows {
		reply.Rows = append(reply.Rows, &peerpb.Record{Bucket: uint32(r.Bucket), Key: r.Key, Value: r.Value})
	}
	return reply, nil
}

// Records asks the other node for a page of its ledger.
func (r *Peer) Records(ctx context.Context, q RecordsRequest) (p RecordsPage, err error) {
	bad := error(nil)
	err = r.call(ctx, func(ctx context.Context, via grpc.CallOption) (*peerpb.Fault, error) {
		m, err := r.client.Records(ctx, &peerpb.RecordsRequest{Session: uint32(q.Session), FromIndex: uint64(q.From.Index), FromN: q.From.N, After: q.After}, via)
		if err == nil && m.GetFault() == nil {
			p, bad = recordsFromWire(m)
		}
		return m.GetFault(), err
	})
	if err == nil && bad != nil {
		err = errLost(bad)
	}
	if err != nil {
		return RecordsPage{}, err
	}
	return p, nil
}

func recordsFromWire(m *peerpb.RecordsReply) (p RecordsPage, err error) {
	if n := copy(p.Group[:], m.GetGroup()); n != len(p.Group) {
		return p, errors.New("a page of a ledger without a group")
	}
	p.Index, p.More = engine.LogIndex(m.GetIndex()), m.GetMore()
	p.First = engine.TrailPosition{Index: engine.LogIndex(m.GetFirstIndex()), N: m.GetFirstN()}
	for _, r := range m.GetRows() {
		if r.GetBucket() > math.MaxUint8 {
			return p, fmt.Errorf("a record: %w", errBeyond)
		}
		p.Rows = append(p.Rows, Record{byte(r.GetBucket()), r.GetKey(), r.GetValue()})
	}
	return p, nil
}
