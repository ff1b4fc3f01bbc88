package console

import (
	"bytes"
	"fmt"
	"regexp"
	"testing"
)

var scripts = []string{"console.js", "rules.js"}

// TestImportsLead: what one script takes from another, that gives.
func TestImportsLead(t *testing.T) {
	from, _, _ := File("console.js")
	to, _, _ := File("rules.js")
	given := regexp.MustCompile(`(?m)^export \{(.*)\};$`).FindSubmatch(from)
	taken := regexp.MustCompile(`(?m)^import \{(.*)\} from "./console.js";$`).FindSubmatch(to)
	if given == nil || taken == nil || !bytes.Equal(given[1], taken[1]) {
		t.Errorf("given %q, taken %q", given, taken)
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
		for _, forbidden := range []string{"innerHTML", "outerHTML", "insertAdjacentHTML", "document.write", "eval(", "localStorage", ".style", "http://", "https://"} {
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
