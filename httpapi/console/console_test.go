package console

import (
	"fmt"
	"maps"
	"os"
	"regexp"
	"slices"
	"strings"
	"testing"
)

// vendored are files of others, as they came.
var vendored = []string{"preact.js", "preact-hooks.js", "htm.js", "uplot.js", "uplot.css", "preact-license.txt",
	"htm-license.txt", "uplot-license.txt"}

// ours gives our scripts by name.
func ours() map[string]string {
	scripts := map[string]string{}
	for name, f := range all() {
		if strings.HasSuffix(name, ".js") && !slices.Contains(vendored, name) {
			scripts[name] = string(f.Body)
		}
	}
	return scripts
}

var (
	imported = regexp.MustCompile(`(?m)^import (?:(\w+)|\{ ([^}]*) \}) from "\./([a-z0-9-]+\.js)";$`)
	loaded   = regexp.MustCompile(`\bimport\(?\s*"\./([a-z0-9-]+\.js)"`)
	exported = regexp.MustCompile(`(?m)^export (?:async )?(?:function|const|let|class) (\w+)`)
	passedOn = regexp.MustCompile(`(?m)^export \{ ([^}]*) \};$`)
)

// given are the names that a script exports; those of others give all that they are asked for.
func given(name, script string) (names []string) {
	for _, m := range exported.FindAllStringSubmatch(script, -1) {
		names = append(names, m[1])
	}
	for _, m := range passedOn.FindAllStringSubmatch(script, -1) {
		names = append(names, strings.Split(m[1], ", ")...)
	}
	if slices.Contains(vendored, name) {
		for _, m := range regexp.MustCompile(`\bexport\s?\{([^}]*)\}`).FindAllStringSubmatch(script, -1) {
			for _, as := range strings.Split(m[1], ",") {
				_, public, renamed := strings.Cut(as, " as ")
				if !renamed {
					public = as
				}
				names = append(names, public)
			}
		}
	}
	return names
}

// TestImportsLead: what one script takes from another, that gives, and what is taken is used.
func TestImportsLead(t *testing.T) {
	taken := map[string]bool{"app.js": true}
	for name, script := range ours() {
		found := imported.FindAllStringSubmatch(script, -1)
		bare := len(regexp.MustCompile(`(?m)^import "`).FindAllString(script, -1))
		if len(found)+bare != len(regexp.MustCompile(`(?m)^import `).FindAllString(script, -1)) {
			t.Errorf("%s imports in another form", name)
		}
		for _, m := range loaded.FindAllStringSubmatch(script, -1) {
			if _, ok := Open(m[1]); !ok {
				t.Errorf("%s loads %s, which there is not", name, m[1])
			}
			taken[m[1]] = true
		}
		for _, m := range found {
			from, ok := Open(m[3])
			if !ok {
				t.Errorf("%s takes from %s, which there is not", name, m[3])
				continue
			}
			taken[m[3]] = true
			gives := given(m[3], string(from.Body))
			for _, what := range strings.Split(m[1]+m[2], ", ") {
				if m[1] == "" && !slices.Contains(gives, what) {
					t.Errorf("%s takes %s, which %s does not give", name, what, m[3])
				}
				if uses(script, what) < 2 {
					t.Errorf("%s takes %s and does not use it", name, what)
				}
			}
		}
	}
	for name := range ours() {
		if !taken[name] {
			t.Errorf("nothing takes %s", name)
		}
	}
}

// uses counts how often a script has a name as a word of its own.
func uses(script, name string) int {
	return len(regexp.MustCompile(`(^|[^\w$.]|\.\.\.)`+regexp.QuoteMeta(name)+`($|[^\w$])`).FindAllString(script, -1))
}

// TestRoutesAreKnown: what the scripts ask for is in the description of the API.
func TestRoutesAreKnown(t *testing.T) {
	document, err := os.ReadFile("../openapi.json")
	if err != nil {
		t.Fatal(err)
	}
	known := map[string]bool{}
	for _, m := range regexp.MustCompile(`"(/admin/v1/[^"]*)"`).FindAllSubmatch(document, -1) {
		known[string(m[1])] = true
	}
	// A variable of a path may stand for a word, as of an action.
	leads := func(parts []string) bool {
		for path := range known {
			steps := strings.Split(strings.TrimPrefix(path, "/admin/v1/"), "/")
			if len(steps) == len(parts) && slices.EqualFunc(steps, parts, func(step, part string) bool {
				return step == part || part == "" || strings.HasPrefix(step, "{") && strings.HasPrefix(part, "{")
			}) {
				return true
			}
		}
		return false
	}
	asked := 0
	for name, script := range ours() {
		for _, m := range regexp.MustCompile(`\bat\(("[^()]*)\)`).FindAllStringSubmatch(script, -1) {
			asked++
			var parts []string
			for _, part := range strings.Split(m[1], ", ") {
				if word, quoted := strings.CutPrefix(part, `"`); quoted {
					parts = append(parts, strings.TrimSuffix(word, `"`))
				} else {
					parts = append(parts, "")
				}
			}
			if !leads(parts) {
				t.Errorf("%s asks for %s, which there is not", name, m[0])
			}
		}
	}
	if asked == 0 {
		t.Fatal("no script asks for anything")
	}
}

