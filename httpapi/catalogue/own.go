package catalogue

import (
	"fmt"
	"slices"
	"strconv"
	"strings"

	"doorbuster/engine"
	"doorbuster/httpapi/input"
)

// ownColumns are those of our own tables, besides name_LANGUAGE.
var ownColumns = []string{"id", "name", "image", "supplier", "list_price", "price", "currency", "latitude",
	"longitude", "total", "remaining", "stock", "as_of", "retired"}

// nameColumn is a column with names in one language.
type nameColumn struct {
	at       int
	language string
}

// ownHeader checks the columns of a table of ours.
func (r *reading) ownHeader(no int, names []string) bool {
	fine := true
	for i, name := range names {
		language, named := strings.CutPrefix(name, "name_")
		switch {
		case slices.Index(names, name) != i:
			r.wrong(no, "the column %q is there twice", clip(name))
			fine = false
		case named && languageTag.MatchString(language):
			r.names = append(r.names, nameColumn{i, language})
		case name == "name":
			r.names = append(r.names, nameColumn{i, r.Language})
		case !slices.Contains(ownColumns, name):
			r.wrong(no, "the column %q is not known; columns are %s, and name_LANGUAGE", clip(name),
				strings.Join(ownColumns, ", "))
			fine = false
		}
	}
	slices.SortFunc(r.names, func(a, b nameColumn) int { return strings.Compare(a.language, b.language) })
	for i := 1; i < len(r.names); i++ {
		if r.names[i].language == r.names[i-1].language {
			r.wrong(no, "there are two columns of names in %s", r.names[i].language)
			fine = false
		}
	}
	for _, pair := range [][2]string{{"list_price", "price"}, {"total", "stock"}, {"remaining", "stock"}} {
		if r.has(pair[0]) && r.has(pair[1]) {
			r.wrong(no, "there are the columns %s and %s; one of them is enough", pair[0], pair[1])
			fine = false
		}
	}
	return fine
}

// ownRow reads a row of a table of ours. What a cell leaves empty stays as it is.
func (r *reading) ownRow() (e entry, skip bool) {
	e = entry{id: r.cell("id"), supplier: r.cell("supplier"), decimal: r.cell("price")}
	for _, n := range r.names {
		if text := strings.TrimSpace(r.cells[n.at]); text != "" {
			e.name = append(e.name, engine.Words{Lang: n.language, Text: text})
		}
	}
	e.image, e.currency = given(r.cell("image")), given(r.cell("currency"))
	if text := r.cell("list_price"); text != "" {
		price, err := strconv.ParseInt(text, 10, 64)
		if err != nil {
			e.wrong = fmt.Sprintf("list_price must be a whole number of minor units; it is %q (price takes 49.00)",
				clip(text))
		}
		e.price = &price
	}
	if lat, lon := r.cell("latitude"), r.cell("longitude"); lat != "" || lon != "" {
		place, wrong := placeOf(lat, lon)
		if wrong != "" {
			e.wrong = wrong
		}
		e.place = place
	}
	switch retired := r.cell("retired"); retired {
	case "", "false":
	case "true":
		e.retired = true
	default:
		e.wrong = fmt.Sprintf("retired must be true or false; it is %q", clip(retired))
	}
	total, remaining := r.cell("total"), r.cell("remaining")
	switch {
	case total != "" && remaining != "":
		e.wrong = "it says both a total and what is remaining; say one of them"
	case total != "":
		e.figure(total, StockTotal)
	case remaining != "":
		e.figure(remaining, StockRemaining)
	default:
		e.figure(r.cell("stock"), r.stock())
	}
	e.counted(r.cell("as_of"))
	return e, false
}

// stock is what a figure means whose column does not say.
func (r *reading) stock() StockKind {
	if r.Stock == "" {
		return StockRemaining
	}
	return r.Stock
}

func given(text string) *string {
	if text == "" {
		return nil
	}
	return &text
}

func placeOf(latitude, longitude string) (*engine.Place, string) {
	lat, err := strconv.ParseFloat(latitude, 64)
	lon, err2 := strconv.ParseFloat(longitude, 64)
	if err != nil || err2 != nil {
		return nil, fmt.Sprintf("latitude and longitude must be degrees such as 31.23 and 121.47; they are %q and %q",
			clip(latitude), clip(longitude))
	}
	return &engine.Place{Latitude: lat, Longitude: lon}, ""
}

// figure reads what a row says of stock, "" for nothing.
func (e *entry) figure(text string, kind StockKind) {
	if text == "" || kind == StockNone {
		return
	}
	figure, err := strconv.ParseInt(text, 10, 64)
	if err != nil {
		e.wrong = fmt.Sprintf("the stock must be a whole number from 0 to %d; it is %q", int64(engine.MaxSupplierStock),
			clip(text))
		return
	}
	e.stock = engine.SupplierStock{Known: true, Figure: figure, Remaining: kind == StockRemaining}
}

// counted reads when what remains was counted.
func (e *entry) counted(text string) {
	if text == "" || e.wrong != "" {
		return
	}
	at, err := input.Time(text)
	switch {
	case err != nil:
		e.wrong = "as_of: " + err.Error()
	case at.UnixMilli() <= 0:
		e.wrong = fmt.Sprintf("as_of is %s; nothing was counted so early", clip(text))
	case e.stock.Known && !e.stock.Remaining:
		e.wrong = "it says as_of of a total; that is for what is remaining"
	case e.stock.Known:
		e.stock.AsOf = engine.TimeOf(at)
	}
}
