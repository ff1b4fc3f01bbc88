package httpapi

import (
	"cmp"
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/netip"
	"slices"
	"strconv"
	"strings"

	"doorbuster/engine"
	"doorbuster/httpapi/wire"
)

// clusterStatus shows the nodes, and all that somebody must see to.
func (s *AdminServer) clusterStatus(*http.Request) (wire.Cluster, error) {
	status := s.cluster.Status()
	if status.Nodes == nil {
		status.Nodes = []wire.Node{}
	}
	status.Alarms = AllAlarms(&status)
	return status, nil
}

// AllAlarms gives those that a status tells itself, and behind them its Alarms, each with
// its severity.
func AllAlarms(c *wire.Cluster) []engine.Alarm {
	all := alarmsOf(c)
	for i := range c.Alarms {
		if c.Alarms[i].In(all) < 0 {
			all = append(all, c.Alarms[i])
		}
	}
	for i := range all {
		all[i].Severity = engine.KindOf(all[i].Name).Severity
	}
	return all
}

// clockAlarmMS is how far a clock may be off before it is an alarm: such a node
// neither takes nor keeps leadership.
const clockAlarmMS = 200

// alarmsOf gives what a status shows that somebody must see to. It never gives nil.
func alarmsOf(c *wire.Cluster) []engine.Alarm {
	alarms := []engine.Alarm{}
	alarm := func(name engine.AlarmName, about, advice, format string, args ...any) {
		alarms = append(alarms, engine.Alarm{Name: name, About: about, Detail: fmt.Sprintf(format, args...),
			Advice: advice})
	}
	if c.Leader == "" {
		alarm(engine.AlarmNoLeader, "", "", "No leader is known: nothing is granted until there is one.")
	}
	switch c.ZoneAck.State {
	case wire.ZoneAckDegraded:
		alarm(engine.AlarmZoneAck, "", "Bring a voter of another zone back.",
			"Zone ack is degraded: what shoppers are told now is in one zone only, and lost if that zone is.")
	case wire.ZoneAckBlocked:
		alarm(engine.AlarmZoneAck, "", "Bring one back, or go on without: 'doorbuster cluster zone-ack --mode prefer' "+
			"sells at once, and what is told from then on is lost if this zone is.",
			"Zone ack is blocked: no voter of another zone answers, so nothing is granted; what is known is shown "+
				"and refused "+
				"as before.")
	case wire.ZoneAckSingleZone:
		if c.ZoneAck.Mode == wire.ZoneAckRequire {
			alarm(engine.AlarmZoneAck, "", "", "Zone ack is require, but all voters are of one zone: there is no "+
				"other zone "+
				"to have anything.")
		}
	}
	voters, reached, serving := 0, 0, 0
	for i := range c.Nodes {
		n := &c.Nodes[i]
		if (n.Kind == wire.KindVoter || n.Kind == wire.KindWitness) && !n.Joining {
			voters++
			if n.Reachable {
				reached++
			}
		}
		if n.Reachable && !n.Drained && n.Kind != wire.KindWitness {
			serving++
		}
		why := ""
		if n.Error != "" {
			why = ": " + strings.TrimSuffix(n.Error, ".")
		}
		if !n.Reachable {
			alarm(engine.AlarmNodeUnreachable, n.ID, "", "Node %s of zone %s can't be reached%s.", n.ID, n.Zone, why)
		}
		if off := n.ClockOffsetMS; n.Reachable && (off > clockAlarmMS || off < -clockAlarmMS) {
			alarm(engine.AlarmClockOff, n.ID, "", "The clock of node %s is %+.0f ms off: it can't lead until it is "+
				"within %d "+
				"ms.", n.ID, off, clockAlarmMS)
		}
	}
	if quorum := voters/2 + 1; voters > 0 && reached < quorum {
		alarm(engine.AlarmNoQuorum, "", "", "Only %d of %d voters can be reached from here, and a quorum needs %d.",
			reached, voters, quorum)
	}
	if len(c.Nodes) > 0 && serving == 0 {
		alarm(engine.AlarmNobodyServes, "", "", "No node takes new shoppers: all are drained, witnesses, or out of "+
			"reach.")
	}
	return alarms
}