// TestViews: the shell's views are those that pages are served for, each with a file and words.
func TestViews(t *testing.T) {
	app := ours()["app.js"]
	shown := regexp.MustCompile(`\{ name: "([a-z]+)", load`).FindAllStringSubmatch(app, -1)
	if len(shown) == 0 {
		t.Fatal("the shell has no views")
	}
	for _, m := range shown {
		if !HasView(m[1]) || !strings.Contains(app, `load: () => import("./`+m[1]+`.js")`) {
			t.Errorf("%s: a page is served: %t", m[1], HasView(m[1]))
		}
		if _, ok := words(t)["view."+m[1]]; !ok {
			t.Errorf("%s has no name", m[1])
		}
	}
}

var (
	word  = regexp.MustCompile(`(?m)^  "([\w.-]+)": \["((?:[^"\\]|\\.)*)", "((?:[^"\\]|\\.)*)"\],$`)
	hole  = regexp.MustCompile(`\{\w+\}`)
	group = regexp.MustCompile("\\bt\\((?:\"([\\w.-]+\\.)\" \\+|`([\\w.-]+\\.)\\$\\{)")
)

// words gives all of them by key.
func words(t *testing.T) map[string][2]string {
	found := map[string][2]string{}
	for name, script := range ours() {
		if !strings.HasPrefix(name, "words") {
			continue
		}
		lines := word.FindAllStringSubmatch(script, -1)
		if len(lines) != len(regexp.MustCompile(`(?m)^  "[\w.-]+":`).FindAllString(script, -1)) {
			t.Errorf("%s has words in another form", name)
		}
		for _, m := range lines {
			if _, twice := found[m[1]]; twice {
				t.Errorf("%s is there twice", m[1])
			}
			found[m[1]] = [2]string{m[2], m[3]}
		}
	}
	return found
}

// TestWords: each key has words in both languages with the same placeholders, each that is used
// exists, and each that exists is used.
func TestWords(t *testing.T) {
	all, used := words(t), map[string]bool{}
	chinese := regexp.MustCompile(`\p{Han}`)
	for key, said := range all {
		en, zh := hole.FindAllString(said[0], -1), hole.FindAllString(said[1], -1)
		slices.Sort(en)
		slices.Sort(zh)
		if !slices.Equal(slices.Compact(en), slices.Compact(zh)) || said[0] == "" || said[1] == "" {
			t.Errorf("%s: %q and %q", key, said[0], said[1])
		}
		if key != "shell.other_language" && chinese.MatchString(said[0]) {
			t.Errorf("%s in English: %q", key, said[0])
		}
	}
	quoted := regexp.MustCompile(`"([a-z]+\.[\w.-]+)"`)
	for name, script := range ours() {
		if strings.HasPrefix(name, "words-") {
			continue
		}
		// Words that another view brings are not there where this one is opened first.
		brought := ours()["words.js"]
		for _, m := range loaded.FindAllStringSubmatch(script, -1) {
			brought += ours()[m[1]]
		}
		for _, m := range group.FindAllStringSubmatch(script, -1) {
			if !strings.Contains(brought, "\n  \""+m[1]+m[2]) {
				t.Errorf("%s says words of %s, and does not bring them", name, m[1]+m[2])
			}
		}
		script = word.ReplaceAllString(script, "")
		for _, m := range regexp.MustCompile(`\bt\("([\w.-]+)"[,)]`).FindAllStringSubmatch(script, -1) {
			if _, ok := all[m[1]]; !ok {
				t.Errorf("%s says %s, for which there are no words", name, m[1])
			} else if !strings.Contains(brought, "\n  \""+m[1]+"\"") {
				t.Errorf("%s says %s, and does not bring its words", name, m[1])
			}
		}
		for _, m := range quoted.FindAllStringSubmatch(script, -1) {
			used[m[1]] = true
		}
		for _, m := range group.FindAllStringSubmatch(script, -1) {
			for key := range all {
				if strings.HasPrefix(key, m[1]+m[2]) {
					used[key] = true
				}
			}
		}
	}
	for key := range all {
		if !used[key] && !grouped(key) {
			t.Errorf("nothing says %s", key)
		}
	}
}

