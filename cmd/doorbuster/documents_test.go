package main

import (
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/spf13/cobra"
)

// documents gives every document of the repository, by its path from the root.
func documents(t *testing.T) map[string]string {
	t.Helper()
	all, root := map[string]string{}, "../.."
	err := filepath.WalkDir(root, func(path string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() || filepath.Ext(path) != ".md" {
			return err
		}
		text, err := os.ReadFile(path)
		name, _ := filepath.Rel(root, path)
		all[filepath.ToSlash(name)] = string(text)
		return err
	})
	if err != nil || len(all) < 10 {
		t.Fatal(len(all), err)
	}
	return all
}

var (
	fence    = regexp.MustCompile("(?ms)^```(\\w*)\n(.*?)^```$")
	link     = regexp.MustCompile(`\]\(([^)\s]+)\)`)
	heading  = regexp.MustCompile(`(?m)^#+ (.*)$`)
	metric   = regexp.MustCompile("`doorbuster_([a-z_]+)[`{]")
	target   = regexp.MustCompile(`(?m)^([a-z-]+):`)
	word     = regexp.MustCompile(`^[a-z][a-z-]*$`)
	goFile   = regexp.MustCompile("`([a-z]+(?:/[a-z]+)*/[A-Za-z_]+\\.(?:go|md))`")
	makes    = regexp.MustCompile("(?m)(?:^|`)make ([a-z-]+)")
	toAnchor = strings.NewReplacer(" ", "-", "`", "", ",", "", "(", "", ")", "", "?", "", ".", "", ":", "")
)

// TestLinksLeadSomewhere: every relative link of every document leads to a file, and to
// a heading of it where it names one.
func TestLinksLeadSomewhere(t *testing.T) {
	all := documents(t)
	anchors := map[string][]string{}
	for name, text := range all {
		for _, h := range heading.FindAllStringSubmatch(fence.ReplaceAllString(text, ""), -1) {
			anchors[name] = append(anchors[name], strings.ToLower(toAnchor.Replace(h[1])))
		}
	}
	links := 0
	for name, text := range all {
		for _, found := range link.FindAllStringSubmatch(fence.ReplaceAllString(text, ""), -1) {
			file, anchor, _ := strings.Cut(found[1], "#")
			if strings.Contains(file, "://") {
				continue
			}
			links++
			to := name
			if file != "" {
				to = filepath.ToSlash(filepath.Join(filepath.Dir(name), file))
			}
			if _, err := os.Stat(filepath.Join("../..", to)); err != nil {
				t.Errorf("%s: %s leads nowhere", name, found[1])
			} else if anchor != "" && !slices.Contains(anchors[to], anchor) {
				t.Errorf("%s: %s has no heading %q, but %q", name, to, anchor, anchors[to])
			}
		}
	}
	if links < 40 {
		t.Errorf("only %d links were found", links)
	}
}

// TestDocumentsNameWhatIsThere: the commands, flags, make targets and metrics that
// documents name are the program's.
func TestDocumentsNameWhatIsThere(t *testing.T) {
	makefile, err := os.ReadFile("../../Makefile")
	if err != nil {
		t.Fatal(err)
	}
	var targets []string
	for _, found := range target.FindAllStringSubmatch(string(makefile), -1) {
		targets = append(targets, found[1])
	}
	source := quotedNames(t)
	commands := 0
	for name, text := range documents(t) {
		if name == "CHANGELOG.md" { // tells also of what has gone
			continue
		}
		for _, found := range metric.FindAllStringSubmatch(text, -1) {
			if !source[found[1]] {
				t.Errorf("%s: no metric is called doorbuster_%s", name, found[1])
			}
		}
		for _, found := range makes.FindAllStringSubmatch(text, -1) {
			if !slices.Contains(targets, found[1]) {
				t.Errorf("%s: no target is called %q", name, found[1])
			}
		}
		for _, block := range fence.FindAllStringSubmatch(text, -1) {
			lines := strings.ReplaceAll(block[2], "\\\n", " ")
			for line := range strings.Lines(lines) {
				if commandIn(t, name, line) {
					commands++
				}
			}
		}
	}
	if commands < 40 {
		t.Errorf("only %d commands were found", commands)
	}
}

