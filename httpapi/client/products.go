package client

import (
	"context"
	"io"
	"net/http"
	"net/url"

	"doorbuster/httpapi/wire"
)

// Products gives a page of the catalogue; query is as the API has it.
func (c *Client) Products(ctx context.Context, query url.Values) (*wire.Products, error) {
	return get[wire.Products](ctx, c, v1+"/products?"+query.Encode())
}

// SupplierProducts gives a page of a supplier's products, as a supplier's token may, too.
func (c *Client) SupplierProducts(ctx context.Context, supplier string, query url.Values) (*wire.Products, error) {
	return get[wire.Products](ctx, c, supplierPath(supplier)+"/products?"+query.Encode())
}

// Product gives one; with a supplier, one of its own.
func (c *Client) Product(ctx context.Context, supplier, id string) (*wire.Product, error) {
	if supplier != "" {
		return get[wire.Product](ctx, c, supplierPath(supplier)+"/products/"+url.PathEscape(id))
	}
	return get[wire.Product](ctx, c, v1+"/products/"+url.PathEscape(id))
}

// Suppliers gives those that have products.
func (c *Client) Suppliers(ctx context.Context) (*wire.Suppliers, error) {
	return get[wire.Suppliers](ctx, c, v1+"/suppliers")
}

func supplierPath(supplier string) string { return v1 + "/suppliers/" + url.PathEscape(supplier) }

// Discard takes one of products, sales or sessions out of sight, or back: action is delete,
// or as the API's paths end.
func (c *Client) Discard(ctx context.Context, kind, id, action, note string) (*wire.Discarded, error) {
	path := v1 + "/" + kind + "/" + url.PathEscape(id)
	if action == "delete" {
		return do[wire.Discarded](ctx, c, http.MethodDelete, asked(path, "note", note), nil)
	}
	return post[wire.Discarded](ctx, c, path+"/"+action, why(note))
}

// PullCatalogue has a supplier's catalogue fetched now. sure: it is meant, although fewer than
// half of its products would be left.
func (c *Client) PullCatalogue(ctx context.Context, supplier, note string, sure bool) (*wire.ProductsImport, error) {
	return post[wire.ProductsImport](ctx, c, asked(supplierPath(supplier)+"/pull", "sure", when(sure)), why(note))
}

// SendProducts is how a catalogue is sent.
type SendProducts struct {
	Body  io.Reader  // sent again where it is an io.Seeker and nothing was heard of the outcome
	Size  int64      // -1 where it is not known
	Type  string     // of the body
	Query url.Values // as the API has it
	Sent  io.Writer  // is written what is sent, for progress; may be nil
	// Progress is told how many rows of how many are in; it may be nil.
	Progress func(wire.ImportProgress)
}

// SendProducts takes a supplier's catalogue in.
func (c *Client) SendProducts(ctx context.Context, supplier string, s SendProducts) (*wire.ProductsImport, error) {
	done := new(wire.ProductsImport)
	return done, c.Upload(ctx, Upload{Method: http.MethodPut,
		Path: supplierPath(supplier) + "/products?" + s.Query.Encode(), Type: s.Type, Body: s.Body, Size: s.Size,
		Sent: s.Sent, Keyed: true, Line: c.importLine(s.Progress, done)})
}

// ReconcileStock holds a supplier's figures against ours.
func (c *Client) ReconcileStock(ctx context.Context, supplier string, s SendProducts) (*wire.StockReport, error) {
	report := new(wire.StockReport)
	return report, c.Upload(ctx, Upload{Method: http.MethodPost,
		Path: supplierPath(supplier) + "/reconciliations?" + s.Query.Encode(), Type: s.Type, Body: s.Body, Size: s.Size,
		Sent: s.Sent, Line: func(text []byte) (bool, error) { return true, c.Decode(text, report) }})
}

// importLine reads the answer to an import, a line at a time.
func (c *Client) importLine(progress func(wire.ImportProgress), done any) func([]byte) (bool, error) {
	return func(text []byte) (last bool, err error) {
		var line struct {
			Committed *int
			Of        int
			Status    int
		}
		if err := c.Decode(text, &line); err != nil {
			return false, err
		}
		switch {
		case line.Committed == nil && line.Status != 0:
			return false, c.Refusal(line.Status, text)
		case line.Committed == nil:
			return true, c.Decode(text, done)
		case progress != nil:
			progress(wire.ImportProgress{Committed: *line.Committed, Of: line.Of})
		}
		return false, nil
	}
}
