package backoffice

import (
	"context"

	"doorbuster/engine"
)

// Sink gives what the group has noted of a sink, as far as this node knows. Read only.
func (bo *Office) Sink(name string) (n *engine.SinkNote) {
	bo.View(func(s *engine.State) { n = s.Sink(name) })
	return n
}

// Sinks gives what the group has noted of sinks, by name. Read only.
func (bo *Office) Sinks() (all []*engine.SinkNote) {
	bo.View(func(s *engine.State) { all = s.Sinks() })
	return all
}

// SetSink notes something of a sink, for an operator or for the node that feeds it.
func (bo *Office) SetSink(ctx context.Context, by engine.By, x engine.SinkChange, note string) error {
	return bo.askBy(ctx, by, engine.Command{Kind: engine.CmdSetSink, Sink: &x, Note: note})
}

// viewedAtOnce is how many orders are looked up under one lock: whoever applies waits.
const viewedAtOnce = 32

// OrdersNow gives orders by number, each as it is at a log index or later, also those that
// have left the state. What is not known is left out.
func (bo *Office) OrdersNow(orderNos []string) (views map[string]*engine.OrderView, asOf engine.LogIndex, err error) {
	views = make(map[string]*engine.OrderView, len(orderNos))
	var elsewhere []string
	for from := 0; from < len(orderNos); from += viewedAtOnce {
		bo.View(func(s *engine.State) {
			if from == 0 {
				asOf = s.LogIndex()
			}
			for _, no := range orderNos[from:min(from+viewedAtOnce, len(orderNos))] {
				ref, known := s.FindOrder(no)
				if v, here := s.View(ref); known && here {
					views[no] = &v
				} else if hasLeft(s, ref) {
					elsewhere = append(elsewhere, no)
				}
			}
		})
	}
	for _, no := range elsewhere {
		v, err := bo.AnyOrder(no)
		if err != nil && !isUnknown(err) {
			return nil, 0, err
		}
		if err == nil {
			views[no] = &v
		}
	}
	return views, asOf, nil
}
