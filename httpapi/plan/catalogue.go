package plan

import (
	"net/url"
	"strconv"

	"doorbuster/engine"
	"doorbuster/httpapi/input"
	"doorbuster/httpapi/money"
	"doorbuster/httpapi/plan/tree"
)

func (r *reader) product(n *tree.Node, seen map[string]*tree.Node) engine.Product {
	p := engine.Product{
		ID:        r.id(n, "id", "product", seen),
		Image:     r.address(n.Get("image")),
		Supplier:  r.Line(n.Get("supplier")),
		ListPrice: r.Integer(n.Get("list_price"), 0),
		Currency:  r.currency(n.Get("currency")),
		Place:     r.place(n.Get("place")),
	}
	p.Name = r.Name(n.Get("name"), p.ID)
	return p
}

func (r *reader) currency(n *tree.Node) string {
	code := n.Text()
	if code != "" && !money.Known(code) {
		r.Problem(n, "%q is no currency of ISO 4217, such as CNY, EUR or USD", tree.Clip(code))
	}
	return code
}

func (r *reader) address(n *tree.Node) string {
	text := n.Text()
	if text == "" {
		return ""
	}
	u, err := url.Parse(text)
	switch {
	case len(text) > engine.MaxURLBytes:
		r.Problem(n, "%d bytes are over %d", len(text), engine.MaxURLBytes)
	case err != nil || u.Host == "":
		r.Problem(n, "%q is not an https:// address", tree.Clip(text))
	case input.OneLine(text) != "":
		r.Problem(n, "%s", input.OneLine(text))
	}
	return text
}

func (r *reader) place(n *tree.Node) *engine.Place {
	if n == nil {
		return nil
	}
	return &engine.Place{Latitude: degrees(n.Get("latitude")), Longitude: degrees(n.Get("longitude"))}
}

func degrees(n *tree.Node) float64 {
	d, err := strconv.ParseFloat(n.Text(), 64)
	if err != nil {
		return 0 // the schema said so
	}
	return d
}
