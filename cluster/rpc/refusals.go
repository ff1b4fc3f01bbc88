package rpc

import (
	"context"
	"errors"
	"fmt"

	"google.golang.org/grpc"

	"doorbuster/cluster/rpc/peerpb"
	"doorbuster/engine"
)

// Refusals answers Peer.Refusals.
func (s *Server) Refusals(_ context.Context, m *peerpb.RefusalsRequest) (*peerpb.RefusalsReply, error) {
	if err := checkRefusals(m.GetShopper(), m.GetSession()); err != nil {
		return nil, s.refuse("Refusals", err)
	}
	report := s.handler.Refusals(string(m.GetShopper()), m.GetSession())
	return reportToWire(&report), nil
}

// Refusals asks the other node why it refused a shopper (engine.ValidShopper), in
// one session or ("") in all.
func (r *Peer) Refusals(ctx context.Context, shopper, session string) (report engine.RefusalReport, err error) {
	if err := checkRefusals([]byte(shopper), session); err != nil {
		return report, err
	}
	bad := error(nil)
	err = r.call(ctx, func(ctx context.Context, via grpc.CallOption) (*peerpb.Fault, error) {
		m, err := r.client.Refusals(ctx, &peerpb.RefusalsRequest{Shopper: []byte(shopper), Session: session}, via)
		if err == nil {
			report, bad = reportFromWire(m)
		}
		return m.GetFault(), err
	})
	if err == nil && bad != nil {
		err = errLost(bad)
	}
	if err != nil {
		return engine.RefusalReport{}, err
	}
	return report, nil
}

func checkRefusals(shopper []byte, session string) error {
	switch {
	case !engine.ValidShopper(shopper):
		return fmt.Errorf("a shopper's id of %d bytes that is not printable ASCII of 1 to %d", len(shopper), engine.MaxShopperBytes)
	case session != "" && !engine.ValidID(session):
		return errors.New("a session that is no id")
	}
	return nil
}

func reportToWire(r *engine.RefusalReport) *peerpb.RefusalsReply {
	m := &peerpb.RefusalsReply{LeftOut: r.LeftOut, On: r.On, Since: int64(r.Since), Entries: r.Entries, Capacity: r.Capacity, Lost: r.Lost}
	told := r.Refused
	if n := len(told); n > maxRefused {
		told, m.LeftOut = told[:maxRefused], m.LeftOut+int64(n-maxRefused)
	}
	for i := range told {
		x := &told[i]
		m.Refused = append(m.Refused, &peerpb.Refused{Session: words(x.Session, engine.MaxIDBytes), Sku: words(x.SKU, engine.MaxIDBytes),
			Code: uint32(x.Code), Reason: uint32(x.Reason), First: int64(x.First), Last: int64(x.Last), Count: x.Count})
	}
	return m
}

func reportFromWire(m *peerpb.RefusalsReply) (engine.RefusalReport, error) {
	r := engine.RefusalReport{LeftOut: m.GetLeftOut(), On: m.GetOn(), Since: engine.Time(m.GetSince()), Entries: m.GetEntries(),
		Capacity: m.GetCapacity(), Lost: m.GetLost()}
	for _, x := range m.GetRefused() {
		if !fits8(x.GetCode(), x.GetReason()) {
			return engine.RefusalReport{}, fmt.Errorf("a refusal: %w", errBeyond)
		}
		r.Refused = append(r.Refused, engine.Refused{Session: x.GetSession(), SKU: x.GetSku(), Code: engine.Code(x.GetCode()),
			Reason: engine.Reason(x.GetReason()), First: engine.Time(x.GetFirst()), Last: engine.Time(x.GetLast()), Count: x.GetCount()})
	}
	return r, nil
}
