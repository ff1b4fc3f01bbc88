package catalogue

import (
	"mime"
	"slices"
	"strings"
)

// Format is how a catalogue is written.
type Format string

// Formats.
const (
	Auto        Format = "auto"        // by its first bytes, and by its header
	CSV         Format = "csv"         // our own columns
	NDJSON      Format = "ndjson"      // an object a line
	JSON        Format = "json"        // an array of objects, {"products": [...]}, or one object
	Shopify     Format = "shopify"     // as Shopify exports products, in its older and its newer columns
	WooCommerce Format = "woocommerce" // as WooCommerce does
	Magento     Format = "magento"     // as Magento 2 (Adobe Commerce) does
)

// Formats lists their names.
func Formats() []string {
	return []string{string(Auto), string(CSV), string(NDJSON), string(JSON), string(Shopify), string(WooCommerce),
		string(Magento)}
}

// FormatOf gives the format of a media type, as in Content-Type. Auto is that of one that
// leaves it open.
func FormatOf(mediaType string) (f Format, known bool) {
	if mediaType == "" {
		return Auto, true
	}
	kind, _, err := mime.ParseMediaType(mediaType)
	if err != nil {
		return "", false
	}
	switch kind {
	case "application/json":
		return JSON, true
	case "application/x-ndjson", "application/ndjson", "application/jsonl":
		return NDJSON, true
	case "text/csv", "text/plain", "application/octet-stream", "text/tab-separated-values":
		return Auto, true
	}
	return "", false
}

// StockKind says what a figure counts whose column does not say so, as those of shop
// systems.
type StockKind string

// Kinds of stock.
const (
	StockRemaining StockKind = "remaining" // what is left at Config.AsOf
	StockTotal     StockKind = "total"     // all that there ever was
	StockNone      StockKind = "none"      // it is not looked at
)

// StockKinds lists their names.
func StockKinds() []string {
	return []string{string(StockRemaining), string(StockTotal), string(StockNone)}
}

// layout is how a kind of table is read.
type layout struct {
	format Format
	marks  [][]string // sets of columns that no other format has; one of them is enough
	// row makes an entry of a record. skip: it is about nothing that is sold by itself.
	row func(r *reading) (e entry, skip bool)
	own bool // columns that it does not know are refused
}

// layouts are tried in this order.
var layouts = []layout{
	{format: Shopify, marks: [][]string{{"handle", "variant price"}, {"handle", "variant sku"},
		{"url handle", "price", "title"}}, row: (*reading).shopifyRow},
	{format: WooCommerce, marks: [][]string{{"sku", "regular price", "type"}, {"sku", "regular price", "name"}},
		row: (*reading).wooRow},
	{format: Magento, marks: [][]string{{"sku", "product_type", "attribute_set_code"},
		{"sku", "product_type", "store_view_code"}, {"sku", "product_type", "product_websites"}},
		row: (*reading).magentoRow},
	{format: CSV, marks: [][]string{{"id"}}, row: (*reading).ownRow, own: true},
}

// layoutOf finds the layout of a header, whose names are in small letters.
func layoutOf(want Format, header []string) *layout {
	for i := range layouts {
		l := &layouts[i]
		if want != Auto && want != l.format {
			continue
		}
		for _, marks := range l.marks {
			if !slices.ContainsFunc(marks, func(m string) bool { return !slices.Contains(header, m) }) {
				return l
			}
		}
	}
	return nil
}

// separatorOf tells what parts the cells of a header.
func separatorOf(header string) rune {
	best, most := ',', strings.Count(header, ",")
	for _, c := range ";\t" {
		if n := strings.Count(header, string(c)); n > most {
			best, most = c, n
		}
	}
	return best
}
