package client

import (
	"context"
	"io"
	"net/http"
	"net/url"
	"strconv"

	"doorbuster/httpapi/wire"
)

func session(id string) string { return v1 + "/sessions/" + url.PathEscape(id) }

// Shipping tells where a session's paid orders are on their way.
func (c *Client) Shipping(ctx context.Context, id string) (*wire.Shipping, error) {
	return get[wire.Shipping](ctx, c, session(id)+"/shipping")
}

// Review takes the second look at a session's paid orders, or decides about some by hand.
func (c *Client) Review(ctx context.Context, id string, r wire.ReviewRequest) (*wire.Review, error) {
	return post[wire.Review](ctx, c, session(id)+"/review", r)
}

// ExportOrders has what has passed go out to the warehouse, under a number.
func (c *Client) ExportOrders(ctx context.Context, id string, r wire.ExportRequest) (*wire.Export, error) {
	return post[wire.Export](ctx, c, session(id)+"/exports", r)
}

// Export writes an export to to, as csv or ndjson.
func (c *Client) Export(ctx context.Context, id string, export uint32, format string, to io.Writer) error {
	_, err := c.Download(ctx, asked(session(id)+"/exports/"+strconv.FormatUint(uint64(export), 10), "format", format),
		"", to)
	return err
}

// ParcelFile is a file of parcels, or of orders that have arrived.
type ParcelFile struct {
	Body io.Reader // sent again where it is an io.Seeker and nothing was heard of the outcome
	Size int64     // -1 where it is not known
	Type string    // text/csv, application/x-ndjson or text/plain
	Note string
	Sent io.Writer // is written what is sent, for progress; may be nil
}

// ShipOrders takes in which carrier has which order.
func (c *Client) ShipOrders(ctx context.Context, id string, f ParcelFile) (*wire.ParcelsTaken, error) {
	return c.parcels(ctx, session(id)+"/parcels", f)
}

// ReceiveOrders takes in which orders have arrived.
func (c *Client) ReceiveOrders(ctx context.Context, id string, f ParcelFile) (*wire.ParcelsTaken, error) {
	return c.parcels(ctx, session(id)+"/received", f)
}

func (c *Client) parcels(ctx context.Context, path string, f ParcelFile) (*wire.ParcelsTaken, error) {
	done := new(wire.ParcelsTaken)
	return done, c.Upload(ctx, Upload{Method: http.MethodPost, Path: asked(path, "note", f.Note), Type: f.Type,
		Body: f.Body, Size: f.Size, Sent: f.Sent, Keyed: true, Line: func(text []byte) (last bool, err error) {
			return true, c.Decode(text, done)
		}})
}
