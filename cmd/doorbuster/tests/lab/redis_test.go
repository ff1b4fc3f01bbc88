package lab

import (
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"doorbuster/bench"
	"doorbuster/cmd/doorbuster/nodetest"
)

// TestBenchBesideRedis measures what a shop would use instead, too, where it is there:
// the same run says how much of it, or how many times it, a granted grab reaches.
func TestBenchBesideRedis(t *testing.T) {
	if _, err := exec.LookPath("redis-server"); err != nil {
		t.Skip("no redis-server")
	}
	redislab := filepath.Join(filepath.Dir(nodetest.Command(t).Path), "redislab")
	build := exec.Command("go", "build", "-o", redislab, "doorbuster/bench/redislab")
	if out, err := build.CombinedOutput(); err != nil {
		t.Fatal(err, string(out))
	}
	t.Cleanup(func() { _ = os.Remove(redislab) })
	for _, c := range []struct {
		redis string
		flags []string
	}{
		{bench.KindRedis, nil},
		{bench.KindRedisReplica, []string{"--kinds", "hello,granted,redis-replica"}}, // on one node it is quicker
	} {
		r, out, progress := measured[bench.HTTPReport](t, append([]string{"http", "--round-time", "20ms", "--warm-up",
			"10ms", "--connections", "16", "--results", ""}, c.flags...)...)
		if !slices.Contains(r.Config.Kinds, c.redis) || strings.Count(progress, " "+c.redis+" ") != r.Config.Rounds {
			t.Errorf("%s was not measured: %s", c.redis, progress)
		}
		for _, k := range r.Kinds {
			held := k.OfRedisLeast > 0 && k.OfRedisLeast <= k.OfRedis && k.OfRedis <= k.OfRedisMost
			if held != (k.Kind == bench.KindGranted) || k.Unexpected > 0 {
				t.Errorf("%+v", k)
			}
		}
		if !strings.Contains(out, "OF REDIS") {
			t.Errorf("it says:\n%s", out)
		}
	}
}
