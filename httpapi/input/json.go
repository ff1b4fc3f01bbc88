package input

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"reflect"
	"strings"
)

// Object reads one JSON object into v, which is a pointer to a struct. Where it is
// strict, members that v lacks are refused; else they are ignored. One that is there
// twice, or whose name differs from one of v's in case alone, is refused in any case.
// wrong says what is wrong and where, in a sentence without its capital letter and
// full stop; "" if nothing is.
func Object(text []byte, v any, strict bool) (wrong string) {
	if first := bytes.TrimLeft(text, " \t\r\n"); len(first) == 0 || first[0] != '{' {
		return "it must be a JSON object"
	}
	d := json.NewDecoder(bytes.NewReader(text))
	if strict {
		d.DisallowUnknownFields()
	}
	if err := d.Decode(v); err != nil {
		if kind, ok := errors.AsType[*json.UnmarshalTypeError](err); ok {
			kind.Field = inJSON(kind.Field, reflect.TypeOf(v))
		}
		return wrongIn(err, len(text), d.InputOffset())
	}
	end := d.InputOffset()
	if _, err := d.Token(); !errors.Is(err, io.EOF) {
		return fmt.Sprintf("it goes on after its object, at byte %d", end)
	}
	return misspelt(text, reflect.TypeOf(v))
}

// Wrong says what json found wrong with an answer, or a file, of length bytes.
func Wrong(err error, length int) string { return wrongIn(err, length, int64(length)) }

func wrongIn(err error, length int, at int64) string {
	var syntax *json.SyntaxError
	var kind *json.UnmarshalTypeError
	var time *TimeError
	switch {
	case errors.Is(err, io.ErrUnexpectedEOF), errors.Is(err, io.EOF),
		errors.As(err, &syntax) && syntax.Error() == "unexpected end of JSON input":
		return fmt.Sprintf("it is not JSON: it ends too early, at byte %d", length)
	case errors.As(err, &syntax):
		return fmt.Sprintf("it is not JSON, at byte %d", syntax.Offset)
	case errors.As(err, &kind) && kind.Field == "":
		return fmt.Sprintf("%s can't stand at byte %d", article(kind.Value), kind.Offset)
	case errors.As(err, &kind):
		return fmt.Sprintf("the member %q can't be %s, at byte %d", kind.Field, article(kind.Value), kind.Offset)
	case errors.As(err, &time):
		return fmt.Sprintf("%s, at byte %d", time, at)
	}
	if name, unknown := strings.CutPrefix(err.Error(), "json: unknown field "); unknown {
		return fmt.Sprintf("it does not fit: unknown field %s, at byte %d", name, at)
	}
	return fmt.Sprintf("it does not fit, at byte %d", at)
}

// article puts one before what JSON calls a value: "an object", "a number -1".
func article(value string) string {
	if strings.HasPrefix(value, "array") || strings.HasPrefix(value, "object") {
		return "an " + value
	}
	return "a " + value
}