// operates makes the handler of an operation on the cluster. It is audited before,
// because what is asked may end this process, and after, with what became of it. said
// gives what goes into the log beside the name, as slog takes it, or says what is wrong.
func operates[Q, B, A any](name string, said func(s *AdminServer, r *http.Request, q *Q, b *B) ([]any, error),
	do func(ctx context.Context, o ClusterOperator, who string, b *B) (A, error)) adminHandler {
	return does(func(s *AdminServer, r *http.Request, q *Q, b *B) (a A, err error) {
		if s.operations == nil {
			return a, aloneHere
		}
		about, err := said(s, r, q, b)
		if err != nil {
			return a, err
		}
		if noted, ok := any(b).(interface{ Why() string }); ok {
			about = append(about, "note", noted.Why())
		}
		if plan, ok := any(b).(*wire.PromoteRequest); ok && plan.DryRun { // nothing is done
			a, err = do(r.Context(), s.operations, operatorOf(r), b)
			return a, unknownCluster(err)
		}
		log := s.log.With("operation", name, "operator", operatorOf(r)).With(about...)
		log.Info("cluster operation asked")
		if a, err = do(r.Context(), s.operations, operatorOf(r), b); err != nil {
			log.Info("cluster operation failed", "error", err)
			return a, unknownCluster(err)
		}
		log.Info("cluster operation done")
		return a, nil
	})
}

var aloneHere = refuse(conflict,
	"This node is alone: it has no cluster to change. Name one under cluster in its config.")

// unknownCluster says where to look after an operation of which nobody knows whether it
// was done; other errors stay as they are.
func unknownCluster(err error) error {
	if unknownOutcome(err) {
		return refuse(unavailable, "It is not known yet whether this was done. Look at /admin/v1/cluster before "+
			"asking again.")
	}
	return err
}

// saying is said of an operation of which only the body says something.
func saying[B any](said func(b *B) ([]any, error)) func(*AdminServer, *http.Request, *none, *B) ([]any, error) {
	return func(_ *AdminServer, _ *http.Request, _ *none, b *B) ([]any, error) { return said(b) }
}

var joins = operates("join", saying(func(b *wire.JoinRequest) ([]any, error) {
	b.Kind = cmp.Or(b.Kind, wire.KindVoter)
	return []any{"node", b.ID, "zone", b.Zone, "kind", b.Kind, "peer", b.Peer}, wrongMember(b)
}), func(ctx context.Context, o ClusterOperator, who string, b *wire.JoinRequest) (wire.Member, error) {
	m := wire.Member{ID: b.ID, Zone: b.Zone, Kind: b.Kind, Peer: b.Peer}
	return m, o.Join(ctx, who, m)
})

func wrongMember(m *wire.JoinRequest) error {
	if err := cmp.Or(wrongID(m.ID, "id", "a node", "a3"), wrongID(m.Zone, "zone", "a zone", "a")); err != nil {
		return err
	}
	if m.Kind != wire.KindVoter && m.Kind != wire.KindWitness && m.Kind != wire.KindEdge {
		return refuse(malformed, "The kind must be voter, witness or edge; voter unless it is said.")
	}
	if wrong := wrongPeer(m.Peer); wrong != "" {
		return refuse(malformed, wrong)
	}
	return nil
}

// wrongPeer says what is wrong with an address that other nodes are to reach a
// node at, "" if nothing.
func wrongPeer(peer string) string {
	const wanted = "The peer must be there: host:port that the other nodes reach the node at, such as 10.0.1.3:8082"
	const mostHostBytes = 253 // of a name in the DNS
	host, port, err := net.SplitHostPort(peer)
	if err != nil || host == "" || len(host) > mostHostBytes {
		return wanted + "."
	}
	if n, err := strconv.ParseUint(port, 10, 16); err != nil || n == 0 {
		return wanted + "; its port is a number of 1 to 65535."
	}
	addr, err := netip.ParseAddr(host)
	if err == nil && (addr.IsUnspecified() || addr.IsMulticast()) {
		return wanted + "; " + host + " leads to no one node."
	}
	if err != nil && strings.ContainsFunc(host, func(c rune) bool {
		return !(c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z' || c >= '0' && c <= '9' || c == '.' || c == '-' ||
			c == '_')
	}) {
		return wanted + "; a host is an address or a name of letters, digits, dots and dashes."
	}
	return ""
}

