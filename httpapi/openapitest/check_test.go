package openapitest

import (
	"strings"
	"testing"
)

const small = `{"openapi":"3.1.0","paths":{
 "/things/{id}":{"parameters":[],"get":{"responses":{
  "200":{"content":{"application/json":{"schema":{"$ref":"#/components/schemas/Thing"}}}},
  "204":{"description":"nothing"},
  "default":{"$ref":"#/components/responses/Other"}}}},
 "/things/all":{"get":{"responses":{"200":{"content":{"application/x-ndjson":{"schema":{"$ref":"#/components/schemas/Part"}}}}}}}},
 "components":{
  "responses":{"Other":{"content":{"application/problem+json":{"schema":{"type":"object","properties":{"status":{"type":"integer"}}}}}}},
  "schemas":{
   "Part":{"type":"object","properties":{"name":{"type":"string"}},"required":["name"]},
   "Thing":{"allOf":[{"$ref":"#/components/schemas/Part"}],"type":"object","properties":{"parts":{"type":"array","items":{"type":"object","properties":{"units":{"type":"integer"}}}}}}}}}`

// TestCheck: a member that is renamed in code alone is found, as deep as it may be, and
// so is a status or a type that the document does not have.
func TestCheck(t *testing.T) {
	d, err := Parse([]byte(small))
	if err != nil {
		t.Fatal(err)
	}
	for name, c := range map[string]struct {
		path       string
		status     int
		kind, body string
		want       string // of the error; "" for none
	}{
		"as it is": {"/things/a", 200, "application/json; charset=utf-8",
			`{"name":"a","parts":[{"units":1}]}`, ""},
		"a renamed member":  {"/things/a", 200, "application/json", `{"title":"a"}`, "name"},
		"one more":          {"/things/a", 200, "application/json", `{"name":"a","size":1}`, "size"},
		"one more, inside":  {"/things/a", 200, "application/json", `{"name":"a","parts":[{"unit":1}]}`, "unit"},
		"another type":      {"/things/a", 200, "text/plain", `a`, "text/plain"},
		"no type":           {"/things/a", 200, "", `a`, `type ""`},
		"nothing":           {"/things/a", 204, "", ``, ""},
		"a problem":         {"/things/a", 404, "application/problem+json", `{"status":404}`, ""},
		"a strange problem": {"/things/a", 404, "application/problem+json", `{"code":404}`, "code"},
		"another success":   {"/things/a", 201, "application/json", `{}`, "not among"},
		"cut off":           {"/things/a", 200, "application/json", `{"name":`, "not as"},
		"lines": {"/things/all", 200, "application/x-ndjson", "{\"name\":\"a\"}\n{\"name\":\"b\"}\n",
			""},
		"a strange line": {"/things/all", 200, "application/x-ndjson", "{\"name\":\"a\"}\n{\"nam\":\"b\"}\n",
			"nam"},
		"no path of the table": {"/thing", 200, "application/json", `{"x":1}`, ""},
	} {
		t.Run(name, func(t *testing.T) {
			err := d.Check("GET", c.path, c.status, c.kind, []byte(c.body))
			if (err == nil) != (c.want == "") || err != nil && !strings.Contains(err.Error(), c.want) {
				t.Errorf("%v, want %q", err, c.want)
			}
		})
	}
}
