// Package docs has the documents for people, and a test that does what they say.
package docs

import (
	"bytes"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

// block is a fenced block of a document, or what an HTML comment in front of one says
// has to run first: what a reader of that place has running already.
type block struct {
	language string
	file     string // that the block's text goes into, "" for none
	text     string
	line     int
}

var fenced = regexp.MustCompile("(?ms)^(?:```(\\w*)(?: ([\\w./-]+))?\n(.*?)^```|<!-- first:\n(.*?)^-->)$")

func blocksOf(text string) (blocks []block) {
	for _, at := range fenced.FindAllStringSubmatchIndex(text, -1) {
		part := func(i int) string {
			if at[2*i] < 0 {
				return ""
			}
			return text[at[2*i]:at[2*i+1]]
		}
		b := block{language: part(1), file: part(2), text: part(3), line: strings.Count(text[:at[0]], "\n") + 2}
		if at[8] >= 0 {
			b.language, b.text = "sh", part(4)
		}
		blocks = append(blocks, b)
	}
	return blocks
}

// script is what a reader would type who follows a document from its beginning.
func script(name string, blocks []block) string {
	var b strings.Builder
	commands := 0
	for _, x := range blocks {
		switch {
		case x.language == "sh":
			commands++
			fmt.Fprintf(&b, "echo '# %s:%d'\n%s", name, x.line, x.text)
		case strings.HasPrefix(x.text, "$ "): // with its output below, which may be of differences
			commands++
			line, _, _ := strings.Cut(x.text[2:], "\n")
			fmt.Fprintf(&b, "echo '# %s:%d'\n%s || [ $? -eq 1 ]\n", name, x.line, line)
		case x.file != "":
			fmt.Fprintf(&b, "cat > %s <<'END OF BLOCK'\n%sEND OF BLOCK\n", x.file, x.text)
		}
	}
	if commands == 0 {
		return ""
	}
	return b.String()
}

// A machine of its own: a network where every port is free and the documents' addresses
// are there, empty directories, and an end for whatever was left running.
const machine = `
mount --bind "$PWD" /srv
mount -t tmpfs none /tmp
mount -t tmpfs none /var/lib
cd /srv
ip link set lo up
for a in 10.0.1.1 10.0.1.2 10.0.2.1; do ip addr add $a/32 dev lo; done
PATH=/srv/bin:$PATH
exec bash -euo pipefail ./script
`

func isolated(dir, run string) *exec.Cmd {
	c := exec.Command("unshare", "--user", "--map-root-user", "--net", "--mount", "--pid", "--fork", "--kill-child",
		"bash", "-euc", run)
	c.Dir = dir
	// The demos in a few seconds.
	c.Env = append(os.Environ(), "FANS=4000", "RATE=1000", "KILL_AFTER=1s", "TMPDIR=/tmp",
		"PATH="+os.Getenv("PATH")+":/usr/sbin:/sbin")
	return c
}

// TestCommandsRun runs every command block of every document as it stands, in order,
// each document in a machine of its own.
func TestCommandsRun(t *testing.T) {
	if testing.Short() {
		t.Skip("runs every command block of every document; 'make check' does")
	}
	if out, err := isolated(".", "ip link set lo up && mount -t tmpfs none /var/lib").CombinedOutput(); err != nil {
		t.Skipf("needs namespaces of its own (unshare, ip): %v\n%s", err, out)
	}
	tree := t.TempDir()
	copyTree(t, "..", tree)
	build := exec.Command("make", "build")
	build.Dir = tree
	if out, err := build.CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	documents, err := filepath.Glob("*.md")
	if err != nil {
		t.Fatal(err)
	}
	ran := 0
	for _, name := range append(documents, "../README.md", "../CONTRIBUTING.md") {
		text, err := os.ReadFile(name)
		if err != nil {
			t.Fatal(err)
		}
		commands := script(name, blocksOf(string(text)))
		if commands == "" {
			continue
		}
		ran++
		t.Run(strings.TrimPrefix(name, "../"), func(t *testing.T) {
			dir := t.TempDir()
			copyTree(t, tree, dir)
			if err := os.WriteFile(filepath.Join(dir, "script"), []byte(commands), 0o600); err != nil {
				t.Fatal(err)
			}
			c := isolated(dir, machine)
			var out bytes.Buffer
			c.Stdout, c.Stderr = &out, &out
			if err := c.Run(); err != nil {
				t.Errorf("%v\n%s", err, out.String())
			}
		})
	}
	if ran < 8 {
		t.Errorf("only %d documents have commands", ran)
	}
}

// copyTree copies what a reader has: the repository, without its history.
func copyTree(t *testing.T, from, to string) {
	t.Helper()
	err := filepath.WalkDir(from, func(path string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		name, err := filepath.Rel(from, path)
		at := filepath.Join(to, name)
		switch {
		case err != nil:
			return err
		case d.Name() == ".git":
			if d.IsDir() {
				return fs.SkipDir
			}
			return nil
		case d.IsDir():
			return os.MkdirAll(at, 0o700)
		}
		info, err := d.Info()
		if err != nil {
			return err
		}
		content, err := os.ReadFile(path)
		if err != nil {
			return err
		}
		return os.WriteFile(at, content, info.Mode().Perm())
	})
	if err != nil {
		t.Fatal(err)
	}
}