var removes = operates("remove", saying(func(b *wire.RemoveRequest) ([]any, error) {
	return []any{"node", b.Node}, wrongID(b.Node, "node", "the node to take out", "a3")
}), func(ctx context.Context, o ClusterOperator, who string, b *wire.RemoveRequest) (wire.Removed, error) {
	return wire.Removed{Removed: b.Node}, o.Remove(ctx, who, b.Node)
})

var transfers = operates("transfer", saying(func(b *wire.TransferRequest) ([]any, error) {
	said := []any{"from", b.From, "to", b.To}
	switch {
	case b.To == "" && b.From == "":
		return said, refuse(malformed, "There must be to, the node that is to lead, or from, the node that is to "+
			"lead no longer: "+
			"the best of the others follows it.")
	case b.To != "" && !engine.ValidID(b.To):
		return said, wrongID(b.To, "to", "the node that is to lead", "a2")
	case b.From != "":
		return said, wrongID(b.From, "from", "the node that is to lead no longer", "a1")
	}
	return said, nil
}), func(ctx context.Context, o ClusterOperator, who string, b *wire.TransferRequest) (wire.Led, error) {
	leader, err := o.Transfer(ctx, who, b.From, b.To)
	return wire.Led{Leader: leader}, err
})

var snapshots = operates("snapshot", saying(func(*wire.Note) ([]any, error) { return nil, nil }),
	func(ctx context.Context, o ClusterOperator, who string, _ *wire.Note) (wire.Snapshot, error) {
		index, err := o.Snapshot(ctx, who)
		return wire.Snapshot{LogIndex: index}, err
	})

// sureOnly is asked of what could end a sale.
type sureOnly struct {
	// true: require is meant although no voter of another zone answers; without it that is a
	// 409 (problem unsure), and nothing is changed.
	Sure bool `query:"sure"`
}

// alone says that no voter of another zone than the leader's answers, or than this
// node's where none leads, though there are some; "" if one does, or no other zone
// votes.
func (s *AdminServer) alone() string {
	status := s.cluster.Status()
	from := cmp.Or(status.Leader, status.Answered)
	at := slices.IndexFunc(status.Nodes, func(n wire.Node) bool { return n.ID == from })
	away, answers := false, false
	for i := range status.Nodes {
		n := &status.Nodes[i]
		if at >= 0 && n.Zone != status.Nodes[at].Zone && n.Kind != wire.KindEdge && !n.Joining {
			away, answers = away || !n.Reachable, answers || n.Reachable
		}
	}
	if state := status.ZoneAck.State; state != wire.ZoneAckBlocked && state != wire.ZoneAckDegraded &&
		(answers || !away) {
		return ""
	}
	return "No voter of another zone answers: with require nothing is granted until one does."
}

var setsZoneAck = operates("zone-ack", func(s *AdminServer, r *http.Request, q *sureOnly,
	b *wire.ZoneAckRequest) ([]any, error) {
	said := []any{"mode", b.Mode}
	switch b.Mode {
	case wire.ZoneAckOff, wire.ZoneAckPrefer:
		return said, nil
	case wire.ZoneAckRequire:
		if q.Sure {
			return said, nil
		}
		return said, s.unsure(r, s.alone())
	}
	return said, refuse(malformed, "The mode must be there: off, prefer or require.")
}, func(ctx context.Context, o ClusterOperator, who string, b *wire.ZoneAckRequest) (wire.ZoneAckMode, error) {
	return wire.ZoneAckMode{Mode: b.Mode}, o.SetZoneAck(ctx, who, b.Mode, b.Note.Note)
})

var prefers = operates("prefer", saying(func(b *wire.PreferRequest) ([]any, error) {
	if b.Zone == nil || *b.Zone != "" && !engine.ValidID(*b.Zone) {
		return nil, refuse(malformed, wrongID("", "zone", "the zone that leadership is to be in",
			"a").Error()+` "" is for none.`)
	}
	return []any{"zone", *b.Zone}, nil
}), func(ctx context.Context, o ClusterOperator, who string, b *wire.PreferRequest) (wire.Preferred, error) {
	return wire.Preferred{Zone: *b.Zone}, o.Prefer(ctx, who, *b.Zone)
})

