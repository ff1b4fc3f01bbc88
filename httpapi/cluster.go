package httpapi

import (
	"cmp"
	"context"
	"errors"
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
func (s *AdminServer) clusterStatus(w http.ResponseWriter, r *http.Request) {
	s.reply(w, r, http.StatusOK, s.statusNow())
}

func (s *AdminServer) alarms(w http.ResponseWriter, r *http.Request) {
	s.reply(w, r, http.StatusOK, wire.Alarms{Alarms: s.statusNow().Alarms})
}

// statusNow gives the status with all alarms: in front those that it tells itself.
func (s *AdminServer) statusNow() *wire.Cluster {
	status := s.cluster.Status()
	if status.Nodes == nil {
		status.Nodes = []wire.Node{}
	}
	status.Alarms = AllAlarms(&status)
	return &status
}

// AllAlarms gives those that a status tells itself, and behind them its Alarms.
func AllAlarms(c *wire.Cluster) []engine.Alarm {
	all := alarmsOf(c)
	for i := range c.Alarms {
		if c.Alarms[i].In(all) < 0 {
			all = append(all, c.Alarms[i])
		}
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
		alarms = append(alarms, engine.Alarm{Name: name, About: about, Detail: fmt.Sprintf(format, args...), Advice: advice})
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
			"Zone ack is blocked: no voter of another zone answers, so nothing is granted; what is known is shown and refused "+
				"as before.")
	case wire.ZoneAckSingleZone:
		if c.ZoneAck.Mode == wire.ZoneAckRequire {
			alarm(engine.AlarmZoneAck, "", "", "Zone ack is require, but all voters are of one zone: there is no other zone "+
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
		switch {
		case !n.Reachable:
			alarm(engine.AlarmNodeUnreachable, n.ID, "", "Node %s of zone %s can't be reached%s.", n.ID, n.Zone, why)
		case why != "":
			alarm(engine.AlarmNodeFails, n.ID, "", "Node %s%s.", n.ID, why)
		}
		if n.Reachable && n.Generation != 0 && n.Generation != c.Generation {
			alarm(engine.AlarmOldGeneration, n.ID, "Take it out, and let it join from scratch under a new id.",
				"Node %s is of generation %d, the cluster of %d.", n.ID, n.Generation, c.Generation)
		}
		if off := n.ClockOffsetMS; n.Reachable && (off > clockAlarmMS || off < -clockAlarmMS) {
			alarm(engine.AlarmClockOff, n.ID, "", "The clock of node %s is %+.0f ms off: it can't lead until it is within %d "+
				"ms.", n.ID, off, clockAlarmMS)
		}
	}
	if quorum := voters/2 + 1; voters > 0 && reached < quorum {
		alarm(engine.AlarmNoQuorum, "", "", "Only %d of %d voters can be reached from here, and a quorum needs %d.",
			reached, voters, quorum)
	}
	if len(c.Nodes) > 0 && serving == 0 {
		alarm(engine.AlarmNobodyServes, "", "", "No node takes new shoppers: all are drained, witnesses, or out of reach.")
	}
	return alarms
}

// operation is what one request asks of the cluster.
type operation struct {
	name string
	said []any // what goes into the log beside the name, as slog takes it
	// do makes the change and gives what the answer says.
	do func(ctx context.Context, who string) (any, error)
}

// operates tells whether there is a cluster to change, or answers that there is
// none itself and gives false.
func (s *AdminServer) operates(w http.ResponseWriter, r *http.Request) bool {
	if s.operations != nil {
		return true
	}
	s.problem(w, r, conflict, "This node is alone: it has no cluster to change. Name one under cluster in its config.")
	return false
}

// operate does what was asked and audits it: before, because what is asked may
// end this process, and after, with what became of it.
func (s *AdminServer) operate(w http.ResponseWriter, r *http.Request, o operation) {
	log := s.log.With("operation", o.name, "operator", operatorOf(r)).With(o.said...)
	log.Info("cluster operation asked")
	answer, err := o.do(r.Context(), operatorOf(r))
	if err != nil {
		log.Info("cluster operation failed", "error", err)
		s.clusterFailed(w, r, err)
		return
	}
	log.Info("cluster operation done")
	s.reply(w, r, http.StatusOK, answer)
}

// clusterFailed answers an operation that ended in err.
func (s *AdminServer) clusterFailed(w http.ResponseWriter, r *http.Request, err error) {
	var refusal *ClusterRefusal
	switch {
	case errors.As(err, &refusal) && refusal.Invalid:
		s.problem(w, r, badOperation, refusal.Message)
	case errors.As(err, &refusal):
		s.problem(w, r, conflict, refusal.Message)
	case errors.Is(err, engine.ErrOutcomeUnknown), errors.Is(err, context.DeadlineExceeded), errors.Is(err, context.Canceled):
		s.problem(w, r, unavailable, "It is not known yet whether this was done. Look at /admin/v1/cluster before asking again.")
	default:
		s.failed(w, r, err)
	}
}

func (s *AdminServer) join(w http.ResponseWriter, r *http.Request) {
	var request struct { // wire.Member's, not embedded: a wrong member is told by its name
		noted
		ID   string `json:"id"`
		Zone string `json:"zone"`
		Kind string `json:"kind"`
		Peer string `json:"peer"`
	}
	var m wire.Member
	if !s.operates(w, r) || !s.decode(w, r, &request, func() string {
		m = wire.Member{ID: request.ID, Zone: request.Zone, Kind: request.Kind, Peer: request.Peer}
		if m.Kind == "" {
			m.Kind = wire.KindVoter
		}
		if wrong := wrongMember(&m); wrong != "" {
			return wrong
		}
		return request.wrong()
	}) {
		return
	}
	s.operate(w, r, operation{"join", []any{"node", m.ID, "zone", m.Zone, "kind", m.Kind, "peer", m.Peer, "note", request.Note},
		func(ctx context.Context, who string) (any, error) { return m, s.operations.Join(ctx, who, m) }})
}

func wrongMember(m *wire.Member) string {
	switch {
	case !engine.ValidID(m.ID):
		return needsID("id", "a node", "a3")
	case !engine.ValidID(m.Zone):
		return needsID("zone", "a zone", "a")
	case m.Kind != wire.KindVoter && m.Kind != wire.KindWitness && m.Kind != wire.KindEdge:
		return "The kind must be voter, witness or edge; voter unless it is said."
	}
	return wrongPeer(m.Peer)
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
		return !(c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z' || c >= '0' && c <= '9' || c == '.' || c == '-' || c == '_')
	}) {
		return wanted + "; a host is an address or a name of letters, digits, dots and dashes."
	}
	return ""
}

func needsID(member, of, such string) string {
	return fmt.Sprintf("The %s must be there: the id of %s, such as %q; up to %d letters, digits, dots, dashes and underscores.", member, of, such, engine.MaxIDBytes)
}

func (s *AdminServer) removeNode(w http.ResponseWriter, r *http.Request) {
	var request struct {
		noted
		Node string `json:"node"`
	}
	if !s.operates(w, r) || !s.decode(w, r, &request, func() string {
		if !engine.ValidID(request.Node) {
			return needsID("node", "the node to take out", "a3")
		}
		return request.wrong()
	}) {
		return
	}
	s.operate(w, r, operation{"remove", []any{"node", request.Node, "note", request.Note}, func(ctx context.Context, who string) (any, error) {
		return map[string]string{"removed": request.Node}, s.operations.Remove(ctx, who, request.Node)
	}})
}

func (s *AdminServer) transfer(w http.ResponseWriter, r *http.Request) {
	var request struct {
		noted
		To   string `json:"to"`
		From string `json:"from"`
	}
	if !s.operates(w, r) || !s.decode(w, r, &request, func() string {
		switch {
		case request.To == "" && request.From == "":
			return "There must be to, the node that is to lead, or from, the node that is to lead no longer: the best of the others follows it."
		case request.To != "" && !engine.ValidID(request.To):
			return needsID("to", "the node that is to lead", "a2")
		case request.From != "" && !engine.ValidID(request.From):
			return needsID("from", "the node that is to lead no longer", "a1")
		}
		return request.wrong()
	}) {
		return
	}
	s.operate(w, r, operation{"transfer", []any{"from", request.From, "to", request.To, "note", request.Note}, func(ctx context.Context, who string) (any, error) {
		leader, err := s.operations.Transfer(ctx, who, request.From, request.To)
		return map[string]string{"leader": leader}, err
	}})
}

func (s *AdminServer) snapshot(w http.ResponseWriter, r *http.Request) {
	var request noted
	if !s.operates(w, r) || !s.decode(w, r, &request, func() string { return request.wrong() }) {
		return
	}
	s.operate(w, r, operation{"snapshot", []any{"note", request.Note}, func(ctx context.Context, who string) (any, error) {
		index, err := s.operations.Snapshot(ctx, who)
		return map[string]uint64{"log_index": index}, err
	}})
}

// sureOnly is asked of what could end a sale.
type sureOnly struct {
	Sure bool `query:"sure"` // it is meant, whatever it ends
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
	if state := status.ZoneAck.State; state != wire.ZoneAckBlocked && state != wire.ZoneAckDegraded && (answers || !away) {
		return ""
	}
	return "No voter of another zone answers: with require nothing is granted until one does."
}

func (s *AdminServer) setZoneAck(w http.ResponseWriter, r *http.Request, q *sureOnly) {
	var request struct {
		noted
		Mode string `json:"mode"`
	}
	if !s.operates(w, r) || !s.decode(w, r, &request, func() string {
		switch request.Mode {
		case wire.ZoneAckOff, wire.ZoneAckPrefer, wire.ZoneAckRequire:
			return request.wrong()
		}
		return "The mode must be there: off, prefer or require."
	}) || !q.Sure && request.Mode == wire.ZoneAckRequire && s.asks(w, r, s.alone()) {
		return
	}
	s.operate(w, r, operation{"zone-ack", []any{"mode", request.Mode, "note", request.Note}, func(ctx context.Context, who string) (any, error) {
		return map[string]string{"mode": request.Mode}, s.operations.SetZoneAck(ctx, who, request.Mode, request.Note)
	}})
}

func (s *AdminServer) prefer(w http.ResponseWriter, r *http.Request) {
	var request struct {
		noted
		Zone *string `json:"zone"`
	}
	if !s.operates(w, r) || !s.decode(w, r, &request, func() string {
		if request.Zone == nil || *request.Zone != "" && !engine.ValidID(*request.Zone) {
			return needsID("zone", "the zone that leadership is to be in", "a") + ` "" is for none.`
		}
		return request.wrong()
	}) {
		return
	}
	s.operate(w, r, operation{"prefer", []any{"zone", *request.Zone, "note", request.Note}, func(ctx context.Context, who string) (any, error) {
		return map[string]string{"zone": *request.Zone}, s.operations.Prefer(ctx, who, *request.Zone)
	}})
}

// drain makes the handler that keeps shoppers away, or lets them come again.
func drain(name string, on bool) func(*AdminServer, http.ResponseWriter, *http.Request) {
	return func(s *AdminServer, w http.ResponseWriter, r *http.Request) {
		var request struct {
			noted
			Node string `json:"node"`
			Zone string `json:"zone"`
		}
		if !s.operates(w, r) || !s.decode(w, r, &request, func() string {
			switch {
			case (request.Node == "") == (request.Zone == ""):
				return `Name a node or a zone, one of them: {"node":"a1"} or {"zone":"a"}.`
			case request.Node != "" && !engine.ValidID(request.Node):
				return needsID("node", "a node", "a1")
			case request.Zone != "" && !engine.ValidID(request.Zone):
				return needsID("zone", "a zone", "a")
			}
			return request.wrong()
		}) {
			return
		}
		d := wire.Drain{Node: request.Node, Zone: request.Zone, On: on}
		s.operate(w, r, operation{name, []any{"node", d.Node, "zone", d.Zone, "note", request.Note},
			func(ctx context.Context, who string) (any, error) { return d, s.operations.Drain(ctx, who, d) }})
	}
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

// promote shows what a promote would do, or does what was shown. Who says
// confirm has a plan made and carried out unread.
func (s *AdminServer) promote(w http.ResponseWriter, r *http.Request) {
	const maxTokenBytes = 512
	var request struct {
		noted
		Zone    string `json:"zone"`
		DryRun  bool   `json:"dry_run"`
		Token   string `json:"token"`
		Confirm bool   `json:"confirm"`
	}
	if !s.operates(w, r) || !s.decode(w, r, &request, func() string {
		ways := 0
		for _, said := range [...]bool{request.DryRun, request.Token != "", request.Confirm} {
			if said {
				ways++
			}
		}
		switch {
		case !engine.ValidID(request.Zone):
			return needsID("zone", "the zone that is to take over", "b")
		case ways != 1:
			return `Say one of "dry_run":true for the plan, "token" of a plan to do what it says, or "confirm":true to do it unread.`
		case len(request.Token) > maxTokenBytes:
			return "The token is none that a plan gave."
		}
		return request.wrong()
	}) {
		return
	}
	if request.DryRun {
		plan, err := s.operations.PromotePlan(r.Context(), request.Zone)
		if err != nil {
			s.clusterFailed(w, r, err)
			return
		}
		s.reply(w, r, http.StatusOK, promotedOf(&plan, false))
		return
	}
	s.operate(w, r, operation{"promote", []any{"zone", request.Zone, "confirmed_unread", request.Confirm, "note", request.Note},
		func(ctx context.Context, who string) (any, error) {
			token := request.Token
			if request.Confirm {
				plan, err := s.operations.PromotePlan(ctx, request.Zone)
				if err != nil {
					return nil, err
				}
				if plan.Refusal != "" {
					return nil, &ClusterRefusal{Message: plan.Refusal}
				}
				token = plan.Token
			}
			plan, err := s.operations.Promote(ctx, who, request.Zone, token)
			if err != nil {
				return nil, err
			}
			return promotedOf(&plan, true), nil
		}})
}

// backupQuery says what is to be in a backup.
type backupQuery struct {
	StateOnly bool `query:"state_only"`
}

// backup streams the state, and the ledger's part. An answer that breaks off is one that failed: its
// connection is cut, so that nobody takes it for whole.
func (s *AdminServer) backup(w http.ResponseWriter, r *http.Request, q *backupQuery) {
	if !s.operates(w, r) {
		return
	}
	h := w.Header()
	h.Set("Content-Type", "application/octet-stream")
	if r.Method == http.MethodHead {
		return
	}
	if !s.backingUp.TryLock() {
		s.problem(w, r, conflict, "Another backup is being taken from this node. Wait for it, or ask another node.")
		return
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
		s.clusterFailed(w, r, err)
	default:
		log.Warn("cluster operation broke off", "bytes", out.written, "error", err)
		panic(http.ErrAbortHandler)
	}
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
