package cluster

import (
	"errors"
	"strings"
	"testing"
)

// TestFatalSaysWhatIsKnown: every cause says what is known and what to do, and no
// more than that: how far the disk has confirmed only where that is known.
func TestFatalSaysWhatIsKnown(t *testing.T) {
	for cause := range causes {
		for _, alone := range []bool{false, true} {
			told := make(chan error, 2)
			f := &fatal{tell: func(err error) { told <- err }, alone: alone}
			f.fail(cause, errors.New("it broke"))
			f.fail(cause, errors.New("again"))
			var end *Fatal
			if !errors.As(<-told, &end) || end.Cause != cause {
				t.Fatalf("cause %d: %+v", cause, end)
			}
			for _, with := range []string{"it broke. ", ends[cause].known, ". What to do: "} {
				if !strings.Contains(end.Error(), with) || strings.HasSuffix(end.Error(), ": ") {
					t.Errorf("cause %d without %q: %s", cause, with, end)
				}
			}
			if strings.Contains(end.Error(), "index") {
				t.Errorf("cause %d names an index that it does not know: %s", cause, end)
			}
			if end.Confirmed = 17; !strings.Contains(end.Error(), "confirmed everything up to index 17") {
				t.Errorf("cause %d hides the index: %s", cause, end)
			}
			// which no node meets alone
			if alone && strings.Contains(end.Error(), "join") && cause != CauseSuperseded &&
				cause != CauseOlderCopy && cause != CauseContradiction {
				t.Errorf("cause %d: a node that is alone can't join again: %s", cause, end)
			}
		}
	}
}