// drains makes the handler that keeps shoppers away, or lets them come again.
func drains(name string, on bool) adminHandler {
	return operates(name, saying(func(b *wire.DrainRequest) ([]any, error) {
		said := []any{"node", b.Node, "zone", b.Zone}
		switch {
		case (b.Node == "") == (b.Zone == ""):
			return said, refuse(malformed, `Name a node or a zone, one of them: {"node":"a1"} or {"zone":"a"}.`)
		case b.Node != "":
			return said, wrongID(b.Node, "node", "a node", "a1")
		}
		return said, wrongID(b.Zone, "zone", "a zone", "a")
	}), func(ctx context.Context, o ClusterOperator, who string, b *wire.DrainRequest) (wire.Drain, error) {
		d := wire.Drain{Node: b.Node, Zone: b.Zone, On: on}
		return d, o.Drain(ctx, who, d)
	})
}

func promotedOf(plan *wire.PromotePlan, done bool) wire.Promoted {
	j := wire.Promoted{Promoted: done, PromotePlan: *plan}
	for _, list := range []*[]string{&j.Unreachable, &j.Will, &j.CannotKnow} {
		if *list == nil {
			*list = []string{}
		}
	}
	return j
}

// promotes shows what a promote would do, or does what was shown. Who says confirm has a
// plan made and carried out unread.
var promotes = operates("promote", saying(func(b *wire.PromoteRequest) ([]any, error) {
	const maxTokenBytes = 512
	ways := 0
	for _, said := range [...]bool{b.DryRun, b.Token != "", b.Confirm} {
		if said {
			ways++
		}
	}
	said := []any{"zone", b.Zone, "confirmed_unread", b.Confirm}
	switch {
	case ways != 1 && engine.ValidID(b.Zone):
		return said, refuse(malformed, `Say one of "dry_run":true for the plan, "token" of a plan to do what `+
			`it says, or `+
			`"confirm":true to do it unread.`)
	case len(b.Token) > maxTokenBytes:
		return said, refuse(malformed, "The token is none that a plan gave.")
	}
	return said, wrongID(b.Zone, "zone", "the zone that is to take over", "b")
}), func(ctx context.Context, o ClusterOperator, who string, b *wire.PromoteRequest) (j wire.Promoted, err error) {
	if b.DryRun || b.Confirm {
		plan, err := o.PromotePlan(ctx, b.Zone)
		if err != nil || b.DryRun {
			return promotedOf(&plan, false), err
		}
		if plan.Refusal != "" {
			return j, &ClusterRefusal{Message: plan.Refusal}
		}
		b.Token = plan.Token
	}
	plan, err := o.Promote(ctx, who, b.Zone, b.Token)
	return promotedOf(&plan, true), err
})

// backupQuery says what is to be in a backup.
type backupQuery struct {
	StateOnly bool `query:"state_only"` // true: without the ledger's part, whatever becomes of settled orders then.
}

// backup streams the state, and the ledger's part. An answer that breaks off is one that
// failed: its connection is cut, so that nobody takes it for whole.
func (s *AdminServer) backup(w http.ResponseWriter, r *http.Request, q *backupQuery) error {
	if s.operations == nil {
		return aloneHere
	}
	h := w.Header()
	h.Set("Content-Type", "application/octet-stream")
	if r.Method == http.MethodHead {
		return nil
	}
	if !s.backingUp.TryLock() {
		return refuse(conflict, "Another backup is being taken from this node. Wait for it, or ask another node.")
	}
	defer s.backingUp.Unlock()
	h.Set("Content-Disposition", `attachment; filename="doorbuster.backup"`)
	out := &counted{to: w}
	log := s.log.With("operation", "backup", "operator", operatorOf(r), "state_only", q.StateOnly)
	log.Info("cluster operation asked")
	err := s.operations.Backup(r.Context(), out, q.StateOnly)
	switch {
	case err == nil:
		log.Info("cluster operation done", "bytes", out.written)
	case out.written == 0:
		log.Info("cluster operation failed", "error", err)
		h.Del("Content-Disposition")
	default:
		log.Warn("cluster operation broke off", "bytes", out.written, "error", err)
		panic(http.ErrAbortHandler)
	}
	return unknownCluster(err)
}

// counted is an answer of which somebody has to know whether it has begun.
type counted struct {
	to      io.Writer
	written int64
}

func (c *counted) Write(p []byte) (int, error) {
	n, err := c.to.Write(p)
	c.written += int64(n)
	return n, err
}
