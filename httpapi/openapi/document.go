package openapi

import (
	_ "embed"
	"encoding/json"
	"fmt"
	"maps"
	"reflect"
	"regexp"
	"slices"
	"strconv"
	"strings"

	"github.com/invopop/jsonschema"

	"doorbuster/httpapi/input"
	"doorbuster/httpapi/wire"
)

// base is the document without what is made.
//
//go:embed base.json
var base []byte

// problems are the statuses of problems that have a component, by its name.
var problems = map[string]string{"404": "NotFound", "408": "TooSlow", "409": "Conflict", "410": "Gone",
	"413": "TooLarge",
	"422": "Unprocessable", "429": "TooOften", "503": "Unavailable"}

type object = map[string]any

// Document makes the document of operations. Comments are read in folders, by the path of
// their package; lists are the words of enums that a tag names.
func Document(operations []wire.Operation, folders map[string]string, lists map[string][]string) ([]byte, error) {
	sources, err := readSources(folders)
	if err != nil {
		return nil, err
	}
	var document object
	if err := json.Unmarshal(base, &document); err != nil {
		return nil, err
	}
	m := &maker{sources: sources, lists: lists, schemas: object{}, parameters: object{}, paths: object{}}
	components := document["components"].(object)
	m.parameters = components["parameters"].(object)
	for i := range operations {
		m.operation(&operations[i])
	}
	components["schemas"] = m.schemas
	document["paths"] = m.paths
	if len(m.wrong) > 0 {
		return nil, fmt.Errorf("%s", strings.Join(m.wrong, "\n"))
	}
	text, err := json.MarshalIndent(document, "", " ")
	return append(text, '\n'), err
}

// maker makes one document.
type maker struct {
	sources                    *sources
	lists                      map[string][]string
	schemas, parameters, paths object
	ids                        []string
	wrong                      []string
}

// operation adds one.
func (m *maker) operation(op *wire.Operation) {
	if slices.Contains(m.ids, op.ID) || op.ID == "" || op.Summary == "" {
		m.wrong = append(m.wrong, fmt.Sprintf("%s %s: the id %q stands twice, or it lacks a summary", op.Method,
			op.Path, op.ID))
	}
	m.ids = append(m.ids, op.ID)
	o := object{"operationId": op.ID, "tags": []string{op.Tag}, "summary": op.Summary,
		"security": security(op.Security)}
	if op.Description != "" {
		o["description"] = op.Description
	}
	var parameters []any
	for _, name := range pathParameter.FindAllStringSubmatch(op.Path, -1) {
		parameters = append(parameters, m.inPath(op, name[1]))
	}
	for _, name := range op.Headers {
		parameters = append(parameters, reference("parameters", name))
	}
	if op.Query != nil {
		parameters = append(parameters, m.query(op.Query)...)
	}
	if len(parameters) > 0 {
		o["parameters"] = parameters
	}
	if op.Body != nil {
		o["requestBody"] = object{"required": !op.Optional, "content": m.content(op.Body)}
		for _, v := range op.Body[wire.JSON] {
			m.close(v)
		}
	}
	responses := object{"default": reference("responses", "Other")}
	for _, a := range op.Answers {
		says := a.Says
		if says == "" {
			says = m.says(a.Bodies)
		}
		answer := object{"description": says}
		if len(a.Bodies) > 0 {
			answer["content"] = m.content(a.Bodies)
		}
		if len(a.Headers) > 0 {
			headers := object{}
			for _, name := range a.Headers {
				headers[name] = object{"schema": object{"type": "string"}}
			}
			answer["headers"] = headers
		}
		responses[strconv.Itoa(a.Status)] = answer
	}
	for _, status := range strings.Fields(op.Problems) {
		if problems[status] == "" {
			m.wrong = append(m.wrong, fmt.Sprintf("%s: there is no problem of status %s", op.ID, status))
		}
		responses[status] = reference("responses", problems[status])
	}
	o["responses"] = responses
	path, _ := m.paths[op.Path].(object)
	if path == nil {
		path = object{}
		m.paths[op.Path] = path
	}
	path[strings.ToLower(op.Method)] = o
}

var pathParameter = regexp.MustCompile(`\{(\w+)\}`)

// inPath gives a parameter of the path: the component of its name, for its part of the
// API if there is one.
func (m *maker) inPath(op *wire.Operation, name string) object {
	steps := strings.Split(op.Path, "/")
	at := slices.Index(steps, "{"+name+"}")
	for _, component := range []string{strings.Trim(steps[max(at-1, 0)], "{}") + "." + name, "list." + name, name} {
		if _, known := m.parameters[component]; known {
			return reference("parameters", component)
		}
	}
	m.wrong = append(m.wrong, fmt.Sprintf("%s: nothing describes {%s}", op.Path, name))
	return nil
}

func reference(kind, name string) object { return object{"$ref": "#/components/" + kind + "/" + name} }

