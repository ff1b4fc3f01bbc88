package httpapi

import (
	"encoding/binary"
	"math/rand/v2"

	"github.com/valyala/fasthttp"

	"doorbuster/engine"
	"doorbuster/httpapi/payment"
)

// headerTransaction carries the id that ties a shopper's looks, grab, order and
// payment together.
var headerTransaction = []byte("X-Transaction-Id")

const badTransaction = "An X-Transaction-Id is a UUID, such as 018f3f2e-6c1a-7b62-9d4e-0a1b2c3d4e5f."

// transactionOf gives the transaction that a request names, or a new one. false:
// it names none that is valid.
func transactionOf(ctx *fasthttp.RequestCtx) (t engine.Transaction, ok bool) {
	given := ctx.Request.Header.PeekCanonical(headerTransaction)
	if len(given) == 0 {
		return mintTransaction(), true
	}
	t, err := payment.ParseTransaction(given)
	return t, err == nil
}

// mintTransaction makes a random UUID (version 4), from a generator seeded by the
// operating system.
func mintTransaction() (t engine.Transaction) {
	binary.LittleEndian.PutUint64(t[:8], rand.Uint64())
	binary.LittleEndian.PutUint64(t[8:], rand.Uint64())
	t[6] = t[6]&0x0f | 0x40
	t[8] = t[8]&0x3f | 0x80
	return t
}

// beginTransaction sends back the transaction that a look names, or a new one for
// what the shopper asks next.
func beginTransaction(ctx *fasthttp.RequestCtx) {
	if t, ok := transactionOf(ctx); ok {
		tellTransaction(&ctx.Response, t)
	}
}

// tellTransaction sends the transaction of what is answered along with it. Answers
// that caches may keep have none: it would be shared by many. Nor have refusals of
// grabs, which begin nothing, and are to look alike.
func tellTransaction(r *fasthttp.Response, t engine.Transaction) {
	if t != (engine.Transaction{}) {
		var room [36]byte
		r.Header.SetCanonical(headerTransaction, payment.AppendTransaction(room[:0], t))
	}
}
