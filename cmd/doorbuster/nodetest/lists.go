package nodetest

import (
	"strings"
)

// Lists runs "doorbuster lists" on a node and expects it to say want.
func (s *Shop) Lists(want string, args ...string) string {
	s.T.Helper()
	out := s.MustRun(append([]string{"lists"}, args...)...)
	if !strings.Contains(out, want) {
		s.T.Fatalf("lists %v: %s; want %q", args, out, want)
	}
	return out
}
