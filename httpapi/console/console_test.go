package console

import (
	"bytes"
	"fmt"
	"os"
	"regexp"
	"slices"
	"strings"
	"testing"
)

var scripts = []string{"console.js", "rules.js", "orders.js", "sinks.js", "statements.js", "parcels.js",
	"products.js"}

var (
	exports = regexp.MustCompile(`(?m)^export \{ (.*) \};$`)
	imports = regexp.MustCompile(`(?m)^import \{ (.*) \} from "\./([a-z]+\.js)";$`)
)

// TestImportsLead: what one script takes from another, that gives, and nothing is
// taken or given that nobody uses.
func TestImportsLead(t *testing.T) {
	taken := map[string]bool{}
	for _, name := range scripts {
		script, _, _ := File(name)
		found := imports.FindAllSubmatch(script, -1)
		if len(found) != bytes.Count(script, []byte("\nimport ")) {
			t.Errorf("%s imports in another form", name)
		}
		for _, m := range found {
			from, _, _ := File(string(m[2]))
			given := exports.FindSubmatch(from)
			for _, what := range strings.Split(string(m[1]), ", ") {
				if given == nil || !slices.Contains(strings.Split(string(given[1]), ", "), what) {
					t.Errorf("%s takes %s, which %s does not give", name, what, m[2])
				}
				if uses(script, what) < 2 {
					t.Errorf("%s takes %s and does not use it", name, what)
				}
				taken[string(m[2])+" "+what] = true
			}
		}
	}
	if len(taken) == 0 {
		t.Fatal("no script takes anything")
	}
	for _, name := range scripts {
		script, _, _ := File(name)
		if given := exports.FindSubmatch(script); given != nil {
			for _, what := range strings.Split(string(given[1]), ", ") {
				if !taken[name+" "+what] {
					t.Errorf("%s gives %s, which nobody takes", name, what)
				}
			}
		}
	}
}

// uses counts how often a script has a name as a word of its own.
func uses(script []byte, name string) (n int) {
	return len(regexp.MustCompile(`(^|[^\w$])`+regexp.QuoteMeta(name)+`($|[^\w$])`).FindAll(script, -1))
}

// TestRoutesAreKnown: what the scripts ask for is in the description of the API.
func TestRoutesAreKnown(t *testing.T) {
	document, err := os.ReadFile("../openapi.json")
	if err != nil {
		t.Fatal(err)
	}
	asked := 0
	for _, name := range scripts {
		script, _, _ := File(name)
		for _, m := range regexp.MustCompile(`\bat\("([a-z-]+)"`).FindAllSubmatch(script, -1) {
			asked++
			if !bytes.Contains(document, []byte(`"/admin/v1/`+string(m[1]))) {
				t.Errorf("%s asks for /admin/v1/%s, which there is not", name, m[1])
			}
		}
	}
	if asked == 0 {
		t.Fatal("no script asks for anything")
	}
}

// TestPartsAreReachable: every part with a heading is led to, and every field has a label.
func TestPartsAreReachable(t *testing.T) {
	page, _, _ := File("index.html")
	for _, m := range regexp.MustCompile(`<section id="([a-z-]+)" aria-labelledby`).FindAllSubmatch(page, -1) {
		if !bytes.Contains(page, []byte(`<a href="#`+string(m[1])+`">`)) {
			t.Errorf("nothing leads to %s", m[1])
		}
	}
	fields := regexp.MustCompile(`<(?:input|select)\s[^>]*id="([a-z-]+)"`).FindAllSubmatch(page, -1)
	if len(fields) < 10 {
		t.Fatalf("%d fields", len(fields))
	}
	for _, m := range fields {
		if !bytes.Contains(page, []byte(`<label for="`+string(m[1])+`"`)) {
			t.Errorf("%s has no label", m[1])
		}
	}
}

func TestFiles(t *testing.T) {
	for name, kind := range types {
		body, contentType, ok := File(name)
		if !ok || len(body) == 0 || contentType != kind {
			t.Errorf("%s: %d bytes of %q, there: %t", name, len(body), contentType, ok)
		}
	}
	for _, name := range []string{"", "doc.go", "../console.go", "/index.html"} {
		if _, _, ok := File(name); ok {
			t.Errorf("%q is served", name)
		}
	}
}

// TestPolicyIsKept: the files hold nothing that the policy makes the browser refuse.
func TestPolicyIsKept(t *testing.T) {
	page, _, _ := File("index.html")
	for _, forbidden := range []string{`<script>`, `<style`, ` style=`, ` onclick=`, `https?://`, `javascript:`} {
		if at := regexp.MustCompile(`(?i)` + forbidden).FindIndex(page); at != nil {
			t.Errorf("the page has %q", page[at[0]:at[1]])
		}
	}
	for _, name := range scripts {
		script, _, _ := File(name)
		for _, forbidden := range []string{"innerHTML", "outerHTML", "insertAdjacentHTML", "document.write", "eval(",
			"localStorage", ".style", "http://", "https://"} {
			if bytes.Contains(script, []byte(forbidden)) {
				t.Errorf("%s uses %s", name, forbidden)
			}
		}
		if !bytes.Contains(page, []byte(`src="/console/`+name+`"`)) {
			t.Errorf("the page does not load %s", name)
		}
	}
	style, _, _ := File("console.css")
	for _, forbidden := range []string{"@import", "url("} {
		if bytes.Contains(style, []byte(forbidden)) {
			t.Errorf("the style uses %s", forbidden)
		}
	}
}

// TestPageNamesItsParts: every id that the script asks for is in the page.
func TestPageNamesItsParts(t *testing.T) {
	page, _, _ := File("index.html")
	for _, name := range scripts {
		script, _, _ := File(name)
		found := regexp.MustCompile(`\$\("([a-z-]+)"\)`).FindAllSubmatch(script, -1)
		if len(found) == 0 {
			t.Errorf("%s asks for nothing", name)
		}
		for _, m := range found {
			if !bytes.Contains(page, []byte(`id="`+string(m[1])+`"`)) {
				t.Errorf("the page has no %s", m[1])
			}
		}
	}
}

func ExampleFile() {
	_, contentType, ok := File("index.html")
	fmt.Println(contentType, ok)
	// Output: text/html; charset=utf-8 true
}
