package bench

import (
	"fmt"
	"math"
)

// ContestReport is what came of the contests.
type ContestReport struct {
	Config      ContestConfig `json:"config"`
	Environment Environment   `json:"environment"`
	Rows        []ContestRow  `json:"rows"`
	// Goals are what the defences are to bring about.
	Goals []ContestGoal `json:"goals"`
}

// ContestRow is a defence against bots from a network.
type ContestRow struct {
	Defence Defence        `json:"defence"`
	Network string         `json:"network"`
	Rounds  []ContestRound `json:"rounds"`
	// PeopleShare is people's part of the units of all rounds.
	PeopleShare float64 `json:"people_share"`
}

// ContestRound is one contest.
type ContestRound struct {
	Requests   int64   `json:"requests"`    // the bots'
	BotSeconds float64 `json:"bot_seconds"` // from the opening until the last of them was answered
	Seconds    float64 `json:"seconds"`     // until the last person had gone, too
	// Units that people and bots have in the end, by the shop's own account.
	PeopleUnits int64   `json:"people_units"`
	BotUnits    int64   `json:"bot_units"`
	PeopleShare float64 `json:"people_share"`
	// PeopleTold counts people by the last they were told; BotsTold all answers to
	// bots.
	PeopleTold map[string]int64 `json:"people_told"`
	BotsTold   map[string]int64 `json:"bots_told"`
	// Missed is how many people were ever told that they missed it.
	Missed     int64       `json:"missed"`
	PeopleWork WorkReport  `json:"people_work"`
	BotWork    WorkReport  `json:"bot_work"`
	Wait       Percentiles `json:"wait"` // people's, for the answer to a grab
	Verdict    Verdict     `json:"verdict"`
}

// ContestGoal is what a defence is to bring about.
type ContestGoal struct {
	Claim   string `json:"claim"`
	OK      bool   `json:"ok"`
	Figures string `json:"figures"`
}

// What the defences are to bring about.
const (
	drawTolerance   = 0.03 // of the fair share, either way
	reservedAndRisk = 0.80
	// judgedUnits is how many units a contest must be about, or chance decides.
	judgedUnits = 200
)

func (r *ContestRow) sumUp() {
	var people, all int64
	for _, x := range r.Rounds {
		people, all = people+x.PeopleUnits, all+x.PeopleUnits+x.BotUnits
	}
	if all > 0 {
		r.PeopleShare = float64(people) / float64(all)
	}
}

// judge holds the rows against the goals. What few units went to is not judged, nor
// a draw that would miss its goal by chance.
func (r *ContestReport) judge() {
	cfg := &r.Config
	if cfg.Units < judgedUnits {
		return
	}
	for i := range r.Rows {
		row := &r.Rows[i]
		claim, least, most := "", 0.0, 1.0
		switch row.Defence.Name {
		case "draw":
			fair := cfg.fairShare()
			claim, least, most = fmt.Sprintf("the draw alone gives people their %.1f%% ± %.0f points", 100*fair,
				100*drawTolerance), fair-drawTolerance, fair+drawTolerance
			spread := drawSpread(cfg.Units, cfg.People,
				cfg.People+cfg.Bots) / float64(cfg.Units) / math.Sqrt(float64(len(row.Rounds)))
			if 3*spread > drawTolerance {
				continue
			}
		case "draw+reservation+risk", "reservation+risk", "all":
			claim, least = fmt.Sprintf("%s gives people %.0f%% or more", row.Defence.Name,
				100*reservedAndRisk), reservedAndRisk
		default:
			continue
		}
		r.Goals = append(r.Goals, ContestGoal{
			Claim: claim + ", " + row.Network + " addresses", OK: row.PeopleShare >= least && row.PeopleShare <= most,
			Figures: fmt.Sprintf("%.1f%%", 100*row.PeopleShare),
		})
	}
}

// OK reports whether every contest was sold exactly, with every no in words that
// its rules allow. Goals are apart: see [ContestReport.Reached].
func (r *ContestReport) OK() bool {
	for _, row := range r.Rows {
		for _, x := range row.Rounds {
			if !x.Verdict.OK {
				return false
			}
		}
	}
	return len(r.Rows) == len(r.Config.Defences)*len(r.Config.Networks)
}

// Reached reports whether the goals were.
func (r *ContestReport) Reached() bool {
	for _, g := range r.Goals {
		if !g.OK {
			return false
		}
	}
	return true
}

func (r *ContestReport) write(s *sheet) {
	c := &r.Config
	s.put("CROWD\t%d bot accounts, %d requests; %d people within %v; %d units; seed %d\n", c.Bots, c.Requests, c.People,
		c.PeopleWithin, c.Units, c.Seed)
	s.put("\trisk lists know %.0f%% of the bots, %.0f%% of the bots reserved; people are %.1f%% of the accounts\n\n",
		100*c.KnownShare, 100*c.ReservedShare, 100*c.fairShare())
	s.put("DEFENCE\tADDRESSES\tPEOPLE'S SHARE\tUNITS PEOPLE/BOTS\tPEOPLE MISSED\tPEOPLE'S WAIT P50/P99\tBOTS' " +
		"REQUESTS/S\tBOTS' WORK\tVERDICT\n")
	for _, row := range r.Rows {
		for n := range row.Rounds {
			x := &row.Rounds[n]
			name, work := row.Defence.Name, "-"
			if len(row.Rounds) > 1 {
				name += fmt.Sprintf(" %d/%d", n+1, len(row.Rounds))
			}
			if x.BotWork.Solved > 0 {
				work = fmt.Sprintf("%d × %.2f ms", x.BotWork.Solved, x.BotWork.MeanMS)
			}
			s.put("%s\t%s\t%.1f%%\t%d/%d\t%d\t%s/%s\t%.0f\t%s\t%s\n", name, row.Network, 100*x.PeopleShare,
				x.PeopleUnits, x.BotUnits, x.Missed, ms(x.Wait.P50), ms(x.Wait.P99), x.perSecond(), work,
				exact(x.Verdict.OK))
		}
		if len(row.Rounds) > 1 {
			s.put("%s\t%s\t%.1f%%\tin all\n", row.Defence.Name, row.Network, 100*row.PeopleShare)
		}
	}
	s.put("\n")
	for _, g := range r.Goals {
		s.put("%s %s\t%s\n", mark(g.OK), g.Claim, g.Figures)
	}
	for _, row := range r.Rows {
		for n := range row.Rounds {
			if v := &row.Rounds[n].Verdict; !v.OK {
				s.put("\n%s, %s addresses:\n", row.Defence.Name, row.Network)
				s.verdict(v)
			}
		}
	}
}

// perSecond is the bots' requests a second.
func (x *ContestRound) perSecond() float64 { return float64(x.Requests) / max(1e-3, x.BotSeconds) }

func (r *ContestReport) kept() kept {
	k := kept{dir: r.Config.ResultsDir, from: &r.Environment}
	for _, row := range r.Rows {
		for _, x := range row.Rounds {
			k.line("Crowd/defence="+row.Defence.Name+"/addresses="+row.Network, x.Requests,
				"%.1f ns/op\t%.2f people-%%\t%.0f req/s\t%.3f p99-ms",
				1e9*x.BotSeconds/float64(max(1, x.Requests)), 100*x.PeopleShare, x.perSecond(), x.Wait.P99)
		}
	}
	return k
}
