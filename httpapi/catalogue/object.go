package catalogue

import (
	"bufio"
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"slices"
	"strconv"
	"strings"

	"github.com/valyala/fastjson"

	"doorbuster/engine"
)

// A crowd of rows is read by a parser that allocates nothing for each; what it lets pass
// that is no JSON is refused before.

var parsers fastjson.ParserPool

// object reads one product as JSON.
func (r *reading) object(no int, text []byte) {
	if !json.Valid(text) {
		r.wrong(no, `it is no JSON object like {"id":"mask-50","name":"Masks","list_price":4900,"currency":"CNY",`+
			`"stock":{"total":500}}`)
		return
	}
	p := parsers.Get()
	defer parsers.Put(p)
	v, err := p.ParseBytes(text)
	if err != nil {
		r.wrong(no, "it is JSON of a kind that is not taken: %s", clip(err.Error()))
		return
	}
	if v.Type() != fastjson.TypeObject {
		r.wrong(no, "it must be a JSON object, and is %s", v.Type())
		return
	}
	e := r.entryOf(v.GetObject())
	r.take(no, &e)
}

// once calls each for the members of an object, and says which is there twice.
func once(o *fastjson.Object, each func(name string, v *fastjson.Value) (wrong string)) (wrong string) {
	seen := make([]string, 0, 16)
	o.Visit(func(key []byte, v *fastjson.Value) {
		if wrong != "" {
			return
		}
		name := string(key)
		if slices.Contains(seen, name) {
			wrong = fmt.Sprintf("the member %q is there twice", clip(name))
			return
		}
		seen = append(seen, name)
		wrong = each(name, v)
	})
	return wrong
}

const members = "id, name, image, supplier, list_price, price, currency, place, stock, retired"

func (r *reading) entryOf(o *fastjson.Object) (e entry) {
	e.wrong = once(o, func(name string, v *fastjson.Value) (wrong string) {
		if v.Type() == fastjson.TypeNull && name != "id" {
			return "" // nothing is said
		}
		switch name {
		case "id":
			e.id, wrong = textOf(name, v)
		case "name":
			wrong = r.nameOf(&e, v)
		case "image":
			var image string
			image, wrong = textOf(name, v)
			e.image = &image
		case "supplier":
			e.supplier, wrong = textOf(name, v)
		case "currency":
			var code string
			code, wrong = textOf(name, v)
			e.currency = &code
		case "list_price":
			var price int64
			price, wrong = wholeOf(name, v)
			e.price = &price
		case "price":
			if e.decimal = strings.Trim(string(v.MarshalTo(nil)), `"`); e.decimal == "" {
				wrong = "the price is empty"
			}
		case "place":
			wrong = placeIn(&e, v)
		case "stock":
			wrong = stockIn(&e, v)
		case "retired":
			switch v.Type() {
			case fastjson.TypeTrue:
				e.retired = true
			case fastjson.TypeFalse:
			default:
				wrong = "the member \"retired\" must be true or false"
			}
		default:
			wrong = fmt.Sprintf("there is no member %q; members are %s", clip(name), members)
		}
		return wrong
	})
	if e.wrong == "" && e.price != nil && e.decimal != "" {
		e.wrong = "it says both list_price and price; say one of them"
	}
	return e
}

func textOf(name string, v *fastjson.Value) (text, wrong string) {
	b, err := v.StringBytes()
	if err != nil {
		return "", fmt.Sprintf("the member %q must be a string", name)
	}
	return string(b), ""
}

func wholeOf(name string, v *fastjson.Value) (n int64, wrong string) {
	digits := v.MarshalTo(nil)
	n, err := strconv.ParseInt(string(digits), 10, 64)
	if v.Type() != fastjson.TypeNumber || err != nil {
		return 0, fmt.Sprintf("the member %q must be a whole number; it is %s", name, clip(string(digits)))
	}
	return n, ""
}

// nameOf reads a name, or one in each of several languages.
func (r *reading) nameOf(e *entry, v *fastjson.Value) (wrong string) {
	if v.Type() == fastjson.TypeString {
		text, _ := textOf("name", v)
		e.name = engine.Text{{Lang: r.Language, Text: text}}
		return ""
	}
	o, err := v.Object()
	if err != nil {
		return `the member "name" must be a string, or an object like {"en":"Masks","zh":"口罩"}`
	}
	wrong = once(o, func(language string, v *fastjson.Value) string {
		text, wrong := textOf("name."+clip(language), v)
		e.name = append(e.name, engine.Words{Lang: language, Text: text})
		return wrong
	})
	slices.SortFunc(e.name, func(a, b engine.Words) int { return strings.Compare(a.Lang, b.Lang) })
	return wrong
}

func placeIn(e *entry, v *fastjson.Value) (wrong string) {
	const form = `the member "place" must be an object like {"latitude":31.23,"longitude":121.47}`
	o, err := v.Object()
	if err != nil {
		return form
	}
	e.place = new(engine.Place)
	seen := 0
	wrong = once(o, func(name string, v *fastjson.Value) string {
		to := map[string]*float64{"latitude": &e.place.Latitude, "longitude": &e.place.Longitude}[name]
		degrees, err := strconv.ParseFloat(string(v.MarshalTo(nil)), 64)
		if to == nil || err != nil || v.Type() != fastjson.TypeNumber {
			return form
		}
		*to = degrees
		seen++
		return ""
	})
	if wrong == "" && seen != 2 {
		return form
	}
	return wrong
}

