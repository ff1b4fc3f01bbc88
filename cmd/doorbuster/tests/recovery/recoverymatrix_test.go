package recovery

import (
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"sync"
	"testing"

	"doorbuster/cmd/doorbuster/nodetest"
)

var (
	recoveryAll   = flag.Bool("recovery.all", false, "try every cell of the recovery matrix")
	recoveryTable = flag.String("recovery.table", "", "document whose table is written anew, with -recovery.all")
)

// column is a setting in which each damage is tried, after a kill and after a stop.
type column struct {
	name    string
	zoneAck string // "" of a node that is alone
	second  bool   // another node, one of the first room, is down from before the last sales
}

var recoveryColumns = []column{
	{"one node", "", false},
	{"three, `require`", "require", false},
	{"three, `prefer`", "prefer", false},
	{"three, `require`, another down", "require", true},
	{"three, `prefer`, another down", "prefer", true},
}

// fate is what a damage must come to.
type fate struct {
	short string         // as the table says it
	says  *regexp.Regexp // what the node must say; nil: it just serves
	// follow does what the node says, which does not serve; nil: it serves as it is.
	follow func(*scene)
	// provoke makes a node that serves say it.
	provoke func(*scene)
	loses   bool // what was told last may be lost
}

var (
	goesOn   = fate{short: "goes on"}
	saysAsOf = fate{short: "goes on; says as of when", says: asOf, loses: true}
	restores = fate{short: "refuses: restore", follow: (*scene).restore, loses: true,
		says: regexp.MustCompile(`doorbuster restore|restore a backup|backup is restored`)}
	rejoins     = fate{short: "refuses: join anew", follow: (*scene).rejoin, says: regexp.MustCompile(`a new id`)}
	wantsItsOwn = fate{short: "refuses: another's", follow: (*scene).putOwn,
		says: regexp.MustCompile(`it belongs to node "\w+", this is node "\w+"; name`)}
	wantsSpace = fate{short: "refuses: free space", follow: (*scene).goOnWithSpace, provoke: (*scene).writeUntilItEnds,
		says: regexp.MustCompile(`free some space`)}
	wantsWriting = fate{short: "refuses: make writable", follow: (*scene).makeWritable,
		says: regexp.MustCompile(`read-only file system; mount it for writing`)}
)

// asOf is what a node says of its state when it starts.
var asOf = regexp.MustCompile(`the state is as of log index (\d+), ([^"]+)`)

// recoveryTelling are the cells that are tried in every run of the tests.
var recoveryTelling = map[string]string{
	"log: last byte but one flipped":          "one node stop",
	"log: segment gone":                       "three, `require`, another down kill",
	"log: last batches cut off":               "one node kill",
	"snapshots: a byte of the newest flipped": "one node kill",
	"ledger: gone":                            "three, `require` kill",
	"ledger: a byte flipped":                  "one node stop",
	"directory: an older copy":                "one node stop",
	"directory: another node's copy":          "one node kill",
	"directory: cloned while running":         "three, `prefer`, another down stop",
	"disk: full, of the log":                  "one node stop",
	"disk: full, of the ledger":               "three, `prefer` stop",
	"disk: read-only":                         "one node kill",
}

// TestRecoveryMatrix: a node whose disk was damaged goes on with nothing lost, or
// refuses with words that help when they are followed, or says as of when its
// state is. No order number is given out twice, and no money pays a stranger.
func TestRecoveryMatrix(t *testing.T) {
	found := recoveryResults{came: map[[3]string]string{}}
	t.Run("cells", func(t *testing.T) {
		for _, d := range recoveryDamages() {
			for _, c := range recoveryColumns {
				for _, end := range []string{"kill", "stop"} {
					if !*recoveryAll && recoveryTelling[d.name] != c.name+" "+end {
						continue
					}
					t.Run(d.name+"/"+c.name+"/"+end, func(t *testing.T) {
						t.Parallel()
						s := newScene(t, d, c)
						defer func() { found.add(d.name, c.name, end, s.verdict(t)) }()
						s.play(end == "kill")
					})
				}
			}
		}
	})
	if *recoveryTable != "" && *recoveryAll {
		table := recoveryText(found.of)
		nodetest.Edit(t, *recoveryTable, func(b []byte) []byte { return []byte(withTable(t, string(b), table)) })
	}
}

// TestRecoveryTable: the document tells what the matrix expects.
func TestRecoveryTable(t *testing.T) {
	text, err := os.ReadFile(filepath.Join(nodetest.Root(), "docs", "recovery.md"))
	if err != nil {
		t.Fatal(err)
	}
	expected := recoveryText(func(d damage, c column) string { return d.fate(c).short })
	if string(text) != withTable(t, string(text), expected) {
		t.Errorf("docs/recovery.md does not have this table; 'make recovery' writes it:\n%s", expected)
	}
}

const tableBegins, tableEnds = "<!-- make recovery writes from here -->\n", "<!-- to here -->\n"

func withTable(t *testing.T, text, table string) string {
	before, rest, begins := strings.Cut(text, tableBegins)
	_, after, ends := strings.Cut(rest, tableEnds)
	if !begins || !ends {
		t.Fatal("the document has no place for the table")
	}
	return before + tableBegins + table + tableEnds + after
}

func recoveryText(of func(damage, column) string) string {
	var b strings.Builder
	b.WriteString("| damage |")
	for _, c := range recoveryColumns {
		fmt.Fprintf(&b, " %s |", c.name)
	}
	b.WriteString("\n|" + strings.Repeat(" --- |", len(recoveryColumns)+1) + "\n")
	for _, d := range recoveryDamages() {
		fmt.Fprintf(&b, "| %s |", d.name)
		for _, c := range recoveryColumns {
			fmt.Fprintf(&b, " %s |", of(d, c))
		}
		b.WriteByte('\n')
	}
	return b.String()
}

// recoveryResults is what the cells came to. Safe for concurrent use.
type recoveryResults struct {
	mu   sync.Mutex
	came map[[3]string]string // by damage, column and ending
}

func (r *recoveryResults) add(damage, column, end, what string) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.came[[3]string{damage, column, end}] = what
}

func (r *recoveryResults) of(d damage, c column) string {
	killed, stopped := r.came[[3]string{d.name, c.name, "kill"}], r.came[[3]string{d.name, c.name, "stop"}]
	if killed == stopped {
		return killed
	}
	return "killed: " + killed + "; stopped: " + stopped
}

func (d damage) fate(c column) fate {
	if c.zoneAck == "" {
		return d.alone
	}
	return d.among
}
