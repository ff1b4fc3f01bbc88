// Package openapitest holds answers of both APIs against the OpenAPI document, for
// tests: an answer must have a status and a media type that the document names, and a
// JSON body may have no member that its schema lacks.
package openapitest

import (
	"bytes"
	"encoding/json"
	"fmt"
	"mime"
	"slices"
	"strings"
	"sync"

	"github.com/santhosh-tekuri/jsonschema/v6"
)

const location = "file:///openapi.json"

// Document is an OpenAPI 3.1 document. Safe for concurrent use.
type Document struct {
	operations []operation
	responses  map[string]any // components that operations refer to
	// named are the values that a step of a path may have, by its name with braces, where
	// the document lists them.
	named map[string][]any

	mu       sync.Mutex
	compiler *jsonschema.Compiler
	compiled map[string]*jsonschema.Schema
}

type operation struct {
	method    string
	path      []string // split at slashes
	pointer   string   // of its responses
	responses map[string]any
}

// Parse reads a document. Its objects are closed: only members that a schema names may
// be there, also where the document itself leaves room for later ones.
func Parse(text []byte) (*Document, error) {
	parsed, err := jsonschema.UnmarshalJSON(bytes.NewReader(text))
	if err != nil {
		return nil, err
	}
	root := parsed.(map[string]any)
	open := map[any]bool{} // schemas that others are made of
	partsOf(root, open)
	closeObjects(root, "", open)
	d := &Document{compiler: jsonschema.NewCompiler(), compiled: map[string]*jsonschema.Schema{},
		named: map[string][]any{}}
	components := root["components"].(map[string]any)
	d.responses, _ = components["responses"].(map[string]any)
	parameters, _ := components["parameters"].(map[string]any)
	for _, p := range parameters {
		p := p.(map[string]any)
		schema, _ := p["schema"].(map[string]any)
		if values, ok := schema["enum"].([]any); ok && p["in"] == "path" {
			d.named["{"+p["name"].(string)+"}"] = values
		}
	}
	for path, item := range root["paths"].(map[string]any) {
		for method, what := range item.(map[string]any) {
			if method == "parameters" {
				continue
			}
			d.operations = append(d.operations, operation{strings.ToUpper(method), strings.Split(path, "/"),
				"/paths/" + escape(path) + "/" + method + "/responses",
				what.(map[string]any)["responses"].(map[string]any)})
		}
	}
	// Where two paths fit, the one whose names come first is meant.
	slices.SortFunc(d.operations, func(a, b operation) int {
		return slices.CompareFunc(b.path, a.path, func(x, y string) int {
			return strings.Compare(strings.ReplaceAll(x, "{", "\x00"), strings.ReplaceAll(y, "{", "\x00"))
		})
	})
	return d, d.compiler.AddResource(location, parsed)
}

func escape(token string) string {
	return strings.NewReplacer("~", "~0", "/", "~1").Replace(token)
}

// partsOf notes what stands in an allOf: it is closed by the whole.
func partsOf(v any, open map[any]bool) {
	switch v := v.(type) {
	case []any:
		for _, x := range v {
			partsOf(x, open)
		}
	case map[string]any:
		parts, _ := v["allOf"].([]any)
		for _, part := range parts {
			if to, ok := part.(map[string]any)["$ref"]; ok {
				open[to] = true
			}
		}
		for _, x := range v {
			partsOf(x, open)
		}
	}
}

// closeObjects closes what has members, at a pointer, unless it is a part of others.
func closeObjects(v any, pointer string, open map[any]bool) {
	switch v := v.(type) {
	case []any:
		for i, x := range v {
			closeObjects(x, fmt.Sprint(pointer, "/", i), open)
		}
	case map[string]any:
		_, members := v["properties"].(map[string]any)
		_, parts := v["allOf"].([]any)
		_, said := v["additionalProperties"]
		part := strings.HasSuffix(pointer[:max(0, strings.LastIndexByte(pointer, '/'))], "/allOf")
		if (members || parts) && !said && !part && !open["#"+pointer] {
			v["unevaluatedProperties"] = false
		}
		for name, x := range v {
			closeObjects(x, pointer+"/"+escape(name), open)
		}
	}
}

// Check holds an answer against the document; nil too where it has no such path, which
// is then answered by whatever finds no route. contentType is the answer's header; body
// is not compressed.
func (d *Document) Check(method, path string, status int, contentType string, body []byte) error {
	path, _, _ = strings.Cut(path, "?")
	op := d.find(method, path)
	if op == nil || status == 405 || status < 200 {
		return nil
	}
	where := fmt.Sprintf("%s %s: %d", method, path, status)
	pointer, response := op.pointer+"/"+fmt.Sprint(status), op.responses[fmt.Sprint(status)]
	if response == nil && status >= 400 {
		pointer, response = op.pointer+"/default", op.responses["default"]
	}
	if response == nil {
		return fmt.Errorf("%s is not among the answers that the document has: %s", where, body)
	}
	answer := response.(map[string]any)
	if to, ok := answer["$ref"].(string); ok {
		pointer = strings.TrimPrefix(to, "#")
		answer = d.responses[pointer[strings.LastIndexByte(pointer, '/')+1:]].(map[string]any)
	}
	content, _ := answer["content"].(map[string]any)
	if len(body) == 0 && len(content) == 0 || method == "HEAD" {
		return nil
	}
	kind, _, err := mime.ParseMediaType(contentType)
	if err != nil || content[kind] == nil {
		return fmt.Errorf("%s has the type %q, which the document does not have: %s", where, contentType, body)
	}
	schema, err := d.schema(pointer + "/content/" + escape(kind) + "/schema")
	if err != nil {
		return err
	}
	for _, text := range documentsIn(kind, body) {
		value, err := jsonschema.UnmarshalJSON(bytes.NewReader(text))
		if err == nil {
			err = schema.Validate(value)
		}
		if err != nil {
			return fmt.Errorf("%s is not as the document has it: %w: %s", where, err, text)
		}
	}
	return nil
}

// documentsIn gives what of a body is JSON.
func documentsIn(kind string, body []byte) [][]byte {
	switch {
	case kind == "application/json" || strings.HasSuffix(kind, "+json"):
		return [][]byte{body}
	case kind == "application/x-ndjson":
		return slices.DeleteFunc(bytes.Split(body, []byte("\n")), func(line []byte) bool { return !json.Valid(line) })
	}
	return nil
}

func (d *Document) find(method, path string) *operation {
	steps := strings.Split(path, "/")
	for i := range d.operations {
		op := &d.operations[i]
		if op.method == method && len(op.path) == len(steps) && d.fits(op, steps) {
			return op
		}
	}
	return nil
}

func (d *Document) fits(o *operation, steps []string) bool {
	for i, step := range o.path {
		if values := d.named[step]; step != steps[i] &&
			(!strings.HasPrefix(step, "{") || values != nil && !slices.Contains(values, any(steps[i]))) {
			return false
		}
	}
	return true
}

func (d *Document) schema(pointer string) (*jsonschema.Schema, error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.compiled[pointer] == nil {
		schema, err := d.compiler.Compile(location + "#" + pointer)
		if err != nil {
			return nil, err
		}
		d.compiled[pointer] = schema
	}
	return d.compiled[pointer], nil
}
