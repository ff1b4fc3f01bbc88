package rpc

import (
	"errors"
	"fmt"
	"math"
	"time"

	"google.golang.org/protobuf/encoding/protowire"
	"google.golang.org/protobuf/proto"

	"doorbuster/cluster/rpc/peerpb"
	"doorbuster/engine"
)

// errBeyond is a number that does not fit the type which it is for here.
var errBeyond = errors.New("a number is out of its range")

// fits8 tells whether all of what goes into a byte here does.
func fits8(numbers ...uint32) bool {
	for _, n := range numbers {
		if n > math.MaxUint8 {
			return false
		}
	}
	return true
}

func answerToWire(a *engine.Answer) *peerpb.Answer {
	return &peerpb.Answer{
		Code: uint32(a.Code), Reason: uint32(a.Reason), State: uint32(a.State),
		OrderSession: uint32(a.Order.Session), OrderOrdinal: a.Order.Ordinal,
		Session: uint32(a.Session), Listing: uint32(a.Listing), Quantity: a.Quantity, Amount: a.Amount,
		PayBy: int64(a.PayBy), Count: a.Count, Limit: a.Limit, Start: int64(a.Start), Deadline: int64(a.Deadline),
		Transaction: addTransaction(nil, 0, &a.Transaction), OrderNo: a.No[:],
	}
}

func answerFromWire(m *peerpb.Answer) (engine.Answer, error) {
	if !fits8(m.GetCode(), m.GetReason(), m.GetState()) {
		return engine.Answer{}, fmt.Errorf("an answer: %w", errBeyond)
	}
	if !transactionsFit(m.GetTransaction(), 1) {
		return engine.Answer{}, fmt.Errorf("an answer with %d bytes of transaction, not %d", len(m.GetTransaction()), transactionBytes)
	}
	if !orderNosFit(m.GetOrderNo(), 1) {
		return engine.Answer{}, errors.New("an answer whose order number is none")
	}
	return engine.Answer{
		Code: engine.Code(m.GetCode()), Reason: engine.Reason(m.GetReason()), State: engine.OrderState(m.GetState()),
		Order:   engine.OrderRef{Session: engine.SessionHandle(m.GetOrderSession()), Ordinal: m.GetOrderOrdinal()},
		Session: engine.SessionHandle(m.GetSession()), Listing: engine.ListingHandle(m.GetListing()),
		Quantity: m.GetQuantity(), Amount: m.GetAmount(), PayBy: engine.Time(m.GetPayBy()), Count: m.GetCount(),
		Limit: m.GetLimit(), Start: engine.Time(m.GetStart()), Deadline: engine.Time(m.GetDeadline()),
		Transaction: transactionAt(m.GetTransaction(), 0), No: engine.OrderNo(m.GetOrderNo()),
	}, nil
}

func askedToWire(a *engine.Outcome) *peerpb.AskReply {
	e := &a.Event
	m := &peerpb.AskReply{Index: uint64(a.Index), Event: &peerpb.Event{
		Kind: uint32(e.Kind), Reason: uint32(e.Reason), State: uint32(e.State), Command: e.Command,
		Session: uint32(e.Session), Listing: uint32(e.Listing), OrderSession: uint32(e.Order.Session), OrderOrdinal: e.Order.Ordinal,
		Life: uint64(e.Life), Shopper: uint32(e.Shopper), Quantity: e.Quantity, Limit: e.Limit, Amount: e.Amount, PayBy: int64(e.PayBy), After: e.After,
		Transaction: addTransaction(nil, 0, &e.Transaction),
	}}
	room := maxReportBytes
	for i, c := range a.Changes {
		w := &peerpb.Change{Path: words(c.Path, maxFaultBytes), Before: words(c.Before, maxFaultBytes), After: words(c.After, maxFaultBytes)}
		if room -= sizeIn(w); room < 0 {
			m.Changes = append(m.Changes, &peerpb.Change{Path: fmt.Sprintf("(%d more changes, not shown)", len(a.Changes)-i)})
			break
		}
		m.Changes = append(m.Changes, w)
	}
	for i, p := range a.Problems {
		w := &peerpb.Problem{Path: words(p.Path, maxFaultBytes), Message: words(p.Message, maxFaultBytes)}
		if room -= sizeIn(w); room < 0 {
			m.Problems = append(m.Problems, &peerpb.Problem{Path: "plan", Message: fmt.Sprintf("%d more problems, not shown", len(a.Problems)-i)})
			break
		}
		m.Problems = append(m.Problems, w)
	}
	return m
}

