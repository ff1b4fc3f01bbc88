package cluster

import (
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strings"
	"sync"
	"time"

	"doorbuster/engine"
)

// alarms are what this node has found that somebody must see to. Each is logged
// once, and shown by every node's status until it is over. Safe for concurrent use.
type alarms struct {
	mu  sync.Mutex
	all []engine.Alarm
}

// raise sets an alarm; it reports whether that is news.
func (a *alarms) raise(x engine.Alarm) bool {
	a.mu.Lock()
	defer a.mu.Unlock()
	at := x.In(a.all)
	if at < 0 {
		a.all = append(a.all, x)
		return true
	}
	news := a.all[at].Detail != x.Detail
	a.all[at].Detail, a.all[at].Advice = x.Detail, x.Advice
	return news
}

// end takes an alarm back; it reports whether there was one.
func (a *alarms) end(name engine.AlarmName, about string) bool {
	return a.retain(func(x *engine.Alarm) bool { return x.Name != name || x.About != about })
}

// retain ends the alarms that stays does not hold for; it reports whether there were.
func (a *alarms) retain(stays func(*engine.Alarm) bool) bool {
	a.mu.Lock()
	defer a.mu.Unlock()
	before := len(a.all)
	a.all = slices.DeleteFunc(a.all, func(x engine.Alarm) bool { return !stays(&x) })
	return len(a.all) < before
}

// alarm raises an alarm about a node.
func (n *Node) alarm(name engine.AlarmName, about, detail string) {
	if n.alarms.raise(engine.Alarm{Name: name, About: about, Since: time.Now(), Detail: detail}) {
		n.logger.Error("ALARM: " + detail)
	}
}

// Alarms are those of this node and all its rooms. It asks no disk.
func (n *Node) Alarms() []engine.Alarm {
	n.alarms.mu.Lock()
	all := slices.Clone(n.alarms.all)
	n.alarms.mu.Unlock()
	if n.cfg.Alarms != nil {
		all = append(all, n.cfg.Alarms()...)
	}
	return all
}

// Bounds of what a pulse tells of alarms.
const (
	maxAlarmsTold = 48
	maxAlarmBytes = 2 << 10
)

// tellAlarms puts alarms into what a pulse tells.
func tellAlarms(all []engine.Alarm, detail map[string]string) {
	for i := range all[:min(len(all), maxAlarmsTold)] {
		a := all[i]
		if len(a.Detail)+len(a.Advice) > maxAlarmBytes {
			a.Detail, a.Advice = strings.ToValidUTF8(a.Detail[:min(len(a.Detail), maxAlarmBytes)], "")+"…", ""
		}
		if text, err := json.Marshal(&a); err == nil {
			detail[fmt.Sprintf("%s%02d", detailAlarm, i)] = string(text)
		}
	}
}

// alarmsTold gives what tellAlarms put there.
func alarmsTold(detail map[string]string) (all []engine.Alarm) {
	for _, key := range slices.Sorted(maps.Keys(detail)) {
		var a engine.Alarm
		if strings.HasPrefix(key, detailAlarm) && json.Unmarshal([]byte(detail[key]), &a) == nil {
			all = append(all, a)
		}
	}
	return all
}

// turnedAway is the latest refusal that this node heard, or said.
type turnedAway struct {
	at  time.Time
	why string
}

// stuckFor is how long a node may stand still behind a cluster that goes on before
// that is an alarm. A large snapshot on its way takes less on a usual network.
const stuckFor = 10 * time.Second

// standing is what watchStuck saw last.
type standing struct {
	applied, last engine.LogIndex
	since         time.Time
}

// watchStuck raises an alarm when this node gets nothing of what the others agree
// on, although they can be reached.
func (n *Node) watchStuck(now time.Time) {
	if turned := n.turned.Load(); turned == nil || now.Sub(turned.at) > stuckFor {
		n.twice.Store(nil)
		n.alarms.end(engine.AlarmWrongDirectory, n.cfg.NodeID)
	}
	at := standing{n.applied.load(), engine.LogIndex(n.log.LastIndex()), now}
	if n.fresh.holds() || n.standing.since.IsZero() || at.applied != n.standing.applied || at.last != n.standing.last {
		n.standing = at
		if n.alarms.end(engine.AlarmNodeBehind, n.cfg.NodeID) {
			n.logger.Info("this node catches up with the cluster again")
		}
		return
	}
	if now.Sub(n.standing.since) < stuckFor {
		return
	}
	why := ""
	if turned := n.turned.Load(); turned != nil && now.Sub(turned.at) < stuckFor {
		why = turned.why
	} else if by, leader := n.saysWhoLeads(now); leader != "" {
		why = fmt.Sprintf("node %s says that %s leads, and nothing comes from there", by, leader)
	}
	if why == "" { // nobody is there, or nobody leads: that is said elsewhere
		return
	}
	n.alarm(engine.AlarmNodeBehind, n.cfg.NodeID,
		fmt.Sprintf("Node %s does not catch up with its cluster: %s. Mend what that names; "+
			"if it stays behind, 'doorbuster cluster remove --node %s', and join it under a new id with an empty "+
			"directory.", n.cfg.NodeID, why, n.cfg.NodeID))
}

// saysWhoLeads gives a node that was heard just now and names another leader than
// this node.
func (n *Node) saysWhoLeads(now time.Time) (by, leader string) {
	n.net.mu.Lock()
	defer n.net.mu.Unlock()
	for id, f := range n.net.follows {
		if now.Sub(f.heard) < reachableFor && f.pulse.Leader != "" && f.pulse.Leader != n.cfg.NodeID {
			return id, f.pulse.Leader
		}
	}
	return "", ""
}
