package lab

import (
	"strings"
	"testing"

	"doorbuster/bench"
)

// TestCrowd holds small contests: each must be sold exactly, with every no in
// words that its rules allow. How they end is up to chance, but for what is certain.
func TestCrowd(t *testing.T) {
	defences := []string{"none", "all"}
	if !testing.Short() {
		defences = append(defences, "quota", "draw", "rates+ticket+reservation+waitlist")
	}
	r, out, _ := measured[bench.ContestReport](t, "crowd", "--defences", strings.Join(defences, ","), "--networks",
		"rented",
		"--bots", "200", "--people", "80", "--units", "20", "--requests", "20000", "--people-within", "500ms",
		"--tries", "2",
		"--draw-rounds", "1", "--results", "")
	for _, row := range r.Rows {
		x := row.Rounds[0]
		if x.PeopleUnits+x.BotUnits == 0 || x.Requests == 0 || x.Wait.Count < 80 {
			t.Errorf("%s: %+v", row.Defence.Name, x)
		}
		told := int64(0)
		for _, n := range x.PeopleTold {
			told += n
		}
		if told != 80 {
			t.Errorf("%s: %d people were told something: %v", row.Defence.Name, told, x.PeopleTold)
		}
		// With a ticket asked for, bots on a busy machine may not get as far as the draw.
		if entered := x.BotsTold["entered"] > 0; entered != row.Defence.Draw && (entered || !row.Defence.Ticket) {
			t.Errorf("%s: bots were told %v", row.Defence.Name, x.BotsTold)
		}
		if row.Defence.Ticket != (x.BotWork.Solved > 0) || x.BotWork.Failed+x.PeopleWork.Failed > 0 {
			t.Errorf("%s: bots solved %+v, people %+v", row.Defence.Name, x.BotWork, x.PeopleWork)
		}
	}
	if len(r.Rows) != len(defences) || !strings.Contains(out, "PEOPLE'S SHARE") {
		t.Errorf("it says:\n%s", out)
	}
}

func TestCrowdRefusesNonsense(t *testing.T) {
	refuses(t, "crowd", map[string]string{
		"--defences moat": `"moat" is none of rates, ticket`,
		"--networks moon": `network "moon": want shared or rented`,
		"--units 0":       "units 0: want 1",
		"--known-share 2": "known share 2: want 0 to 1",
	})
}
