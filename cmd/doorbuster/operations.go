package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"time"

	"doorbuster/cluster"
	"doorbuster/httpapi"
	"doorbuster/httpapi/wire"
)

// operations lets operators change the cluster. It is made before the cluster's
// node but asked only after.
type operations struct{ *node }

var _ httpapi.ClusterOperator = operations{}

// told turns a refusal into one that the operations API knows.
func told(err error) error {
	if errors.Is(err, cluster.ErrRefused) {
		return &httpapi.ClusterRefusal{Message: cluster.RefusalText(err)}
	}
	return err
}

func (o operations) operate(ctx context.Context, what cluster.Operation) (leader string, err error) {
	leader, err = o.cluster.Operate(ctx, what)
	return leader, told(err)
}

func (o operations) Join(ctx context.Context, operator string, m wire.Member) error {
	_, err := o.operate(ctx, cluster.Operation{Name: cluster.OpJoin, Operator: operator,
		Member: cluster.Member{ID: m.ID, Zone: m.Zone, Kind: cluster.Kind(m.Kind), Peer: m.Peer}})
	return err
}

func (o operations) Remove(ctx context.Context, operator, id string) error {
	_, err := o.operate(ctx, cluster.Operation{Name: cluster.OpRemove, Operator: operator, Node: id})
	return err
}

func (o operations) Transfer(ctx context.Context, operator, from, to string) (string, error) {
	return o.operate(ctx, cluster.Operation{Name: cluster.OpTransfer, Operator: operator, From: from, Node: to})
}

func (o operations) Snapshot(context.Context, string) (uint64, error) {
	if err := o.cluster.Snapshot(); err != nil {
		return 0, fmt.Errorf("take a snapshot: %w", err)
	}
	return uint64(o.cluster.Status().AppliedIndex), nil
}

func (o operations) SetZoneAck(ctx context.Context, operator, mode, note string) error {
	_, err := o.operate(ctx, cluster.Operation{Name: cluster.OpZoneAck, Operator: operator, Mode: cluster.ZoneAck(mode),
		Note: note})
	return err
}

func (o operations) Prefer(ctx context.Context, operator, zone string) error {
	_, err := o.operate(ctx, cluster.Operation{Name: cluster.OpPrefer, Operator: operator, Zone: zone})
	return err
}

func (o operations) Drain(ctx context.Context, operator string, d wire.Drain) error {
	_, err := o.operate(ctx, cluster.Operation{Name: cluster.OpDrain, Operator: operator, Node: d.Node, Zone: d.Zone,
		On: d.On})
	return err
}

func (o operations) PromotePlan(_ context.Context, zone string) (wire.PromotePlan, error) {
	return shownPlan(o.cluster.PlanPromotion(zone)), nil
}

func (o operations) Promote(ctx context.Context, operator, zone, token string) (wire.PromotePlan, error) {
	p, err := o.cluster.Promote(ctx, operator, zone, token)
	return shownPlan(p), told(err)
}

func shownPlan(p cluster.PromotePlan) wire.PromotePlan {
	heard := ""
	if !p.LeaderHeard.IsZero() {
		heard = time.Since(p.LeaderHeard).Round(time.Millisecond).String()
	}
	wait := ""
	if p.Wait > 0 {
		wait = p.Wait.String()
	}
	return wire.PromotePlan{
		Wait: wait,
		Zone: p.Zone, Node: p.Node, Generation: p.Generation, NextGeneration: p.NextGeneration,
		LastIndex:    uint64(p.LastIndex),
		AppliedIndex: uint64(p.AppliedIndex), Term: uint64(p.Term), ZoneAck: string(p.ZoneAck), LeaderHeardAgo: heard,
		Unreachable: p.Unreachable, Will: p.Will, CannotKnow: p.CannotKnow, Refusal: p.Refusal, Token: p.Token,
	}
}

func (o operations) Backup(ctx context.Context, w io.Writer, stateOnly bool) error {
	return told(o.cluster.Backup(ctx, w, stateOnly))
}
