package operate

import (
	"strings"
	"testing"

	"doorbuster/httpapi/wire"
)

// TestZoneAckText: every state has its words.
func TestZoneAckText(t *testing.T) {
	for state, want := range map[string]string{
		wire.ZoneAckOff: "off: a quorum", wire.ZoneAckHolding: "require, holding", wire.ZoneAckDegraded: "DEGRADED",
		wire.ZoneAckBlocked: "nothing is granted", wire.ZoneAckUnknown: "not known yet",
		wire.ZoneAckSingleZone: "of one zone", "new": "require, new",
	} {
		if got := zoneAckText(wire.ZoneAck{Mode: "require", State: state}); !strings.Contains(got, want) {
			t.Errorf("%s: %s", state, got)
		}
	}
}
