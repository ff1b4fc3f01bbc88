package httpapi

import (
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strings"
	"testing"
)

// TestOpenAPICoversTheRouters: every route is in the document, and nothing else is.
func TestOpenAPICoversTheRouters(t *testing.T) {
	var document struct {
		OpenAPI string
		Paths   map[string]map[string]json.RawMessage
	}
	if err := json.Unmarshal(openAPIDocument, &document); err != nil {
		t.Fatal(err)
	}
	if document.OpenAPI != "3.1.0" {
		t.Errorf("OpenAPI %q", document.OpenAPI)
	}
	described := map[string]string{} // "GET /path" to its tag
	for path, item := range document.Paths {
		for method, raw := range item {
			if method == "parameters" {
				continue
			}
			var operation struct {
				OperationID string
				Tags        []string
				Security    *[]any
				Responses   map[string]any
			}
			if err := json.Unmarshal(raw, &operation); err != nil {
				t.Fatal(err)
			}
			if len(operation.Tags) != 1 || operation.Security == nil || len(operation.Responses) == 0 || operation.OperationID == "" {
				t.Errorf("%s %s lacks a tag, security, responses or an id", method, path)
				continue
			}
			described[strings.ToUpper(method)+" "+path] = operation.Tags[0]
		}
	}
	served := map[string]string{}
	for _, r := range shopperRoutes[routeNone+1:] {
		served[r.method+" "+r.template] = "shopper"
	}
	for _, r := range adminRoutes {
		served[r.method+" "+strings.TrimSuffix(r.pattern, "{$}")] = "operations"
	}
	for _, route := range slices.Sorted(maps.Keys(served)) {
		if described[route] != served[route] {
			t.Errorf("%s of the %s API is not described", route, served[route])
		}
	}
	for _, route := range slices.Sorted(maps.Keys(described)) {
		if served[route] == "" {
			t.Errorf("%s is described and not served", route)
		}
	}
}

// TestOpenAPIReferencesLead: every $ref names something.
func TestOpenAPIReferencesLead(t *testing.T) {
	var document any
	if err := json.Unmarshal(openAPIDocument, &document); err != nil {
		t.Fatal(err)
	}
	var walk func(v any)
	walk = func(v any) {
		switch v := v.(type) {
		case []any:
			for _, x := range v {
				walk(x)
			}
		case map[string]any:
			if to, ok := v["$ref"].(string); ok {
				at := document
				for _, step := range strings.Split(strings.TrimPrefix(to, "#/"), "/") {
					m, _ := at.(map[string]any)
					at = m[step]
				}
				if at == nil {
					t.Errorf("%s leads nowhere", to)
				}
			}
			for _, x := range v {
				walk(x)
			}
		}
	}
	walk(document)
}

func TestOpenAPIIsServed(t *testing.T) {
	w := askAdmin(newTestAdmin(t, &fakeOperator{}), "GET", "/openapi.json", "")
	if w.Code != 200 || w.Body.String() != string(openAPIDocument) {
		t.Error(fmt.Sprint("status ", w.Code))
	}
}
