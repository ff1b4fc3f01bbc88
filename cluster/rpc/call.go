package rpc

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/peer"
	"google.golang.org/grpc/status"

	"doorbuster/cluster/rpc/peerpb"
	"doorbuster/engine"
)

// ErrOlderBuild: the other node's build does not know what it was asked.
var ErrOlderBuild = errors.New("its build does not know it")

// errNotReached is of what never left.
func errNotReached(why string) error {
	return fmt.Errorf("%w: not reached: %s", engine.ErrNotLeader, why)
}

// errLost is of what left and was not answered.
func errLost(why error) error { return fmt.Errorf("%w: %w", engine.ErrOutcomeUnknown, why) }

// question is what one node may ask another: a Q for an A, as JSON, each with bytes
// that go as they are.
type question[Q, A any] struct {
	name string
	// check tells what is wrong with a question, at both ends; nil: nothing can be.
	check func(q Q, raw []byte) error
	// answer is the asked node's.
	answer func(ctx context.Context, h Handler, q Q, raw []byte) (a A, back []byte, err error)
	// judge tells what is wrong with an answer; nil: nothing can be.
	judge func(q Q, a A, back []byte) error
}

// questions are all of them, by name.
var questions = map[string]func(context.Context, *Server, *peerpb.Question) (*peerpb.Reply, error){
	ask.name: ask.serve, look.name: look.serve, barrier.name: barrier.serve, operate.name: operate.serve,
	refusals.name: refusals.serve, trailPage.name: trailPage.serve, orders.name: orders.serve,
	reports.name: reports.serve, aboutSession.name: aboutSession.serve,
}

// Call answers any question.
func (s *Server) Call(ctx context.Context, m *peerpb.Question) (r *peerpb.Reply, err error) {
	serve := questions[m.GetName()]
	if serve == nil {
		return nil, status.Errorf(codes.Unimplemented, "unknown question %q", m.GetName())
	}
	defer s.recovered(m.GetName(), &err)
	return serve(ctx, s, m)
}

func (x *question[Q, A]) serve(ctx context.Context, s *Server, m *peerpb.Question) (*peerpb.Reply, error) {
	var q Q
	err := json.Unmarshal(m.GetJson(), &q)
	if err == nil && x.check != nil {
		err = x.check(q, m.GetRaw())
	}
	if err != nil {
		return nil, s.refuse(x.name, err)
	}
	a, back, err := x.answer(ctx, s.handler, q, m.GetRaw())
	told, _ := json.Marshal(a) // of plain values: it never fails
	return &peerpb.Reply{Fault: faultOf(err), Json: told, Raw: back}, nil
}

// ask asks the other node. An error of its handler's comes with what that told besides.
func (x *question[Q, A]) ask(ctx context.Context, r *Peer, q Q, raw []byte) (a A, back []byte, err error) {
	if x.check != nil {
		if err := x.check(q, raw); err != nil {
			return a, nil, err
		}
	}
	asked, _ := json.Marshal(q)
	m, err := r.call(ctx, &peerpb.Question{Name: x.name, Json: asked, Raw: raw})
	if err != nil {
		return a, nil, err
	}
	bad := json.Unmarshal(m.GetJson(), &a)
	if err = errorOf(m.GetFault()); bad == nil && err == nil && x.judge != nil {
		bad = x.judge(q, a, m.GetRaw())
	}
	switch {
	case bad != nil:
		var none A
		return none, nil, errLost(fmt.Errorf("the answer to %q: %w", x.name, bad))
	case errors.Is(err, context.Canceled), errors.Is(err, context.DeadlineExceeded):
		err = errLost(err) // the handler gave up, who knows where
	}
	return a, m.GetRaw(), err
}

// call makes a single call.
func (r *Peer) call(ctx context.Context, q *peerpb.Question) (*peerpb.Reply, error) {
	r.mu.Lock()
	closed := r.closed
	r.mu.Unlock()
	if closed {
		return nil, errNotReached("forgotten")
	}
	if err := ctx.Err(); err != nil {
		return nil, fmt.Errorf("%w: %w", engine.ErrNotLeader, err)
	}
	var via peer.Peer
	m, err := r.client.Call(ctx, q, grpc.Peer(&via))
	if err == nil {
		return m, nil
	}
	s := status.Convert(err)
	why := errors.New(s.Message())
	_, limited := ctx.Deadline()
	switch {
	case ctx.Err() != nil:
		why = ctx.Err()
	case limited && r.ctx.Err() == nil && (s.Code() == codes.Canceled || s.Code() == codes.DeadlineExceeded):
		why = context.DeadlineExceeded // the other end keeps the same deadline, and was first to notice
	case s.Code() == codes.Unimplemented:
		return nil, fmt.Errorf("node %s refused the request: %w: %s", r.addr, ErrOlderBuild, s.Message())
	case s.Code() == codes.InvalidArgument:
		return nil, fmt.Errorf("node %s refused the request: %s", r.addr, s.Message())
	}
	// gRPC fills in who answers once it has a connection to send on.
	if via.Addr == nil {
		return nil, fmt.Errorf("%w: not reached: %w", engine.ErrNotLeader, why)
	}
	return nil, errLost(why)
}
