package bench

import (
	"bufio"
	"cmp"
	"fmt"
	"io"
	"os"
	"runtime"
	"runtime/debug"
	"strings"
	"time"
)

// Environment is where a report's figures come from; without it they mean
// little.
type Environment struct {
	Workload   string    `json:"workload"` // what was run
	Time       time.Time `json:"time"`
	GoVersion  string    `json:"go_version"`
	OS         string    `json:"os"`
	Arch       string    `json:"arch"`
	Kernel     string    `json:"kernel,omitempty"`
	CPU        string    `json:"cpu,omitempty"`
	Cores      int       `json:"cores"`
	GOMAXPROCS int       `json:"gomaxprocs"`
	// Commit is what the binary was built from, where the build recorded it;
	// Modified says that the tree had changes beyond it.
	Commit   string `json:"commit,omitempty"`
	Modified bool   `json:"modified,omitempty"`
	// PGO says that the build used a profile.
	PGO bool `json:"pgo,omitempty"`
}

func environment(workload string) Environment {
	e := Environment{
		Workload:   workload,
		Time:       time.Now().UTC().Truncate(time.Second),
		GoVersion:  runtime.Version(),
		OS:         runtime.GOOS,
		Arch:       runtime.GOARCH,
		Kernel:     firstLine("/proc/sys/kernel/osrelease", ""),
		CPU:        firstLine("/proc/cpuinfo", "model name"),
		Cores:      runtime.NumCPU(),
		GOMAXPROCS: runtime.GOMAXPROCS(0),
	}
	if info, ok := debug.ReadBuildInfo(); ok {
		for _, s := range info.Settings {
			switch s.Key {
			case "vcs.revision":
				e.Commit = s.Value
			case "vcs.modified":
				e.Modified = s.Value == "true"
			case "-pgo":
				e.PGO = true
			}
		}
	}
	return e
}

// sameMachine reports whether figures of both can be compared as they are, as far as can
// be told.
func (e Environment) sameMachine(other Environment) bool {
	return e.CPU == other.CPU && e.Cores == other.Cores && e.GOMAXPROCS == other.GOMAXPROCS && e.OS == other.OS &&
		e.GoVersion == other.GoVersion
}

func (e Environment) String() string {
	commit := fmt.Sprintf("%.10s", cmp.Or(e.Commit, "unknown"))
	if e.Modified {
		commit += " with changes"
	}
	if e.PGO {
		commit += " by a profile"
	}
	return fmt.Sprintf("%s, commit %s, %s, %s, %d cores", e.Time.Format(time.DateTime+" MST"), commit,
		e.GoVersion, cmp.Or(e.CPU, e.OS+"/"+e.Arch), e.Cores)
}

// firstLine reads the first line of a file that starts with name and returns
// what follows its colon, or the whole line where name is empty; "" where
// there is no such file, as off Linux.
func firstLine(path, name string) string {
	f, err := os.Open(path)
	if err != nil {
		return ""
	}
	defer f.Close()
	for lines := bufio.NewScanner(f); lines.Scan(); {
		line := lines.Text()
		if name == "" {
			return line
		}
		if strings.HasPrefix(line, name) {
			_, v, _ := strings.Cut(line, ":")
			return strings.TrimSpace(v)
		}
	}
	return ""
}

// writeBenchfmt writes the configuration lines that benchstat groups by.
func (e Environment) writeBenchfmt(w io.Writer) {
	fmt.Fprintf(w, "goos: %s\ngoarch: %s\npkg: doorbuster/bench\n", e.OS, e.Arch)
	if e.CPU != "" {
		fmt.Fprintf(w, "cpu: %s\n", e.CPU)
	}
	fmt.Fprintf(w, "go: %s\ncores: %d\n", e.GoVersion, e.Cores)
	if e.Commit != "" {
		fmt.Fprintf(w, "commit: %s\n", e.Commit)
	}
}
