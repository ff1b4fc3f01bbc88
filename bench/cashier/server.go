package cashier

import (
	"encoding/csv"
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"strconv"
	"time"

	"github.com/google/uuid"

	"doorbuster/engine"
	"doorbuster/httpapi/input"
	"doorbuster/httpapi/payment"
)

// maxBodyBytes bounds a request.
const maxBodyBytes = 16 << 10

// Handler serves shoppers (GET /pay, a page, and POST /pay), the shop (POST /refunds, POST
// /orders/{order_no}/close), and whoever looks into the books (GET /statement, GET
// /payments, GET /books).
func (c *Cashier) Handler() http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("POST /pay", c.pay)
	mux.HandleFunc("GET /pay", pageFile("index.html", "text/html"))
	mux.HandleFunc("GET /pay.js", pageFile("pay.js", "text/javascript"))
	mux.HandleFunc("GET /pay.css", pageFile("pay.css", "text/css"))
	mux.HandleFunc("POST /refunds", c.fromShop(c.refund))
	mux.HandleFunc("POST /orders/{order_no}/close", c.fromShop(c.closeOrder))
	mux.HandleFunc("GET /statement", c.statement)
	mux.HandleFunc("GET /payments", c.payments)
	mux.HandleFunc("GET /books", c.totals)
	return mux
}

func reply(w http.ResponseWriter, status int, v any) {
	text, err := json.Marshal(v)
	if err != nil {
		status, text = http.StatusInternalServerError, []byte(`{"error":"the answer can't be written"}`)
	}
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(status)
	_, _ = w.Write(append(text, '\n')) // whoever asked may have gone
}

// no answers why something is not done. paid is the payment that is in the way.
func no(w http.ResponseWriter, err error, paid *Payment) {
	status := http.StatusInternalServerError
	if r := new(refusal); errors.As(err, &r) {
		status = r.status
	}
	reply(w, status, struct {
		Error   string   `json:"error"`
		Payment *Payment `json:"payment,omitempty"`
	}{err.Error(), paid})
}

// bad answers what is wrong with a question.
func bad(w http.ResponseWriter, why string) { no(w, &refusal{http.StatusBadRequest, why}, nil) }

func read(w http.ResponseWriter, r *http.Request, v any) (body []byte, ok bool) {
	body, err := io.ReadAll(http.MaxBytesReader(w, r.Body, maxBodyBytes))
	if err == nil {
		err = json.Unmarshal(body, v)
	}
	if err != nil {
		bad(w, "the body must be a JSON object: "+err.Error())
		return nil, false
	}
	return body, true
}

func (c *Cashier) pay(w http.ResponseWriter, r *http.Request) {
	var asked struct {
		Token     string `json:"token"`
		PaymentID string `json:"payment_id"`
	}
	if _, ok := read(w, r, &asked); !ok {
		return
	}
	if asked.PaymentID != "" && !engine.ValidKey(asked.PaymentID) {
		bad(w, "the payment_id must have 1 to 255 printable ASCII characters and no space")
		return
	}
	p, err := c.Take(r.Context(), asked.Token, asked.PaymentID)
	p.Token = ""
	switch {
	case errors.Is(err, ErrPaid):
		no(w, err, &p)
	case err != nil:
		no(w, err, nil)
	default:
		reply(w, http.StatusOK, &p)
	}
}

// fromShop checks that it is the shop who asks, and lets some questions fail where
// that is wanted: half of these before, half after they were answered.
func (c *Cashier) fromShop(answer func(w http.ResponseWriter, r *http.Request, body []byte)) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		var any json.RawMessage
		body, ok := read(w, r, &any)
		if !ok {
			return
		}
		if c.checker != nil {
			if err := c.checker.Check(&payment.Signed{Method: r.Method, Path: r.URL.EscapedPath(),
				Timestamp: r.Header.Get(payment.HeaderTimestamp),
				Nonce:     r.Header.Get(payment.HeaderNonce), Signature: r.Header.Get(payment.HeaderSignature),
				Body: body}); err != nil {
				no(w, &refusal{http.StatusUnauthorized, err.Error()}, nil)
				return
			}
		}
		switch throw := c.cfg.Faults.dice("question " + strconv.FormatUint(c.asked.Add(1), 10)).Float64(); {
		case throw < c.cfg.Faults.Fail/2:
			no(w, errWished, nil)
		case throw < c.cfg.Faults.Fail:
			answer(unheard{}, r, body)
			no(w, errWished, nil)
		default:
			answer(w, r, body)
		}
	}
}

