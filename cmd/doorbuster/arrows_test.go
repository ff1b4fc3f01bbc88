package main

import (
	"go/parser"
	"go/token"
	"io/fs"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
)

// room says what one room may know. Test files are held to the same arrows, but
// may use more of the standard library.
type room struct {
	rooms  []string          // of ours, besides its own
	never  map[string]string // of the standard library, a path or a tree, to why not
	but    map[string]string // of those, what may be used nevertheless, to why; below a package: "package: path"
	others []string          // modules of others, by prefix; docs/libraries.md has the reasons
}

const (
	noDisk      = "it keeps nothing on disk"
	noNetwork   = "it talks to nobody"
	sameForAll  = "the same commands must have the same effects on every node"
	portable    = "it runs on whatever Go runs on"
	isNotation  = "it is notation, and does no I/O"
	keepsNoTime = "it knows no time but what commands say"
)

var rooms = map[string]room{
	"engine": {
		never: map[string]string{
			"os": noDisk, "path": noDisk, "net": noNetwork, "log": noNetwork, "sync": sameForAll,
			"context":   keepsNoTime,
			"math/rand": sameForAll, "crypto/rand": sameForAll, "runtime": sameForAll, "syscall": portable,
			"unsafe": portable, "reflect": "grabs and orders are coded by hand",
		},
		but: map[string]string{
			"net/netip": isNotation,
			"reflect": "it walks the fields of what is coded seldom (plans, products, sessions), as they are " +
				"declared",
		},
		others: []string{"github.com/dchest/siphash"},
	},
	"actors": {
		rooms: []string{"engine"},
		never: map[string]string{
			"os": noDisk, "path": noDisk, "net": noNetwork, "syscall": portable, "unsafe": portable,
		},
		but:    map[string]string{"net/netip": isNotation},
		others: []string{"github.com/asynkron/protoactor-go"},
	},
	"wal": {
		never:  map[string]string{"net": noNetwork},
		others: []string{"golang.org/x/sys"},
	},
	"cluster": {
		rooms: []string{"engine", "wal"},
		never: map[string]string{"net/http": "nodes ask each other over gRPC"},
		others: []string{
			"github.com/hashicorp/raft", "github.com/hashicorp/raft-boltdb", "github.com/hashicorp/go-hclog",
			"go.etcd.io/bbolt",
			"github.com/gofrs/flock", "google.golang.org/grpc", "google.golang.org/protobuf", "golang.org/x/sys",
			"golang.org/x/sync", "golang.org/x/time", "github.com/cespare/xxhash", "github.com/FastFilter/xorfilter",
		},
	},
	"examples": {
		never: map[string]string{"os": "it is files, and embeds them", "net": noNetwork},
	},
	"httpapi": {
		rooms: []string{"engine", "examples"},
		never: map[string]string{"os": "doors keep nothing: whatever they take is committed or gone",
			"syscall": portable},
		but: map[string]string{
			"httpapi/auth: os":              "keys are read again when their files change",
			"httpapi/reconcile/archive: os": "reports are kept beside the log, not in it",
			"httpapi/report: os":            "reports of sessions are, too",
			"httpapi/reconcile/daily: os":   "statements come in a folder, too",
			"httpapi/client: syscall":       "a connection that was refused is told from others by its number",
			"httpapi/nowait: syscall":       "net has no write that does not wait for the reader",
		},
		others: []string{
			"github.com/valyala/fasthttp", "github.com/cespare/xxhash", "github.com/golang-jwt/jwt",
			"github.com/dchest/siphash", "github.com/valyala/fastjson",
			"github.com/prometheus/client_golang", "github.com/google/uuid", "golang.org/x/time",
			"github.com/hashicorp/golang-lru/v2", "go.yaml.in/yaml", "github.com/santhosh-tekuri/jsonschema",
			"github.com/invopop/jsonschema",
			"golang.org/x/text", "golang.org/x/sync", "github.com/sony/gobreaker",
			"github.com/altcha-org/altcha-lib-go",
			"github.com/standard-webhooks/standard-webhooks/libraries",
			"github.com/dchest/captcha", "github.com/nyaruka/phonenumbers", "cel.dev/cel-go",
			"github.com/nats-io/nats.go", "github.com/twmb/franz-go",
			"github.com/jackc/pgx", "github.com/go-sql-driver/mysql", "github.com/pressly/goose",
			"go.opentelemetry.io/otel",
		},
	},
	"bench": {
		rooms: []string{"engine", "actors", "wal", "cluster", "httpapi"},
		others: []string{
			"github.com/valyala/fasthttp", "github.com/HdrHistogram", "github.com/schollz/progressbar", "golang.org/x/",
			"github.com/hashicorp/raft", "github.com/hashicorp/go-hclog",
			"github.com/google/uuid", "github.com/mattn/go-isatty", "github.com/redis/go-redis", "go.etcd.io/bbolt",
			"github.com/cespare/xxhash", "github.com/altcha-org/altcha-lib-go",
			"github.com/hashicorp/raft-boltdb", "github.com/hashicorp/raft-wal", // bench/walbench, a module of its own
		},
	},
}

// testOthers may be used by any room's tests.
var testOthers = []string{"pgregory.net/rapid", "github.com/anishathalye/porcupine", "gonum.org/v1/gonum/stat",
	"go.opentelemetry.io/proto/otlp", "google.golang.org/protobuf"}