// grouped reports whether a key is of a group that parts.js says.
func grouped(key string) bool {
	groups := []string{"state."}
	for _, script := range ours() {
		for _, m := range regexp.MustCompile(`\bgroup="([\w.-]+)"`).FindAllStringSubmatch(script, -1) {
			groups = append(groups, m[1]+".")
		}
	}
	return slices.ContainsFunc(groups, func(g string) bool { return strings.HasPrefix(key, g) })
}

// TestNoTextBesideTheWords: what people read is said by a key.
func TestNoTextBesideTheWords(t *testing.T) {
	text := regexp.MustCompile(`[^=\s]>\s*([A-Za-z][a-z]+[A-Za-z ,.]*)<`)
	named := regexp.MustCompile(` (?:title|aria-label|placeholder|label|hint)="([^"]*)"`)
	for name, script := range ours() {
		for _, m := range append(text.FindAllStringSubmatch(script, -1), named.FindAllStringSubmatch(script, -1)...) {
			if m[1] != "Doorbuster" && m[1] != "Esc" {
				t.Errorf("%s says %q in its own words", name, m[1])
			}
		}
	}
}

// TestFieldsHaveLabels: an input is a Field's, which has a label.
func TestFieldsHaveLabels(t *testing.T) {
	fields := 0
	for name, script := range ours() {
		if name != "parts.js" && regexp.MustCompile(`<(input|select|textarea)\b`).MatchString(script) {
			t.Errorf("%s has an input that is no Field", name)
		}
		for _, m := range regexp.MustCompile(`<\$\{Field\}([^/]*)/>`).FindAllStringSubmatch(script, -1) {
			if fields++; !strings.Contains(m[1], "label=") && !strings.Contains(m[1], "...${props}") {
				t.Errorf("%s has a field without a label: %s", name, m[0])
			}
		}
	}
	if fields == 0 {
		t.Fatal("there is no field")
	}
}

// TestPolicyIsKept: the files hold nothing that the policy makes the browser refuse, and no
// text gets into the page as markup.
func TestPolicyIsKept(t *testing.T) {
	for name, f := range all() {
		forbidden := []string{`<script>`, `<style`, ` onclick=`, `javascript:`, `\beval\(`, `new Function`, `@import`,
			`url\(`}
		if !slices.Contains(vendored, name) {
			forbidden = append(forbidden, ` style=`, `innerHTML`, `outerHTML`, `insertAdjacentHTML`, `document\.write`,
				`https?://[^w]`)
			if name != "html.js" {
				forbidden = append(forbidden, `localStorage`)
			}
		}
		for _, bad := range forbidden {
			if at := regexp.MustCompile(bad).FindIndex(f.Body); at != nil {
				t.Errorf("%s has %q", name, f.Body[at[0]:at[1]])
			}
		}
	}
}

func TestFiles(t *testing.T) {
	names := slices.Sorted(maps.Keys(all()))
	if len(names) < 20 {
		t.Fatalf("%d files", len(names))
	}
	for _, name := range names {
		if f, ok := Open(name); !ok || len(f.Body) == 0 || f.Type == "" || f.Tag == "" {
			t.Errorf("%s: %d bytes of %q, there: %t", name, len(f.Body), f.Type, ok)
		}
	}
	for _, name := range []string{"", "doc.go", "../console.go", "/index.html"} {
		if _, ok := Open(name); ok {
			t.Errorf("%q is served", name)
		}
	}
	for _, name := range vendored {
		if _, ok := Open(name); !ok {
			t.Errorf("%s is missing", name)
		}
	}
}

func ExampleOpen() {
	f, ok := Open(Page)
	fmt.Println(f.Type, ok, HasView("now"), HasView("admin"))
	// Output: text/html; charset=utf-8 true true false
}

// TestDocumentSaysWhatIsThere: what docs/console.md has in bold is what the console says, to the
// letter, so that it can be followed click by click.
func TestDocumentSaysWhatIsThere(t *testing.T) {
	text, err := os.ReadFile("../../docs/console.md")
	if err != nil {
		t.Fatal(err)
	}
	var said []string
	for _, pair := range words(t) {
		parts := hole.Split(pair[0], -1)
		for i := range parts {
			parts[i] = regexp.QuoteMeta(parts[i])
		}
		if pattern := strings.Join(parts, `.+`); pattern != `.+` {
			said = append(said, pattern)
		}
	}
	known := regexp.MustCompile(`^(` + strings.Join(said, "|") + `)$`)
	bold := regexp.MustCompile(`\*\*(.+?)\*\*`).FindAllStringSubmatch(string(text), -1)
	for _, m := range bold {
		if !known.MatchString(m[1]) && m[1] != "bold" {
			t.Errorf("the console never says %q", m[1])
		}
	}
	if len(bold) < 50 {
		t.Errorf("only %d texts are in bold", len(bold))
	}
}
