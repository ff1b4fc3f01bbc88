package httpapi

import (
	"cmp"
	"encoding/json"
	"flag"
	"fmt"
	"maps"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

var writeReference = flag.Bool("reference.write", false, "write docs/reference instead of comparing with it")

// TestReferenceIsCurrent holds docs/reference to what both APIs say of themselves; 'make
// docs' writes it.
func TestReferenceIsCurrent(t *testing.T) {
	for name, text := range map[string]string{"api.md": apiReference(t), "errors.md": errorReference()} {
		path := filepath.Join("../docs/reference", name)
		if *writeReference {
			if err := os.WriteFile(path, []byte(text), 0o644); err != nil {
				t.Error(err)
			}
		} else if stands, err := os.ReadFile(path); err != nil || string(stands) != text {
			t.Errorf("%s is not what the APIs have; run 'make docs' (%v)", path, err)
		}
	}
}

const generated = "<!-- Written by 'make docs'. -->\n\n"

func errorReference() string {
	var b strings.Builder
	b.WriteString(generated + "# Errors\n\nWhat goes wrong is answered with a problem (RFC 9457, " +
		"`application/problem+json`): `type` is\n" +
		"`" + problemURN + "` and a word of this table, `title` and `status` go with it, and `detail` says what was " +
		"wrong\n" +
		"and what would be right. A plan or a list that can't be taken has all reasons under `problems`, each with " +
		"its line.\n" +
		"What a rule of the sale decides is no error: a grab is answered with 200 and a `code`.\n\n" +
		"| type | status | title |\n| --- | --- | --- |\n")
	rows := slices.Clone(problemTable[:])
	slices.SortStableFunc(rows, func(x, y problemRow) int { return cmp.Compare(x.status, y.status) })
	for _, p := range rows {
		fmt.Fprintf(&b, "| `%s` | %d | %s |\n", p.slug, p.status, p.title)
	}
	return b.String()
}

// description is what the reference tells of the OpenAPI document.
type description struct {
	Tags  []struct{ Name, Description string }
	Paths map[string]map[string]struct {
		Summary, Description string
		Tags                 []string
		Parameters           []reference
		RequestBody          *struct{ Content map[string]media }
		Responses            map[string]struct {
			reference
			Content map[string]media
		}
	}
	Components struct{ Parameters map[string]reference }
}

type reference struct {
	Ref      string `json:"$ref"`
	Name, In string
}

type media struct {
	Schema struct {
		Ref string `json:"$ref"`
	}
}

// of names what is sent: the type's name, or the media type.
func of(content map[string]media) string {
	var names []string
	for _, kind := range slices.Sorted(maps.Keys(content)) {
		name := path.Base(content[kind].Schema.Ref)
		if name == "." {
			name = kind
		}
		names = append(names, "`"+name+"`")
	}
	return strings.Join(slices.Compact(names), ", ")
}

func apiReference(t *testing.T) string {
	var d description
	if err := json.Unmarshal(openAPIDocument, &d); err != nil {
		t.Fatal(err)
	}
	var b strings.Builder
	b.WriteString(generated + "# The APIs\n\nEvery route, with what it takes and answers. A node serves the whole " +
		"description, types included, at\n" +
		"`/openapi.json` of its operators' address. What goes wrong is in [errors](errors.md).\n")
	cell := strings.NewReplacer("|", `\|`, "\n", " ")
	for _, tag := range d.Tags {
		fmt.Fprintf(&b, "\n## %s\n\n%s\n\n| request | what it does | takes | answers |\n| --- | --- | --- | --- |\n",
			tag.Name, tag.Description)
		for _, at := range slices.Sorted(maps.Keys(d.Paths)) {
			for _, method := range slices.Sorted(maps.Keys(d.Paths[at])) {
				o := d.Paths[at][method]
				if !slices.Contains(o.Tags, tag.Name) {
					continue
				}
				var takes, answers []string
				for _, p := range o.Parameters {
					if p.Ref != "" {
						p = d.Components.Parameters[path.Base(p.Ref)]
					}
					if p.In != "path" {
						takes = append(takes, "`"+p.Name+"`")
					}
				}
				if o.RequestBody != nil {
					takes = append(takes, of(o.RequestBody.Content))
				}
				for _, status := range slices.Sorted(maps.Keys(o.Responses)) {
					if strings.HasPrefix(status, "2") {
						answers = append(answers, strings.TrimSpace(status+" "+of(o.Responses[status].Content)))
					} else if status != "default" {
						answers = append(answers, status)
					}
				}
				says := strings.TrimSpace(o.Summary + ". " + o.Description)
				if strings.HasSuffix(o.Summary, "?") {
					says = o.Summary + " " + o.Description
				}
				fmt.Fprintf(&b, "| `%s %s` | %s | %s | %s |\n", strings.ToUpper(method), at, cell.Replace(says),
					strings.Join(takes, ", "), strings.Join(answers, ", "))
			}
		}
	}
	return b.String()
}
