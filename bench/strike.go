package bench

import (
	"context"
	"sync"
	"time"
)

// StrikeReport is what came of a node's death in the middle of a rush.
type StrikeReport struct {
	// AtSeconds is when it was struck.
	AtSeconds float64 `json:"at_seconds"`
	// NextGrantMS is from the strike until a unit was granted to a shopper who had
	// come after it, and NextBy the address that granted it; 0 and "" if none was.
	NextGrantMS float64 `json:"next_grant_ms"`
	NextBy      string  `json:"next_by,omitempty"`
	// GapMS is the longest time between two grants in the seconds after the strike.
	GapMS float64 `json:"gap_ms"`
	// Error is why it was not struck.
	Error string `json:"error,omitempty"`
}

// dyingTakes is how long a process that was killed may still answer.
const dyingTakes = 5 * time.Millisecond

// gapFor is how long after a strike the longest gap is looked for: later ones are
// of a crowd that thins out.
const gapFor = 5 * time.Second

// strikeInTime strikes when the configuration says so. What it returns gives the
// report of it, nil without a strike, and is to be called once the crowd has gone.
func (r *crowd) strikeInTime(ctx context.Context) (report func() *StrikeReport) {
	if r.cfg.Strike == nil {
		return func() *StrikeReport { return nil }
	}
	watch := newGrantWatch()
	r.onGrant = watch.heard
	ctx, cancel := context.WithCancel(ctx)
	var p StrikeReport
	var struck sync.WaitGroup
	struck.Go(func() {
		select {
		case <-ctx.Done():
			p.Error = "the rush was over before"
			return
		case <-time.After(r.cfg.StrikeAfter):
		}
		at := r.now()
		p.AtSeconds = at.Seconds()
		watch.arm(at)
		if err := r.cfg.Strike(); err != nil {
			p.Error = err.Error()
			return
		}
		watch.countFrom(r.now() + dyingTakes)
		select {
		case <-ctx.Done():
		case <-time.After(gapFor):
		}
		p.GapMS = millis(watch.gap())
	})
	return func() *StrikeReport {
		cancel()
		struck.Wait()
		byNode, _ := watch.granting()
		watch.disarm()
		for addr, d := range byNode {
			if p.NextBy == "" || millis(d) < p.NextGrantMS {
				p.NextGrantMS, p.NextBy = millis(d), addr
			}
		}
		return &p
	}
}

func (p *StrikeReport) write(s *sheet) {
	switch {
	case p.Error != "":
		s.put("STRIKE\tnone: %s\n", p.Error)
	case p.NextBy == "":
		s.put("STRIKE\tat %.2f s; nothing was granted to anybody who came after it\n", p.AtSeconds)
	default:
		s.put("STRIKE\tat %.2f s; next grant to somebody who came after it: %.0f ms later, by %s; longest gap between "+
			"grants %.0f ms\n", p.AtSeconds, p.NextGrantMS, p.NextBy, p.GapMS)
	}
}