// commandIn looks at a line of a code block; false if it has no command of ours.
func commandIn(t *testing.T, document, line string) bool {
	t.Helper()
	line, _, _ = strings.Cut(line, " #")
	words := strings.Fields(strings.TrimPrefix(strings.TrimSpace(line), "$ "))
	if len(words) < 2 || filepath.Base(words[0]) != "doorbuster" {
		return false
	}
	c, rest, err := newRootCommand().Find(words[1:])
	if err != nil || !c.HasParent() || c.HasSubCommands() &&
		(c.RunE == nil || len(rest) > 0 && word.MatchString(rest[0])) {
		t.Errorf("%s: no command: %s (%v)", document, line, err)
		return true
	}
	for _, word := range words {
		flag, isFlag := strings.CutPrefix(word, "--")
		flag, _, _ = strings.Cut(strings.TrimRight(flag, ")]"), "=")
		if isFlag && !hasFlag(c, flag) {
			t.Errorf("%s: %q has no flag --%s", document, c.CommandPath(), flag)
		}
	}
	return true
}

func hasFlag(c *cobra.Command, name string) bool {
	return c.Flags().Lookup(name) != nil || c.InheritedFlags().Lookup(name) != nil
}

// quotedNames gives every name that stands between quotation marks in code that
// serves: among them are all metrics, without what they begin with.
func quotedNames(t *testing.T) map[string]bool {
	t.Helper()
	quoted, names := regexp.MustCompile(`"(?:doorbuster_)?([a-z_]+)"`), map[string]bool{}
	for _, room := range []string{"../../actors", "../../cluster", "../../httpapi", "../../wal", "."} {
		err := filepath.WalkDir(room, func(path string, d fs.DirEntry, err error) error {
			if err != nil || d.IsDir() || filepath.Ext(path) != ".go" || strings.HasSuffix(path, "_test.go") {
				return err
			}
			text, err := os.ReadFile(path)
			for _, found := range quoted.FindAllSubmatch(text, -1) {
				names[string(found[1])] = true
			}
			return err
		})
		if err != nil {
			t.Fatal(err)
		}
	}
	return names
}

// TestFirstPagesAreShort: what a stranger reads first is read at once.
func TestFirstPagesAreShort(t *testing.T) {
	for name, most := range map[string]int{"README.md": 8 << 10, "ARCHITECTURE.md": 12 << 10} {
		if n := len(documents(t)[name]); n > most {
			t.Errorf("%s has %d bytes, over %d: what does not fit belongs in docs", name, n, most)
		}
	}
}

// TestArchitectureNamesWhatIsThere: the files and tests that it and its records name.
func TestArchitectureNamesWhatIsThere(t *testing.T) {
	tests, named := map[string]bool{}, 0
	err := filepath.WalkDir("../..", func(path string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() || !strings.HasSuffix(path, "_test.go") {
			return err
		}
		text, err := os.ReadFile(path)
		for _, found := range regexp.MustCompile(`(?m)^func ((?:Test|Fuzz)\w+)`).FindAllSubmatch(text, -1) {
			tests[string(found[1])] = true
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	for name, text := range documents(t) {
		if name != "ARCHITECTURE.md" && !strings.HasPrefix(name, "docs/design/") {
			continue
		}
		for _, found := range regexp.MustCompile("`((?:Test|Fuzz)[A-Z]\\w+)`").FindAllStringSubmatch(text, -1) {
			if named++; !tests[found[1]] {
				t.Errorf("%s: there is no %s", name, found[1])
			}
		}
		for _, found := range goFile.FindAllStringSubmatch(text, -1) {
			named++
			if _, err := os.Stat(filepath.Join("../..", found[1])); err != nil {
				t.Errorf("%s: there is no %s", name, found[1])
			}
		}
	}
	if named < 50 {
		t.Errorf("only %d files and tests are named", named)
	}
}
