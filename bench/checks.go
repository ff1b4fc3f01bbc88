package bench

import (
	"fmt"
	"slices"
	"sync"
)

// check is something that a verdict claims, with the name under which reports carry it.
type check struct{ id, claim string }

// The checks.
var (
	checkConservation = check{"conservation", "stock = available + held + paid, none below zero"}
	checkToldIsTaken  = check{"told_is_taken", "units told granted and not released = held + paid"}
	checkNeverOver    = check{"never_oversold", "never more units live than stock"}
	checkNobodyTwice  = check{"nobody_twice", "no shopper over the session's limit"}
	checkOneAnswer    = check{"one_answer_a_key", "one key, one answer; no final no after a yes"}
	checkOrdersKnown  = check{"every_order_known", "every order told is known, with what was told"}
	checkStatesAgree  = check{"states_agree", "every order's state is what its shopper did"}
	checkNobodyUntold = check{"nobody_untold", "no unit taken that nobody was told of"}
	checkRecount      = check{"recount", "the orders add up to the counts"}
	checkStoodStill   = check{"stood_still", "the shop stood still while it was counted"}

	checkStockStays   = check{"stock_stays", "every unit put up is still there, and none besides"}
	checkStateStays   = check{"state_stays", "paid stays paid; nothing that was over comes back"}
	checkOldKeys      = check{"old_keys", "an old key tells its old order, whatever became of it"}
	checkLostResolved = check{"lost_answers_settle", "an answer lost in a kill turns out one way and stays that way"}
	checkNoWrongNo    = check{"no_wrong_no",
		"nobody hears, while nodes die, that their order, their grab or the sale is not there"}
	checkLogWhole = check{"log_whole", "after each kill the log is whole, or torn at its very end"}
	checkReady    = check{"ready_again", "ready again after each start"}
	checkStaysUp  = check{"stays_up", "nodes end only when they are told to"}

	checkEveryNode  = check{"every_node_knows", "every order told is found by its shopper on every node, in one state"}
	checkNodesAgree = check{"nodes_agree", "all nodes count the same at the same log index"}
	checkGrants     = check{"granting_again", "after each kill all nodes that are left grant again"}
	checkBack       = check{"back_again", "each node that was killed comes back and catches up"}

	checkHonestWords = check{"honest_words", "every no that a person heard is one that the rules allow, in its words"}
	checkLineMoves   = check{"line_moves", "nobody's place in line moved back"}
)

// The checks of each workload, in the sequence in which they are reported: those of
// a rush stand before all others.
var (
	rushChecks = []check{checkConservation, checkToldIsTaken, checkNeverOver, checkNobodyTwice, checkOneAnswer,
		checkOrdersKnown, checkStatesAgree, checkNobodyUntold, checkRecount, checkStoodStill}
	crashChecks = []check{checkStockStays, checkStateStays, checkOldKeys, checkLostResolved, checkNoWrongNo,
		checkLogWhole, checkReady, checkStaysUp}
	failoverChecks = []check{checkEveryNode, checkNodesAgree, checkStockStays, checkLostResolved, checkNoWrongNo,
		checkLogWhole, checkGrants, checkBack, checkStaysUp}
	contestChecks = []check{checkHonestWords, checkLineMoves}
)

// Check is one line of the verdict.
type Check struct {
	ID      string `json:"id"`
	Claim   string `json:"claim"`
	OK      bool   `json:"ok"`
	Figures string `json:"figures,omitempty"`
	// Offences is how many there are, Offenders names the first few.
	Offences  int      `json:"offences"`
	Offenders []string `json:"offenders,omitempty"`
}

// Verdict says whether the shop sold exactly.
type Verdict struct {
	OK     bool    `json:"ok"`
	Checks []Check `json:"checks"`
	// Passes is how often the shop was gone through until it stood still.
	Passes int `json:"passes"`
	// OrdersAsked is how many orders were looked up, each as its shopper.
	OrdersAsked int64 `json:"orders_asked"`
}

// namedOffenders is how many offenders of a check are named.
const namedOffenders = 5

// findings are the offences that checks found, and the figures they looked at. Safe
// for concurrent use.
type findings struct {
	mu      sync.Mutex
	count   map[check]int
	named   map[check][]string
	figures map[check]string
}

// newFindings has nothing checked yet.
func newFindings() *findings {
	f := &findings{count: map[check]int{}, named: map[check][]string{}, figures: map[check]string{}}
	for _, c := range rushChecks {
		f.figures[c] = "not checked: the run did not get that far"
	}
	return f
}

// add enters an offence.
func (f *findings) add(c check, format string, args ...any) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.count[c]++
	if len(f.named[c]) < namedOffenders {
		f.named[c] = append(f.named[c], fmt.Sprintf(format, args...))
	}
}

// figure sets a check's figures.
func (f *findings) figure(c check, format string, args ...any) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.figures[c] = fmt.Sprintf(format, args...)
}

// any reports whether there is an offence.
func (f *findings) any() bool {
	f.mu.Lock()
	defer f.mu.Unlock()
	return len(f.count) > 0
}

// verdict sums up a rush's checks and those of a workload besides.
func (f *findings) verdict(besides []check) Verdict {
	f.mu.Lock()
	defer f.mu.Unlock()
	v := Verdict{OK: true}
	for _, c := range slices.Concat(rushChecks, besides) {
		n := f.count[c]
		v.OK = v.OK && n == 0
		v.Checks = append(v.Checks, Check{ID: c.id, Claim: c.claim, OK: n == 0, Figures: f.figures[c], Offences: n,
			Offenders: slices.Clone(f.named[c])})
	}
	return v
}