// errWished is a failure that Faults ask for.
var errWished = &refusal{http.StatusServiceUnavailable, "as it was wished for"}

// unheard takes an answer that nobody is to hear.
type unheard struct{}

func (unheard) Header() http.Header         { return http.Header{} }
func (unheard) Write(b []byte) (int, error) { return len(b), nil }
func (unheard) WriteHeader(int)             {}

func (c *Cashier) refund(w http.ResponseWriter, _ *http.Request, body []byte) {
	var q payment.RefundRequest
	if json.Unmarshal(body, &q) != nil || q.No == 0 || q.PaymentID == "" {
		bad(w, "a refund takes refund_no, payment_id, order_no, amount and currency")
		return
	}
	booked, err := c.books.PayBack(Refund{Reference: "back-" + uuid.NewString(), No: uint32(q.No),
		PaymentID: q.PaymentID, OrderNo: q.OrderNo,
		Transaction: q.Transaction, Amount: q.Amount, Currency: q.Currency,
		At: time.Now().Truncate(time.Millisecond).UTC()})
	if err != nil {
		no(w, err, nil)
		return
	}
	reply(w, http.StatusOK, &payment.RefundMade{Reference: booked.Reference})
}

func (c *Cashier) closeOrder(w http.ResponseWriter, r *http.Request, _ []byte) {
	orderNo := r.PathValue("order_no")
	if !engine.ValidID(orderNo) {
		bad(w, "that is no order number")
		return
	}
	paid, err := c.books.CloseOrder(orderNo, time.Now())
	switch {
	case err != nil:
		no(w, err, nil)
	case paid != nil:
		reply(w, http.StatusOK, &payment.Closed{Payment: &payment.Taken{PaymentID: paid.ID, OrderNo: paid.OrderNo,
			Amount: &paid.Amount, Currency: paid.Currency, PaidAt: input.Moment{Time: paid.At},
			Transaction: paid.Transaction}})
	default:
		reply(w, http.StatusOK, &payment.Closed{Closed: true})
	}
}

// columns are those of a statement as CSV.
var columns = []string{"payment_id", "order_no", "amount", "currency", "kind", "at", "transaction_id"}

// statement lists what was taken and paid back at [from, to), as CSV or NDJSON.
func (c *Cashier) statement(w http.ResponseWriter, r *http.Request) {
	bounds := [2]time.Time{time.UnixMilli(0), time.Now().Add(time.Hour)}
	for i, name := range []string{"from", "to"} {
		if given := r.URL.Query().Get(name); given != "" {
			at, err := time.Parse(time.RFC3339, given)
			if err != nil || at.UnixMilli() < 0 {
				bad(w, name+" must be a time such as 2026-09-20T00:00:00Z")
				return
			}
			bounds[i] = at
		}
	}
	var err error
	switch format := r.URL.Query().Get("format"); format {
	case "", "csv":
		w.Header().Set("Content-Type", "text/csv; charset=utf-8")
		to := csv.NewWriter(w)
		err = to.Write(columns)
		if err == nil {
			err = c.books.Statement(bounds[0], bounds[1], func(row *Row) error {
				return to.Write([]string{row.PaymentID, row.OrderNo, strconv.FormatInt(row.Amount, 10), row.Currency,
					row.Kind, row.At.Format(time.RFC3339Nano), row.Transaction})
			})
		}
		to.Flush()
		if err == nil {
			err = to.Error()
		}
	case "ndjson":
		w.Header().Set("Content-Type", "application/x-ndjson")
		to := json.NewEncoder(w)
		err = c.books.Statement(bounds[0], bounds[1], func(row *Row) error { return to.Encode(row) })
	default:
		bad(w, "format must be csv or ndjson")
	}
	if err != nil {
		panic(http.ErrAbortHandler) // half a statement must not look like a whole one
	}
}

// payments lists every payment as NDJSON, with what the shop said to it.
func (c *Cashier) payments(w http.ResponseWriter, _ *http.Request) {
	w.Header().Set("Content-Type", "application/x-ndjson")
	to := json.NewEncoder(w)
	if err := c.books.Payments(func(p *Payment) error { return to.Encode(p) }); err != nil {
		panic(http.ErrAbortHandler) // as with a statement
	}
}

func (c *Cashier) totals(w http.ResponseWriter, _ *http.Request) {
	t, err := c.books.Add()
	if err != nil {
		no(w, err, nil)
		return
	}
	reply(w, http.StatusOK, &t)
}