func stockIn(e *entry, v *fastjson.Value) (wrong string) {
	const form = `the member "stock" must be an object like {"total":500}, or like ` +
		`{"remaining":480,"as_of":"2026-09-20T02:15:00Z"}`
	o, err := v.Object()
	if err != nil {
		return form
	}
	asOf := ""
	wrong = once(o, func(name string, v *fastjson.Value) (wrong string) {
		switch name {
		case "total", "remaining":
			if e.stock.Known {
				return "its stock says both a total and what is remaining; say one of them"
			}
			e.stock.Known, e.stock.Remaining = true, name == "remaining"
			e.stock.Figure, wrong = wholeOf("stock."+name, v)
		case "as_of":
			asOf, wrong = textOf("stock.as_of", v)
		default:
			wrong = form
		}
		return wrong
	})
	if wrong == "" && !e.stock.Known {
		return form
	}
	if wrong == "" {
		inner := entry{stock: e.stock}
		inner.counted(asOf)
		e.stock, wrong = inner.stock, inner.wrong
	}
	return wrong
}

// wrapped begins an object that holds the products.
const wrapped = "products"

// isWrapped reports whether text begins with {"products".
func isWrapped(text []byte) bool {
	rest := bytes.TrimLeft(bytes.TrimPrefix(text, []byte("{")), " \t\r\n")
	return bytes.HasPrefix(rest, []byte(`"`+wrapped+`"`))
}

// values reads products out of an array, an object that holds one, or one behind the other;
// one at a time, however many there are.
func (r *reading) values(in *bufio.Reader, bound *perRow) error {
	s := scanner{in: in, line: 1}
	open, shut := 0, ""
	c, err := s.next()
	switch {
	case err == nil && c == '[':
		open, shut = 1, "]"
	case err == nil && c == '{':
		s.in.UnreadByte()
		if head, _ := in.Peek(256); isWrapped(head) {
			if err := s.wrapping(); err != nil {
				return r.ends(&s, err)
			}
			open, shut = 1, "]}"
		}
	case err == nil:
		r.wrong(s.line, "it must be a JSON array of products, or one product")
		return nil
	}
	for first := true; !r.over; first = false {
		bound.next()
		c, err := s.next()
		switch {
		case errors.Is(err, io.EOF) && open == 0:
			return nil
		case err != nil:
			return r.ends(&s, err)
		case open == 1 && c == ']':
			return r.after(&s, shut[1:])
		case open == 1 && !first:
			if c != ',' {
				r.wrong(s.line, "there must be a comma between products; there is %q", c)
				return nil
			}
			if c, err = s.next(); err != nil {
				return r.ends(&s, err)
			}
		}
		if c != '{' {
			r.wrong(s.line, "there must be a product, an object, and there is %q", c)
			return nil
		}
		no := s.line
		text, err := s.object()
		switch {
		case errors.Is(err, errLongRow):
			return r.tooLong(no)
		case err != nil:
			return r.ends(&s, err)
		}
		r.object(no, text)
	}
	return nil
}

// ends tells of JSON that is over too early.
func (r *reading) ends(s *scanner, err error) error {
	switch {
	case errors.Is(err, errLongRow):
		return r.tooLong(s.line)
	case errors.Is(err, io.EOF):
		r.wrong(s.line, "it ends too early: it is not all of the JSON")
	case errors.Is(err, errNotWrapped):
		r.wrong(s.line, "%s", err)
	default:
		return err
	}
	return nil
}

// after reads what closes the whole.
func (r *reading) after(s *scanner, rest string) error {
	for _, want := range []byte(rest) {
		if c, err := s.next(); err != nil || c != want {
			r.wrong(s.line, "behind the products there must be %q", want)
			return nil
		}
	}
	c, err := s.next()
	if err == nil {
		r.wrong(s.line, "it goes on after its end, with %q", c)
		return nil
	}
	if errors.Is(err, io.EOF) {
		return nil
	}
	return r.ends(s, err)
}

// scanner finds the ends of JSON values without understanding them.
type scanner struct {
	in   *bufio.Reader
	line int
	text []byte
}

// next gives the next byte that is no white space.
func (s *scanner) next() (byte, error) {
	for {
		c, err := s.in.ReadByte()
		if err != nil {
			return 0, err
		}
		switch c {
		case '\n':
			s.line++
		case ' ', '\t', '\r':
		default:
			return c, nil
		}
	}
}

var errNotWrapped = errors.New(`the products must be an array: {"products":[...]}`)

// wrapping reads up to the array in {"products":[.
func (s *scanner) wrapping() error {
	for _, want := range []byte(`{"` + wrapped + `":[`) {
		if c, err := s.next(); err != nil {
			return err
		} else if c != want {
			return errNotWrapped
		}
	}
	return nil
}

// object gives an object whose first brace was read. The text is good until the next call.
func (s *scanner) object() ([]byte, error) {
	s.text = append(s.text[:0], '{')
	for deep, quoted, escaped := 1, false, false; deep > 0; {
		c, err := s.in.ReadByte()
		if err != nil {
			return nil, err
		}
		if s.text = append(s.text, c); len(s.text) > maxRowBytes {
			return nil, errLongRow
		}
		switch {
		case c == '\n':
			s.line++
		case escaped:
			escaped = false
		case quoted && c == '\\':
			escaped = true
		case c == '"':
			quoted = !quoted
		case quoted:
		case c == '{' || c == '[':
			deep++
		case c == '}' || c == ']':
			deep--
		}
	}
	return s.text, nil
}
