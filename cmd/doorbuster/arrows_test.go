package main

import (
	"go/parser"
	"go/token"
	"io/fs"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
)

// room says what one room may know. Test files are held to the same arrows, but
// may use more of the standard library.
type room struct {
	rooms  []string // of ours, besides its own
	never  []string // of the standard library, a path or a tree
	but    []string // of those, what is harmless, and why: net/netip is notation and does no I/O
	others []string // modules of others, by prefix
}

var rooms = map[string]room{
	"engine": {
		never: []string{"os", "net", "sync", "log", "context", "math/rand", "crypto/rand", "runtime", "syscall", "unsafe", "reflect", "path"},
		// reflect walks the fields of what is coded seldom (plans, products, sessions), as
		// they are declared; grabs and orders are coded by hand.
		but:    []string{"net/netip", "reflect"},
		others: []string{"github.com/dchest/siphash"},
	},
	"actors": {
		rooms:  []string{"engine"},
		never:  []string{"os", "net", "syscall", "unsafe", "path"},
		but:    []string{"net/netip"},
		others: []string{"github.com/asynkron/protoactor-go"},
	},
	"wal": {
		never:  []string{"net"},
		others: []string{"golang.org/x/sys"},
	},
	"cluster": {
		rooms: []string{"engine", "wal"},
		never: []string{"net/http"},
		others: []string{"github.com/hashicorp/raft", "github.com/hashicorp/raft-boltdb", "github.com/hashicorp/go-hclog", "go.etcd.io/bbolt", "github.com/gofrs/flock",
			"google.golang.org/grpc", "google.golang.org/protobuf", "golang.org/x/sys", "golang.org/x/sync", "golang.org/x/time", "github.com/cespare/xxhash", "github.com/FastFilter/xorfilter"},
	},
	"httpapi": {
		rooms: []string{"engine"},
		never: []string{"os", "syscall"},
		others: []string{"github.com/valyala/fasthttp", "github.com/cespare/xxhash", "github.com/golang-jwt/jwt", "github.com/valyala/fastjson", "github.com/prometheus/client_golang", "github.com/google/uuid",
			"golang.org/x/time", "github.com/hashicorp/golang-lru/v2", "go.yaml.in/yaml", "github.com/santhosh-tekuri/jsonschema", "golang.org/x/text",
			"golang.org/x/sync", "github.com/sony/gobreaker", "github.com/altcha-org/altcha-lib-go", "github.com/dchest/captcha", "github.com/nyaruka/phonenumbers"},
	},
	"bench": {
		rooms: []string{"engine", "actors", "wal", "cluster", "httpapi"},
		others: []string{"github.com/valyala/fasthttp", "github.com/HdrHistogram", "github.com/schollz/progressbar", "golang.org/x/",
			"github.com/google/uuid", "github.com/mattn/go-isatty", "github.com/redis/go-redis", "go.etcd.io/bbolt", "github.com/cespare/xxhash",
			"github.com/altcha-org/altcha-lib-go"},
	},
}

// testOthers may be used by any room's tests.
var testOthers = []string{"pgregory.net/rapid", "github.com/anishathalye/porcupine", "gonum.org/v1/gonum/stat"}

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
			parsed, err := parser.ParseFile(token.NewFileSet(), path, nil, parser.ImportsOnly)
			if err != nil {
				return err
			}
			test := strings.HasSuffix(path, "_test.go") || strings.Contains(path, "test"+string(filepath.Separator))
			for _, spec := range parsed.Imports {
				imported, _ := strconv.Unquote(spec.Path.Value)
				if why := r.forbids(name, imported, test); why != "" {
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

func (r room) forbids(name, imported string, test bool) string {
	if own, ok := strings.CutPrefix(imported, "doorbuster/"); ok {
		other, _, _ := strings.Cut(own, "/")
		if other == name || within(other, r.rooms) {
			return ""
		}
		return "the room " + name + " must not know " + other
	}
	if first, _, _ := strings.Cut(imported, "/"); strings.Contains(first, ".") {
		if within(imported, r.others) || test && within(imported, testOthers) {
			return ""
		}
		return "not among the libraries of " + name + "; if it belongs there, add it here and to docs/libraries.md with the reason"
	}
	if !test && within(imported, r.never) && !within(imported, r.but) {
		return "the room " + name + " does without it"
	}
	return ""
}

// within tells whether path is one of paths, or below one.
func within(path string, paths []string) bool {
	for _, p := range paths {
		if path == p || strings.HasPrefix(path, strings.TrimSuffix(p, "/")+"/") || strings.HasSuffix(p, "/") && strings.HasPrefix(path, p) {
			return true
		}
	}
	return false
}

// TestArrowsCatch makes sure that the test above can fail.
func TestArrowsCatch(t *testing.T) {
	for _, c := range []struct{ room, imported string }{
		{"engine", "os"}, {"engine", "os/exec"}, {"engine", "doorbuster/wal"}, {"wal", "doorbuster/engine"}, {"wal", "github.com/hashicorp/raft"},
		{"actors", "doorbuster/cluster"}, {"httpapi", "doorbuster/actors"}, {"cluster", "doorbuster/httpapi/plan"}, {"actors", "net"},
		{"engine", "github.com/valyala/fasthttp"}, {"httpapi", "doorbuster/bench"},
	} {
		if rooms[c.room].forbids(c.room, c.imported, false) == "" {
			t.Errorf("%s may import %s", c.room, c.imported)
		}
	}
}
