package main

import (
	"fmt"
	"strings"
	"testing"

	"doorbuster/cmd/doorbuster/nodetest"
)

// TestListsAskBeforeTheyEndASale: a change of a list that would bar more than a set
// share of the last shoppers changes nothing, says the share, and is done with --yes;
// a list that meets so many is an alarm until it does not any more.
func TestListsAskBeforeTheyEndASale(t *testing.T) {
	s := openShop(t, t.TempDir(), "--trusted-proxies", "127.0.0.1")
	s.Apply(nodetest.Masks(500))
	const shoppers = 50
	comes := func(i int) string {
		return s.Do("POST", s.ListingURL(nodetest.Mask)+"/grab", "", "X-Shopper-Id", fmt.Sprint("ann-", i),
			"X-Shopper-Phone", fmt.Sprintf("+86138001380%02d", i), "X-Forwarded-For", fmt.Sprintf("10.%d.0.1", i)).Code
	}
	s.Lists("it names 50 now", "import", "allowlists/vips",
		nodetest.ListFile(t, "vips.txt", each(shoppers, "ann-%d")...))
	s.Lists("it names 1 now", "add", "risk/ips", "10.1.0.0/16") // nobody came yet: who knows
	s.Lists("0 rows added or changed, 1 removed", "remove", "risk/ips", "10.1.0.0/16")
	for i := range shoppers {
		if got := comes(i); got != "granted" {
			t.Fatalf("shopper %d: %s", i, got)
		}
	}
	asks := func(share string, args ...string) {
		t.Helper()
		status, out, errs := runTool(t, "", append(append([]string{"lists"}, args...), "--admin", s.Admin)...)
		if status != 1 || out != "" || !strings.Contains(errs, share) || !strings.Contains(errs, "this node saw") ||
			!strings.Contains(errs, "--yes") {
			t.Errorf("lists %v: status %d: %s%s; want %q", args, status, out, errs, share)
		}
	}
	// The last shoppers' places are shared, so that a few may have lost theirs: the
	// share of all of them is known, of some nearly.
	asks("100%", "add", "risk/ips", "10.0.0.0/8")
	asks("100%", "add", "risk/ips", "0.0.0.0/0") // which asks anyway
	asks("100%", append([]string{"add", "risk/ips"}, each(shoppers, "10.%d.0.0/16")...)...)
	asks("100%", "import", "risk/phones", nodetest.ListFile(t, "phones.txt", each(shoppers, "+86 138 0013 80%02d")...),
		"--level", "challenge")
	asks("100%", "import", "risk/shoppers", nodetest.ListFile(t, "bots.txt", each(shoppers, "ann-%d")...), "--replace")
	asks("100%", "import", "allowlists/vips", nodetest.ListFile(t, "one.txt", "bob"), "--replace")
	asks("100%", append([]string{"remove", "allowlists/vips"}, each(shoppers, "ann-%d")...)...)
	asks("100%", "forget", "allowlists/vips")
	for _, list := range []string{"risk/ips", "risk/phones", "risk/shoppers"} {
		s.Lists(list+": 0", "show", list)
	}
	s.Lists("allowlists/vips: 50", "show", "allowlists/vips")
	alarmNow(s, "No alarms", "list_meets_many")

	s.Lists("it names 1 now", "add", "risk/ips", "10.0.0.0/8", "--level", "watch") // which lets in
	s.Lists("it names 1 now", "add", "risk/shoppers", "ann-1")                     // one of 50 is not many
	s.Lists("it names 1 now", "add", "risk/ips", "10.0.0.0/8", "--yes")
	s.Raised("list_meets_many", "risk/ips")
	alarmNow(s, "The list risk/ips challenges or blocks 100% of the shoppers", "")
	// What bars nobody anew is done unasked: the same again, a milder level.
	s.Lists("it names 1 now", "add", "risk/ips", "10.0.0.0/8")
	s.Lists("it names 1 now", "add", "risk/ips", "10.0.0.0/8", "--level", "challenge")
	s.Lists("1 removed; it names 0 now", "remove", "risk/ips", "10.0.0.0/8")
	// Small changes count together.
	s.Lists("it names 1 now", "add", "risk/ips", "10.1.0.0/16")
	s.Lists("it names 2 now", "add", "risk/ips", "10.2.0.0/16")
	asks("% of the shoppers", "add", "risk/ips", "10.3.0.0/16", "10.4.0.0/16", "10.5.0.0/16")
	s.Lists("0 rows added or changed, 2 removed", "remove", "risk/ips", "10.1.0.0/16", "10.2.0.0/16")
	s.Healed("list_meets_many")
	s.Lists("forgotten", "forget", "allowlists/vips", "--yes")
}

// each fills numbers from 0 into a format.
func each(n int, format string) (all []string) {
	for i := range n {
		all = append(all, fmt.Sprintf(format, i))
	}
	return all
}

// alarmNow waits until "doorbuster alarms" says want, and not never unless that is "".
func alarmNow(s *nodetest.Shop, want, never string) {
	s.T.Helper()
	s.Eventually(func() bool {
		status, out, errs := runTool(s.T, "", "alarms", "--admin", s.Admin)
		if status != 0 {
			s.T.Fatalf("alarms: status %d: %s", status, errs)
		}
		return strings.Contains(out, want) && (never == "" || !strings.Contains(out, never))
	}, func() string { return "the alarms do not say " + want })
}
