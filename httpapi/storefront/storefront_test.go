package storefront

import (
	"bytes"
	"fmt"
	"os"
	"regexp"
	"slices"
	"strings"
	"testing"
)

func open(t *testing.T) *Site {
	t.Helper()
	s, err := Open(Config{})
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// TestSmall: whoever opens the page in a rush waits for no more than this.
func TestSmall(t *testing.T) {
	const most = 60_000
	sent := 0
	for _, f := range open(t).files {
		sent += len(f.Zipped)
	}
	if sent > most {
		t.Errorf("the files have %d bytes as they are sent, %d at most", sent, most)
	}
}

// TestPolicyIsKept: the files hold nothing that the policy makes the browser refuse, and
// no text gets into the page as markup.
func TestPolicyIsKept(t *testing.T) {
	for name, f := range open(t).files {
		for _, forbidden := range []string{`<script>`, `<style`, ` style=`, ` onclick=`, `javascript:`, `innerHTML`,
			`outerHTML`, `insertAdjacentHTML`, `document\.write`, `\beval\(`, `localStorage`, `@import`, `url\(`,
			`http://`, `https://[^"]`} {
			if at := regexp.MustCompile(`(?i)` + forbidden).FindIndex(f.Body); at != nil {
				t.Errorf("%s has %q", name, f.Body[at[0]:at[1]])
			}
		}
	}
}

var (
	imported = regexp.MustCompile(`(?s)\bimport \{ ([^}]*) \} from "\./([a-z]+\.js)";`)
	exported = regexp.MustCompile(`(?m)^export (?:async )?(?:function|const|let|class) (\w+)`)
)

// TestImportsLead: what one script takes from another, that gives, and what is taken is
// used.
func TestImportsLead(t *testing.T) {
	s, taken := open(t), map[string]bool{}
	for name, f := range s.files {
		found := imported.FindAllSubmatch(f.Body, -1)
		if len(found) != bytes.Count(f.Body, []byte(`" from`))+bytes.Count(f.Body, []byte(`} from "`)) {
			t.Errorf("%s imports in another form", name)
		}
		for _, m := range found {
			from, ok := s.File(string(m[2]))
			if !ok {
				t.Errorf("%s imports %s, which there is not", name, m[2])
			}
			var given []string
			for _, e := range exported.FindAllSubmatch(from.Body, -1) {
				given = append(given, string(e[1]))
			}
			for _, what := range regexp.MustCompile(`\w+`).FindAllString(string(m[1]), -1) {
				if !slices.Contains(given, what) {
					t.Errorf("%s takes %s, which %s does not give", name, what, m[2])
				}
				if len(regexp.MustCompile(`\b`+what+`\b`).FindAll(f.Body, -1)) < 2 {
					t.Errorf("%s takes %s and does not use it", name, what)
				}
				taken[string(m[2])+" "+what] = true
			}
		}
	}
	for name, f := range s.files {
		for _, e := range exported.FindAllSubmatch(f.Body, -1) {
			if !taken[name+" "+string(e[1])] {
				t.Errorf("%s gives %s, which nobody takes", name, e[1])
			}
		}
	}
	page, _ := s.File("")
	for _, m := range regexp.MustCompile(`(?:href|src)="/shop/([^"]+)"`).FindAllSubmatch(page.Body, -1) {
		if _, ok := s.File(string(m[1])); !ok {
			t.Errorf("the page loads %s, which there is not", m[1])
		}
	}
}

// TestWordsAreThere: what the scripts say is there in both languages, and said by somebody.
func TestWordsAreThere(t *testing.T) {
	s := open(t)
	words, _ := s.File("words.js")
	known := map[string]bool{}
	for _, m := range regexp.MustCompile(`(?m)(?:^  |\], )(\w+): \[("(?:[^"]*)",\s*"([^"]*)")`).
		FindAllSubmatch(words.Body, -1) {
		known[string(m[1])] = true
	}
	if len(known) < 60 {
		t.Fatalf("only %d words were found", len(known))
	}
	var all []byte
	for name, f := range s.files {
		all = append(all, f.Body...)
		for _, m := range regexp.MustCompile(`\bsay\("(\w+)"`).FindAllSubmatch(f.Body, -1) {
			if !known[string(m[1])] {
				t.Errorf("%s says %s, for which there are no words", name, m[1])
			}
		}
	}
	for word := range known {
		if n := len(regexp.MustCompile(`"`+word+`"`).FindAll(all, -1)); n == 0 && !stateWords[word] {
			t.Errorf("nobody says %s", word)
		}
	}
}

// stateWords are said of orders, by what their state is called.
var stateWords = map[string]bool{"held": true, "paid": true, "shipped": true, "received": true, "completed": true,
	"expired": true, "cancelled": true, "voided": true, "refund_due": true, "refunded": true, "waiting": true,
	"entered": true, "left_": true, "passed": true}

// TestRoutesAreKnown: what the scripts ask for is in the description of the API.
func TestRoutesAreKnown(t *testing.T) {
	document, err := os.ReadFile("../openapi.json")
	if err != nil {
		t.Fatal(err)
	}
	asked := 0
	for name, f := range open(t).files {
		for _, m := range regexp.MustCompile("[\"`]/v1/([a-z]+)").FindAllSubmatch(f.Body, -1) {
			asked++
			if !bytes.Contains(document, []byte(`"/v1/`+string(m[1]))) {
				t.Errorf("%s asks for /v1/%s, which there is not", name, m[1])
			}
		}
	}
	if asked < 8 {
		t.Errorf("the scripts ask for %d things", asked)
	}
}

func TestThemes(t *testing.T) {
	for name, c := range map[string]struct{ theme, says string }{
		"none":      {"", ""},
		"variables": {":root { --brand: #00529b; }", ""},
		"most":      {strings.Repeat(" ", MaxThemeBytes), ""},
		"more":      {strings.Repeat(" ", MaxThemeBytes+1), "at most 16384"},
		"picture":   {"\x89PNG\x00", "not a text"},
		"import":    {`@IMPORT "x.css";`, "@import"},
	} {
		_, err := Open(Config{Theme: []byte(c.theme)})
		if (err == nil) != (c.says == "") || err != nil && !strings.Contains(err.Error(), c.says) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func ExampleSite_File() {
	s, err := Open(Config{Theme: []byte(":root { --brand: #00529b; }")})
	if err != nil {
		panic(err)
	}
	f, ok := s.File("theme.css")
	fmt.Println(f.Type, ok)
	// Output: text/css; charset=utf-8 true
}
