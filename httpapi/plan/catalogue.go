package plan

import (
	"net/url"
	"slices"
	"strconv"
	"strings"
	"sync"

	"go.yaml.in/yaml/v3"
	"golang.org/x/text/currency"

	"doorbuster/engine"
	"doorbuster/httpapi/input"
)

func (r *reader) product(n *node, seen map[string]*node) engine.Product {
	p := engine.Product{
		ID:        r.id(n, "id", "product", seen),
		Image:     r.address(n.get("image")),
		Supplier:  r.words(n.get("supplier")),
		ListPrice: r.integer(n.get("list_price"), 0),
		Currency:  r.currency(n.get("currency")),
		Place:     r.place(n.get("place")),
	}
	p.Name = r.name(n.get("name"), p.ID)
	return p
}

// moreCurrencies are those of ISO 4217 that the library's table of what is paid in lacks.
const moreCurrencies = "MRU STN SVC UYW VED VES SLE XAD XCG ZWG"

// currencies are the codes of ISO 4217 that something is paid in.
var currencies = sync.OnceValue(func() map[string]bool {
	known := map[string]bool{}
	for all := currency.Query(); all.Next(); {
		known[all.Unit().String()] = true
	}
	for code := range strings.FieldsSeq(moreCurrencies) {
		known[code] = true
	}
	return known
})

func (r *reader) currency(n *node) string {
	code := n.text()
	if code != "" && !currencies()[code] {
		r.problem(n, "%q is no currency of ISO 4217, such as CNY, EUR or USD", clip(code))
	}
	return code
}

// name reads a text in one language (English) or in several. What has none is
// called by its id, so that nothing on a page is blank.
func (r *reader) name(n *node, id string) engine.Text {
	switch {
	case n == nil:
		return engine.Text{{Lang: "en", Text: id}}
	case n.Kind == yaml.MappingNode:
		var t engine.Text
		for _, f := range n.fields {
			t = append(t, engine.Words{Lang: f.name, Text: r.words(f.value)})
		}
		slices.SortFunc(t, func(a, b engine.Words) int { return strings.Compare(a.Lang, b.Lang) })
		return t
	}
	return engine.Text{{Lang: "en", Text: r.words(n)}}
}

// words reads a text of one line and holds it against the bound in bytes: the
// schema counts characters.
func (r *reader) words(n *node) string {
	text := n.text()
	if len(text) > engine.MaxTextBytes {
		r.problem(n, "%d bytes are over %d", len(text), engine.MaxTextBytes)
	} else if wrong := input.OneLine(text); wrong != "" {
		r.problem(n, "%s", wrong)
	}
	return text
}

func (r *reader) address(n *node) string {
	text := n.text()
	if text == "" {
		return ""
	}
	u, err := url.Parse(text)
	switch {
	case len(text) > engine.MaxURLBytes:
		r.problem(n, "%d bytes are over %d", len(text), engine.MaxURLBytes)
	case err != nil || u.Host == "":
		r.problem(n, "%q is not an https:// address", clip(text))
	case input.OneLine(text) != "":
		r.problem(n, "%s", input.OneLine(text))
	}
	return text
}

func (r *reader) place(n *node) *engine.Place {
	if n == nil {
		return nil
	}
	return &engine.Place{Latitude: degrees(n.get("latitude")), Longitude: degrees(n.get("longitude"))}
}

func degrees(n *node) float64 {
	d, err := strconv.ParseFloat(n.text(), 64)
	if err != nil {
		return 0 // the schema said so
	}
	return d
}

// integer reads a whole number, whose bounds the schema has checked.
func (r *reader) integer(n *node, unless int64) int64 {
	if !n.usable() {
		return unless
	}
	v, err := strconv.ParseInt(n.Value, 10, 64)
	if err != nil { // 1e3 and 1000.0 are integers to the schema
		r.problem(n, "%s: write the number in plain decimal digits", clip(n.Value))
		return unless
	}
	return v
}

func truth(n *node, unless bool) bool {
	if !n.usable() {
		return unless
	}
	return strings.EqualFold(n.Value, "true")
}