// sizeIn gives what m takes in a repeated field with a number below 16.
func sizeIn(m proto.Message) int { return 1 + protowire.SizeBytes(proto.Size(m)) }

func askedFromWire(m *peerpb.AskReply) (engine.Outcome, error) {
	e := m.GetEvent()
	if !fits8(e.GetKind(), e.GetReason(), e.GetState()) {
		return engine.Outcome{}, fmt.Errorf("an event: %w", errBeyond)
	}
	if !transactionsFit(e.GetTransaction(), 1) {
		return engine.Outcome{}, fmt.Errorf("an event with %d bytes of transaction, not %d", len(e.GetTransaction()), transactionBytes)
	}
	a := engine.Outcome{Index: engine.LogIndex(m.GetIndex()), Event: engine.Event{
		Kind: engine.EventKind(e.GetKind()), Reason: engine.Reason(e.GetReason()), State: engine.OrderState(e.GetState()), Command: e.GetCommand(),
		Session: engine.SessionHandle(e.GetSession()), Listing: engine.ListingHandle(e.GetListing()),
		Order:   engine.OrderRef{Session: engine.SessionHandle(e.GetOrderSession()), Ordinal: e.GetOrderOrdinal()},
		Life:    engine.Life(e.GetLife()),
		Shopper: engine.ShopperNo(e.GetShopper()), Quantity: e.GetQuantity(), Limit: e.GetLimit(), Amount: e.GetAmount(), PayBy: engine.Time(e.GetPayBy()), After: e.GetAfter(),
		Transaction: transactionAt(e.GetTransaction(), 0),
	}}
	for _, c := range m.GetChanges() {
		a.Changes = append(a.Changes, engine.Change{Path: c.GetPath(), Before: c.GetBefore(), After: c.GetAfter()})
	}
	for _, p := range m.GetProblems() {
		a.Problems = append(a.Problems, engine.Problem{Path: p.GetPath(), Message: p.GetMessage()})
	}
	return a, nil
}

func pulseToWire(p *Pulse, answers uint64) *peerpb.Pulse {
	m := &peerpb.Pulse{
		Answers: answers, Node: words(p.Node, maxFaultBytes), Zone: words(p.Zone, maxFaultBytes), Role: words(p.Role, maxFaultBytes),
		Version: words(p.Version, maxFaultBytes), Leader: words(p.Leader, maxFaultBytes), Leads: p.Leads, Term: uint64(p.Term),
		Applied: uint64(p.Applied), Commit: uint64(p.Commit), Last: uint64(p.Last), First: uint64(p.First),
		Rules: p.Rules, WalBytes: p.WALBytes, Generation: p.Generation, Ledger: uint64(p.Ledger),
		Life: words(p.Life, maxFaultBytes), Memory: p.Memory, Demand: p.Demand,
	}
	if !p.Wall.IsZero() {
		m.WallNs = p.Wall.UnixNano()
	}
	for k, v := range p.Detail {
		if len(m.Detail) == maxDetails {
			break
		}
		if m.Detail == nil {
			m.Detail = make(map[string]string, len(p.Detail))
		}
		m.Detail[words(k, maxFaultBytes)] = words(v, maxFaultBytes)
	}
	return m
}

func pulseFromWire(m *peerpb.Pulse) Pulse {
	p := Pulse{
		Node: m.GetNode(), Zone: m.GetZone(), Role: m.GetRole(), Version: m.GetVersion(), Leader: m.GetLeader(), Leads: m.GetLeads(),
		Term: engine.Term(m.GetTerm()), Applied: engine.LogIndex(m.GetApplied()), Commit: engine.LogIndex(m.GetCommit()),
		Last: engine.LogIndex(m.GetLast()), First: engine.LogIndex(m.GetFirst()),
		Rules: m.GetRules(), WALBytes: m.GetWalBytes(), Generation: m.GetGeneration(), Detail: m.GetDetail(), Ledger: engine.LogIndex(m.GetLedger()),
		Life: m.GetLife(), Memory: m.GetMemory(), Demand: m.GetDemand(),
	}
	if ns := m.GetWallNs(); ns != 0 {
		p.Wall = time.Unix(0, ns)
	}
	return p
}