func security(schemes []string) []any {
	list := []any{}
	for _, name := range schemes {
		if name == "" { // or without any
			list = append(list, object{})
			continue
		}
		list = append(list, object{name: []any{}})
	}
	return list
}

// content describes bodies.
func (m *maker) content(bodies wire.Bodies) object {
	content := object{}
	for kind, values := range bodies {
		schema := object{"type": "string"}
		if kind == "application/octet-stream" {
			schema["format"] = "binary"
		}
		switch {
		case len(values) == 1:
			schema = m.schema(values[0])
		case len(values) > 1:
			any := make([]any, len(values))
			for i, v := range values {
				any[i] = m.schema(v)
			}
			schema = object{"anyOf": any}
		}
		content[kind] = object{"schema": schema}
	}
	return content
}

// says is what a body is, by the comment of its type.
func (m *maker) says(bodies wire.Bodies) string {
	for _, kind := range slices.Sorted(maps.Keys(bodies)) {
		if values := bodies[kind]; len(values) == 1 {
			if says := m.sources.comment(typeOf(values[0]), ""); says != "" {
				return says
			}
		}
	}
	return "As asked for."
}

func typeOf(v any) reflect.Type {
	t := reflect.TypeOf(v)
	if given, ok := v.(reflect.Type); ok {
		t = given
	}
	if t.Kind() == reflect.Pointer {
		t = t.Elem()
	}
	return t
}

// schema describes a value's type, and puts it and all that it is made of among the
// components.
func (m *maker) schema(v any) object {
	t := typeOf(v)
	if t.Kind() == reflect.Map {
		return object{"type": "object"}
	}
	reflector := jsonschema.Reflector{Anonymous: true, AllowAdditionalProperties: true, Mapper: m.mapped, Namer: nameOf,
		LookupComment: m.sources.comment}
	text, err := json.Marshal(reflector.ReflectFromType(t))
	if err != nil {
		m.wrong = append(m.wrong, err.Error())
		return nil
	}
	var made object
	text = []byte(strings.ReplaceAll(string(text), `"#/$defs/`, `"#/components/schemas/`))
	if err := json.Unmarshal(text, &made); err != nil {
		m.wrong = append(m.wrong, err.Error())
		return nil
	}
	definitions, _ := made["$defs"].(object)
	for _, name := range slices.Sorted(maps.Keys(definitions)) {
		if m.schemas[name] == nil {
			m.named(definitions[name])
			m.schemas[name] = definitions[name]
		}
	}
	return reference("schemas", nameOf(t))
}

// close has a request refuse members that it does not know.
func (m *maker) close(v any) {
	if schema, ok := m.schemas[nameOf(typeOf(v))].(object); ok {
		schema["additionalProperties"] = false
	}
}

// named puts the words of named lists into enums.
func (m *maker) named(v any) {
	switch v := v.(type) {
	case []any:
		for _, x := range v {
			m.named(x)
		}
	case object:
		if enum, _ := v["enum"].([]any); len(enum) == 1 {
			words := m.lists[fmt.Sprint(enum[0])]
			if words == nil {
				m.wrong = append(m.wrong, fmt.Sprintf("there is no list of words %v", enum[0]))
			}
			v["enum"] = words
		}
		for _, x := range v {
			m.named(x)
		}
	}
}

// mapped describes types that their fields do not.
func (m *maker) mapped(t reflect.Type) *jsonschema.Schema {
	switch {
	case t == reflect.TypeFor[wire.SwitchValue]():
		return &jsonschema.Schema{OneOf: []*jsonschema.Schema{{Type: "string"}, {Type: "integer"}}}
	case t == reflect.TypeFor[input.Moment]():
		return &jsonschema.Schema{Type: "string", Format: "date-time"}
	case t.Kind() == reflect.Int64, t.Kind() == reflect.Uint64:
		return &jsonschema.Schema{Type: "integer", Format: "int64"}
	case t.Kind() == reflect.String && t.PkgPath() != "":
		words := m.sources.constants[t.PkgPath()+"."+t.Name()]
		schema := &jsonschema.Schema{Type: "string"}
		for _, word := range words {
			schema.Enum = append(schema.Enum, word)
		}
		return schema
	}
	return nil
}

// renamed are types that the document has by other names than Go.
var renamed = map[string]string{"reconcile.Report": "Reconciliation", "reconcile.Finding": "ReconciliationFinding",
	"reconcile.Total": "ReconciliationTotal", "reconcile.Progress": "ReconciliationProgress",
	"reconcile.Count":    "FindingCount",
	"httpapi.reportList": "Reconciliations", "httpapi.reconcileLine": "ReconciliationLine",
	"draw.Header": "DrawHeader", "draw.Trailer": "DrawTrailer", "payment.Taken": "Payment"}

func nameOf(t reflect.Type) string {
	if name := renamed[t.String()]; name != "" {
		return name
	}
	return t.Name()
}
