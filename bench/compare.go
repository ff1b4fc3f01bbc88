package bench

import (
	"fmt"
	"slices"
	"strings"

	"golang.org/x/perf/benchmath"
)

// CompareConfig says how to compare. Start from [DefaultCompareConfig].
type CompareConfig struct {
	By string `json:"by"` // "rate", "p50" or "p99"
	// Absolute compares the figures themselves, which move with the machine and the
	// hour, and not what part they are, in the same round, of the kind that both hold
	// them against.
	Absolute bool `json:"absolute"`
	// Alpha is how improbable a difference has to be, were it by chance.
	Alpha float64 `json:"alpha"`
}

// DefaultCompareConfig returns the defaults.
func DefaultCompareConfig() CompareConfig { return defaults[CompareConfig]() }

// Settings are all that can be set from outside.
func (c *CompareConfig) Settings() []Setting {
	return []Setting{
		choice(&c.By, "by", byRate, byRate, byP50, byP99),
		free(&c.Absolute, "absolute", false, "compare the figures themselves, not as parts of the baseline's"),
		bounded(&c.Alpha, "alpha", 0.05, 1e-6, 0.5, "differ if chance alone would do that in less of all cases"),
	}
}

// Validate reports every problem at once, joined.
func (c *CompareConfig) Validate() error {
	var all problems
	all.check(c.Settings())
	return all.join()
}

// Comparison says of each kind that two kept results have whether they differ.
type Comparison struct {
	Config CompareConfig  `json:"config"`
	A      Compared       `json:"a"`
	B      Compared       `json:"b"`
	Kinds  []ComparedKind `json:"kinds"`
}

// Compared is one of the two.
type Compared struct {
	File        string      `json:"file"`
	Environment Environment `json:"environment"`
	Only        []string    `json:"only"` // kinds that the other lacks
}

// ComparedKind is what came of a kind.
type ComparedKind struct {
	Kind string `json:"kind"`
	// Of is what A and B are parts of; "" if they are the figures themselves.
	Of string `json:"of"`
	// A and B are the medians of so many rounds.
	A       float64 `json:"a"`
	B       float64 `json:"b"`
	RoundsA int     `json:"rounds_a"`
	RoundsB int     `json:"rounds_b"`
	Ratio   float64 `json:"ratio"` // B by A
	// P is how probable so great a difference is by chance, by the Mann-Whitney U test.
	P       float64 `json:"p"`
	Verdict string  `json:"verdict"`
}

// Verdicts on a kind.
const (
	VerdictSame   = "no difference"
	VerdictFaster = "faster"
	VerdictSlower = "slower"
)

// Compare holds b against a, kind by kind. It is an error if they are of different
// workloads or were measured under different settings, or if there are so few rounds that
// nothing could be shown.
func Compare(a, b *Kept, cfg CompareConfig) (*Comparison, error) {
	if err := cfg.Validate(); err != nil {
		return nil, err
	}
	if was, is := a.Environment.Workload, b.Environment.Workload; was != is {
		return nil, fmt.Errorf("%s is of %s, and %s of %s", a.File, was, b.File, is)
	}
	c := &Comparison{Config: cfg, A: Compared{a.File, a.Environment, nil}, B: Compared{b.File, b.Environment, nil}}
	for _, s := range b.Series {
		if _, both := a.find(s.Kind); !both {
			c.B.Only = append(c.B.Only, s.Kind)
		}
	}
	for _, was := range a.Series {
		is, both := b.find(was.Kind)
		if !both {
			c.A.Only = append(c.A.Only, was.Kind)
			continue
		}
		if was.Under != is.Under {
			return nil, fmt.Errorf("%s: %s had %s, and %s %s", was.Kind, a.File, was.Under, b.File, is.Under)
		}
		k := ComparedKind{Kind: was.Kind}
		measure := measures[cfg.By]
		before, after := slices.Clone(measure(was)), slices.Clone(measure(is))
		if !cfg.Absolute {
			if a.holds(was.Kind) && b.holds(was.Kind) {
				continue // what the others are parts of
			}
			if x, y := a.relative(was, measure), b.relative(is, measure); was.Of == is.Of && x != nil && y != nil {
				k.Of, before, after = was.Of, x, y
			}
		}
		if len(before) == 0 && len(after) == 0 {
			continue // not kept of this kind
		}
		if err := k.decide(before, after, cfg); err != nil {
			return nil, err
		}
		c.Kinds = append(c.Kinds, k)
	}
	if len(c.Kinds) == 0 {
		return nil, fmt.Errorf("%s and %s have no rounds of the same kind", a.File, b.File)
	}
	return c, nil
}

