package openapi

import (
	"reflect"
	"strconv"
	"strings"
)

const idPattern = "^[A-Za-z0-9][A-Za-z0-9._-]{0,63}$"

// query describes what a struct's fields ask for; their tags are those of package httpapi.
func (m *maker) query(of reflect.Type) (parameters []any) {
	for _, field := range reflect.VisibleFields(of) {
		name := field.Tag.Get("query")
		if name == "" {
			continue
		}
		p := object{"name": name, "in": "query", "schema": m.asked(field)}
		owner := of
		for _, i := range field.Index[:len(field.Index)-1] {
			owner = owner.Field(i).Type
		}
		if says := m.sources.comment(owner, field.Name); says != "" {
			p["description"] = says
		}
		if field.Tag.Get("needed") != "" {
			p["required"] = true
		}
		parameters = append(parameters, p)
	}
	return parameters
}

// asked describes the value of one parameter.
func (m *maker) asked(field reflect.StructField) object {
	tag := field.Tag.Get
	usual := tag("usual")
	switch field.Type.Name() {
	case "Time":
		return object{"type": "string", "format": "date-time"}
	case "OrderState":
		return object{"type": "string", "enum": m.lists["order"]}
	case "BargainState":
		return object{"type": "string", "enum": m.lists["bargain"]}
	case "askedLevel":
		return object{"type": "string", "enum": m.lists["level"], "default": "block"}
	case "askedPosition":
		return object{"type": "string", "pattern": `^[0-9]+(\.[0-9]+)?$`}
	case "askedTransaction":
		return object{"type": "string", "format": "uuid"}
	case "askedPlace":
		return object{"type": "string", "examples": []string{"31.2,121.5"}}
	}
	switch field.Type.Kind() {
	case reflect.Bool:
		return object{"type": "boolean", "default": usual == "true"}
	case reflect.Int, reflect.Int64:
		schema := object{"type": "integer", "minimum": 1}
		if field.Type.Kind() == reflect.Int64 {
			schema["format"] = "int64"
		}
		for keyword, given := range map[string]string{"minimum": tag("least"), "maximum": tag("most"),
			"default": usual} {
			// A bound that is as far as numbers go is none.
			if n, err := strconv.ParseInt(given, 10, 64); err == nil && n < 1<<62 {
				schema[keyword] = n
			}
		}
		return schema
	}
	schema := object{"type": "string"}
	if words := tag("oneof"); words != "" {
		schema["enum"] = strings.Fields(words)
	}
	switch tag("as") {
	case "id":
		schema["pattern"] = idPattern
	case "note":
		schema["maxLength"] = 1024
	case "name":
		schema["maxLength"] = 255
	}
	return schema
}
