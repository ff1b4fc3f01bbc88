package recovery

import (
	"fmt"
	"net"
	"os"
	"strings"
	"testing"

	"doorbuster/cmd/doorbuster/nodetest"
)

// A stop answers what is in flight and loses nothing; who was cut off learns the
// truth by their key.
func TestStopInTheMiddle(t *testing.T) {
	t.Parallel()
	s := nodetest.Open(t, t.TempDir())
	s.Apply(nodetest.Masks(100_000))
	const shoppers = 16
	begun := make(chan struct{}, shoppers)
	type outcome struct {
		told    map[string]nodetest.Order
		unheard string
	}
	go func() {
		for range 5 * shoppers {
			<-begun
		}
		s.Child.Process.Signal(os.Interrupt)
		for range begun { // nobody is to wait for the counter
		}
	}()
	defer close(begun)
	outcomes := nodetest.Crowd(shoppers, func(i int) outcome {
		o := outcome{told: map[string]nodetest.Order{}}
		for n := 0; ; n++ {
			shopper := fmt.Sprintf("s%d-%d", i, n)
			begun <- struct{}{}
			a, err := s.TryGrab(shopper, "k", nodetest.Mask)
			if err != nil || a.Code != "granted" {
				o.unheard = shopper
				if err == nil && a.Status < 500 && a.Code != "processing" {
					t.Errorf("%d %s", a.Status, a.Body)
				}
				return o
			}
			o.told[shopper] = a.Order
		}
	})
	if status := s.Wait(); status != 0 {
		t.Errorf("exit status %d:\n%s", status, s.Logs)
	}
	s = s.Reopen()
	n := int64(0)
	for _, o := range outcomes {
		s.StillThere(o.told)
		n += int64(len(o.told))
		switch a := s.Do("GET", s.HTTP+"/v1/grabs/k", "", "X-Shopper-Id", o.unheard); {
		case a.Status == 200 && a.Order.OrderNo != "":
			n++
		case a.Status != 404:
			t.Errorf("%s: %d %s", o.unheard, a.Status, a.Body)
		}
	}
	if c := s.Counts(nodetest.Mask); c.Held != n {
		t.Errorf("%d are known to hold: %+v", n, c)
	}
}

// Who can't wait for slow shoppers says so again.
func TestSecondInterruptEndsAtOnce(t *testing.T) {
	t.Parallel()
	s := nodetest.Open(t, t.TempDir())
	s.Apply(nodetest.Masks(1))
	alice := s.MustGrant("alice", "k", nodetest.Mask)
	slow, err := net.Dial("tcp", strings.TrimPrefix(s.HTTP, "http://"))
	if err != nil {
		t.Fatal(err)
	}
	defer slow.Close()
	fmt.Fprint(slow, "POST /v1/sessions/day/skus/mask/grab HTTP/1.1\r\n")
	s.Child.Process.Signal(os.Interrupt)
	s.Logs.Await(t, s.Exit, "stopping")
	s.Eventually(func() bool {
		s.Child.Process.Signal(os.Interrupt) // one that comes too soon is still the first
		return len(s.Exit) > 0
	}, s.Logs.String)
	if status := s.Wait(); status == 0 { // 0 is of one who waited for the slow
		t.Errorf("status %d:\n%s", status, s.Logs)
	}
	s.Reopen().StillThere(map[string]nodetest.Order{"alice": alice})
}