// decide tests whether the rounds of a kind differ.
func (k *ComparedKind) decide(a, b []float64, cfg CompareConfig) error {
	at := benchmath.DefaultThresholds
	at.CompareAlpha = cfg.Alpha
	test := func(a, b []float64) benchmath.Comparison {
		return benchmath.AssumeNothing.Compare(benchmath.NewSample(a, &at), benchmath.NewSample(b, &at))
	}
	// If not even rounds that are all apart show a difference, there are too few of them.
	apart := make([]float64, len(a)+len(b))
	for i := range apart {
		apart[i] = float64(i)
	}
	if least := test(apart[:len(a)], apart[len(a):]).P; least >= cfg.Alpha {
		return fmt.Errorf("%s: %d and %d rounds are too few to differ by more than chance: p would be %.3f at best, "+
			"and has to be under %v", k.Kind, len(a), len(b), least, cfg.Alpha)
	}
	k.A, k.B, k.RoundsA, k.RoundsB = median(a), median(b), len(a), len(b)
	k.Ratio, k.P, k.Verdict = k.B/k.A, test(a, b).P, VerdictSame
	if k.P < cfg.Alpha && k.Ratio != 1 {
		k.Verdict = VerdictFaster
		if (k.Ratio < 1) == (cfg.By == byRate) {
			k.Verdict = VerdictSlower
		}
	}
	return nil
}

// OK reports whether no kind is slower in B.
func (c *Comparison) OK() bool { return len(c.Slower()) == 0 }

// Slower gives the kinds that are.
func (c *Comparison) Slower() (kinds []string) {
	for _, k := range c.Kinds {
		if k.Verdict == VerdictSlower {
			kinds = append(kinds, k.Kind)
		}
	}
	return kinds
}

func (c *Comparison) write(s *sheet) {
	s.put("COMPARE\t%s, by %s\n", c.A.Environment.Workload, c.Config.By)
	s.side("A", c.A)
	s.side("B", c.B)
	if c.Config.Absolute && !c.A.Environment.sameMachine(c.B.Environment) {
		s.put("\tthey are of other machines, or Go versions: the figures themselves say little\n")
	}
	s.put("\nKIND\tMEASURE\tA\tB\tB/A\tP\tROUNDS\tVERDICT\n")
	for _, k := range c.Kinds {
		measure, form := c.Config.By+" of "+k.Of+"'s", "%.3f"
		if k.Of == "" {
			measure, form = c.Config.By+", a second", "%.0f"
			if c.Config.By != byRate {
				measure, form = c.Config.By+", ms", "%.2f"
			}
		}
		s.put("%s\t%s\t"+form+"\t"+form+"\t%.3f\t%.3f\t%d, %d\t%s\n", k.Kind, measure, k.A, k.B, k.Ratio, k.P,
			k.RoundsA, k.RoundsB, k.Verdict)
	}
}

// side puts one of the two.
func (s *sheet) side(name string, x Compared) {
	s.put("%s\t%s\n\t%s\n", name, x.File, x.Environment)
	if len(x.Only) > 0 {
		s.put("\tonly there: %s\n", strings.Join(x.Only, ", "))
	}
}
