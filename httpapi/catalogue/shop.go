package catalogue

import (
	"fmt"
	"strings"

	"doorbuster/engine"
	"doorbuster/httpapi/money"
)

// Rows of shop systems. What they name a SKU is a product here: variants are products, what
// groups them is none. Their stock is what is left (Config.Stock), and below zero where
// they sold more than they had: nothing is left then.

// one gives the first of several columns that says something.
func (r *reading) one(columns ...string) string {
	for _, c := range columns {
		if text := r.cell(c); text != "" {
			return text
		}
	}
	return ""
}

// shopifyRow reads a row of Shopify's. Rows of one product follow each other: the first has
// its title, those of further variants their SKU, those of further images neither.
func (r *reading) shopifyRow() (e entry, skip bool) {
	handle := r.one("handle", "url handle")
	if title := r.cell("title"); handle != r.handle || title != "" {
		r.handle, r.title, r.image = handle, title, r.one("image src", "product image url")
	}
	sku, price := r.one("variant sku", "sku"), r.one("variant price", "price")
	if sku == "" && price == "" {
		return e, true
	}
	if sku == "" {
		e.wrong = fmt.Sprintf("a variant of %q has no SKU; give it one, for it is what the product is known by",
			clip(r.handle))
		return e, false
	}
	name := r.title
	for _, n := range "123" {
		value := r.cell("option" + string(n) + " value")
		if value != "" && value != "Default Title" {
			name = strings.TrimSpace(name + " " + value)
		}
	}
	e = entry{id: sku, decimal: price}
	e.named(r.Language, name)
	// What it cost before a sale of theirs is the list price.
	if before := r.one("variant compare at price", "compare-at price"); before != "" && more(before, price) {
		e.decimal = before
	}
	e.shopImage(r.one("variant image", "variant image url"), r.image)
	if r.one("variant inventory tracker", "inventory tracker") != "" ||
		!r.has("variant inventory tracker") && !r.has("inventory tracker") {
		e.left(r.one("variant inventory qty", "inventory quantity"), r.stock())
	}
	e.retired = strings.EqualFold(r.cell("status"), "archived")
	return e, false
}

// wooRow reads a row of WooCommerce's.
func (r *reading) wooRow() (e entry, skip bool) {
	for kind := range strings.SplitSeq(r.cell("type"), ",") {
		switch strings.TrimSpace(strings.ToLower(kind)) {
		case "variable", "grouped", "external":
			return e, true
		}
	}
	e = entry{id: r.cell("sku"), decimal: r.one("regular price", "sale price")}
	if e.id == "" {
		e.wrong = fmt.Sprintf("%q has no SKU; give it one, for it is what the product is known by",
			clip(r.one("name", "id")))
		return e, false
	}
	e.named(r.Language, r.cell("name"))
	image, _, _ := strings.Cut(r.cell("images"), ",")
	e.shopImage(strings.TrimSpace(image))
	switch stock := r.cell("stock"); {
	case stock != "":
		e.left(stock, r.stock())
	case r.cell("in stock?") == "0": // nobody counts, and there is none
		e.left("0", r.stock())
	}
	return e, false
}

// magentoRow reads a row of Magento's. Those of store views have names in other languages,
// as far as the view is named for one; they come with the SKU of the row before them.
func (r *reading) magentoRow() (e entry, skip bool) {
	switch kind := strings.ToLower(r.cell("product_type")); kind {
	case "configurable", "bundle", "grouped":
		return e, true
	}
	sku := r.cell("sku")
	if view := r.cell("store_view_code"); sku == "" || view != "" && !strings.EqualFold(view, "default") {
		return e, true // more images, or what another view of the shop calls it
	}
	e = entry{id: sku, decimal: r.cell("price")}
	e.named(r.Language, r.cell("name"))
	e.currency = given(r.cell("currency"))
	e.shopImage(r.cell("base_image"))
	if managed := r.cell("manage_stock"); managed != "0" || r.cell("use_config_manage_stock") == "1" {
		e.left(r.cell("qty"), r.stock())
	}
	e.retired = r.cell("product_online") == "2" || r.cell("product_online") == "0"
	return e, false
}

// named notes a name in one language.
func (e *entry) named(language, name string) {
	if name = strings.Join(strings.Fields(name), " "); name != "" {
		e.name = engine.Text{{Lang: language, Text: name}}
	}
}

// shopImage takes the first that is the address of an image: some name files of their own.
func (e *entry) shopImage(addresses ...string) {
	for _, a := range addresses {
		if (strings.HasPrefix(a, "https://") || strings.HasPrefix(a, "http://")) && wrongImage(a) == "" {
			e.image = &a
			return
		}
	}
}

// left reads what a shop system says is left. It may count parts of a unit, with zeros.
func (e *entry) left(text string, kind StockKind) {
	if whole, parts, cut := strings.Cut(text, "."); cut && strings.Trim(parts, "0") == "" {
		text = whole
	}
	if e.figure(text, kind); e.stock.Known {
		e.stock.Figure = max(0, e.stock.Figure)
	}
}

// more reports whether one price is over another.
func more(one, other string) bool {
	const decimals = 4
	a, ok := money.Minor(one, decimals)
	b, okToo := money.Minor(other, decimals)
	return ok && okToo && a > b
}