// TestArrows holds the import arrows of the rooms, as ARCHITECTURE.md draws them.
func TestArrows(t *testing.T) {
	root := filepath.Join("..", "..")
	files := 0
	for name, r := range rooms {
		err := filepath.WalkDir(filepath.Join(root, name), func(path string, d fs.DirEntry, err error) error {
			if err != nil || d.IsDir() || !strings.HasSuffix(path, ".go") {
				return err
			}
			files++
			below, _ := filepath.Rel(root, filepath.Dir(path))
			within := filepath.ToSlash(below)
			parsed, err := parser.ParseFile(token.NewFileSet(), path, nil, parser.ImportsOnly)
			if err != nil {
				return err
			}
			test := strings.HasSuffix(path, "_test.go") || strings.Contains(path, "test"+string(filepath.Separator))
			for _, spec := range parsed.Imports {
				imported, _ := strconv.Unquote(spec.Path.Value)
				if why := r.forbids(within, imported, test); why != "" {
					t.Errorf("%s imports %s: %s", path, imported, why)
				}
			}
			return nil
		})
		if err != nil {
			t.Error(err)
		}
	}
	if files < 30 {
		t.Errorf("only %d files looked at: the rooms are not where they were", files)
	}
}

// forbids says why a package must not import what it imports; "" if it may.
func (r room) forbids(by, imported string, test bool) string {
	name, _, below := strings.Cut(by, "/")
	if own, ok := strings.CutPrefix(imported, "doorbuster/"); ok {
		other, _, _ := strings.Cut(own, "/")
		if below && own == "httpapi" && name == own {
			return "doors ask services, and no service knows a door"
		}
		if other == name || belowAny(other, r.rooms) {
			return ""
		}
		return "the room " + name + " must not know " + other
	}
	if first, _, _ := strings.Cut(imported, "/"); strings.Contains(first, ".") {
		if belowAny(imported, r.others) || test && belowAny(imported, testOthers) {
			return ""
		}
		return "not among the libraries of " + name + "; if it belongs there, add it here and to docs/libraries.md " +
			"with the reason"
	}
	for never, why := range r.never {
		if !test && belowAny(imported, []string{never}) && r.but[imported] == "" && r.but[by+": "+imported] == "" {
			return "the room " + name + " does without " + never + ": " + why
		}
	}
	return ""
}

// belowAny reports whether path is one of paths, or below one.
func belowAny(path string, paths []string) bool {
	for _, p := range paths {
		if p = strings.TrimSuffix(p, "/"); path == p || strings.HasPrefix(path, p+"/") {
			return true
		}
	}
	return false
}

// TestProgramIsWithoutTestsLibraries: what drives a browser is for tests alone.
func TestProgramIsWithoutTestsLibraries(t *testing.T) {
	list, err := exec.Command("go", "list", "-deps", ".").Output()
	if err != nil || !strings.Contains(string(list), "github.com/valyala/fasthttp\n") {
		t.Fatal(err, len(list))
	}
	for _, only := range []string{"github.com/chromedp/", "doorbuster/cmd/doorbuster/tests/"} {
		if strings.Contains(string(list), only) {
			t.Errorf("the program is linked with %s", only)
		}
	}
}

// TestArrowsCatch makes sure that the test above can fail.
func TestArrowsCatch(t *testing.T) {
	for _, c := range []struct{ by, imported string }{
		{"engine", "os"}, {"engine", "os/exec"}, {"engine", "doorbuster/wal"}, {"wal", "doorbuster/engine"},
		{"wal", "github.com/hashicorp/raft"}, {"actors", "doorbuster/cluster"}, {"httpapi", "doorbuster/actors"},
		{"cluster", "doorbuster/httpapi/plan"}, {"actors", "net"}, {"engine", "github.com/valyala/fasthttp"},
		{"httpapi", "doorbuster/bench"}, {"httpapi", "os"}, {"httpapi/plan", "os"},
		{"httpapi/risk", "doorbuster/httpapi"},
		// What comes of an expression is in the log: nothing that replays it may evaluate one.
		{"engine", "cel.dev/cel-go/cel"}, {"actors", "cel.dev/cel-go/cel"}, {"cluster", "cel.dev/cel-go/cel"},
		{"engine", "doorbuster/httpapi/play"}, {"actors", "doorbuster/httpapi/play"},
	} {
		name, _, _ := strings.Cut(c.by, "/")
		if rooms[name].forbids(c.by, c.imported, false) == "" {
			t.Errorf("%s may import %s", c.by, c.imported)
		}
	}
	if why := rooms["httpapi"].forbids("httpapi/auth", "os", false); why != "" {
		t.Error(why)
	}
}

// TestExceptionsAreUsed: what a room may use although it does without it is used, or the
// exception goes.
func TestExceptionsAreUsed(t *testing.T) {
	for name, r := range rooms {
		for but := range r.but {
			by, path, below := strings.Cut(but, ": ")
			if !below {
				by, path = name, but
			}
			used := false
			err := filepath.WalkDir(filepath.Join("..", "..", by), func(file string, d fs.DirEntry, err error) error {
				if err != nil || d.IsDir() || !strings.HasSuffix(file, ".go") || strings.HasSuffix(file, "_test.go") {
					return err
				}
				parsed, err := parser.ParseFile(token.NewFileSet(), file, nil, parser.ImportsOnly)
				if err != nil {
					return err
				}
				for _, spec := range parsed.Imports {
					used = used || spec.Path.Value == strconv.Quote(path)
				}
				return nil
			})
			if err != nil {
				t.Fatal(err)
			}
			if !used {
				t.Errorf("%s does without %s by now", by, path)
			}
		}
	}
}
