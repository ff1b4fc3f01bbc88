package nodetest

import (
	"strings"
)

// Lists runs "doorbuster lists" on a node and expects it to say want.
func (s *Shop) Lists(want string, args ...string) string {
	s.T.Helper()
	status, out, errs := s.Program.Tool(s.T, "", append(append([]string{"lists"}, args...), "--admin", s.Admin)...)
	if status != 0 || !strings.Contains(out, want) {
		s.T.Fatalf("lists %v: status %d: %s%s; want %q", args, status, out, errs, want)
	}
	return out
}
