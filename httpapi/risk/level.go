package risk

import "fmt"

// Level is what to do with a shopper, from harmless to not at all.
type Level uint8

// Levels, in rising order.
const (
	Allow     Level = iota // as everybody
	Watch                  // as everybody, but written down
	Challenge              // only after a challenge
	Block                  // not at all
)

var levels = [...]string{"allow", "watch", "challenge", "block"}

func (l Level) String() string {
	if int(l) < len(levels) {
		return levels[l]
	}
	return fmt.Sprintf("level %d", uint8(l))
}

// ParseLevel reads a level as String writes it.
func ParseLevel(name string) (Level, error) {
	for l, known := range levels {
		if name == known {
			return Level(l), nil
		}
	}
	return 0, fmt.Errorf("there is no risk level %q; take allow, watch, challenge or block", name)
}

// Source is where a verdict comes from.
type Source uint8

// Sources of verdicts.
const (
	FromService Source = iota // asked for this question, or one like it at the same time
	FromMemory                // what the service said of the same shopper and address a moment ago
	FromConfig                // Config.WhenDown, since the service did not answer
)

var sources = [...]string{"service", "memory", "config"}

func (s Source) String() string {
	if int(s) < len(sources) {
		return sources[s]
	}
	return fmt.Sprintf("source %d", uint8(s))
}
