package cluster

import (
	"fmt"
	"strings"
	"time"

	"doorbuster/engine"
)

// horizonSessions is how many sessions a horizon names.
const horizonSessions = 20

// horizon says how far a state knows of orders, for people who have lost what was
// granted after it: which numbers may be out there, and what becomes of them.
func horizon(s *engine.State) string {
	var b strings.Builder
	fmt.Fprintf(&b, "What was granted after log index %d (%s) is not here", s.LogIndex(), s.Now().Wall().UTC().Format(time.RFC3339))
	named, more := 0, 0
	for _, x := range s.Sessions() {
		switch {
		case x.State != engine.Published && x.State != engine.Open:
		case named == horizonSessions:
			more++
		default:
			fmt.Fprintf(&b, "%s of session %s from order %d on", []string{":", ","}[min(named, 1)], x.ID, x.Orders()+1)
			named++
		}
	}
	if more > 0 {
		fmt.Fprintf(&b, ", and of %d sessions more", more)
	}
	b.WriteString(". Shoppers may know the numbers of such orders. Nobody else is given them; a search for one (GET /admin/v1/orders?order_no=…) says that it is lost; and money for one goes back.")
	return b.String()
}
