package bench

import (
	"net"
	"time"

	"github.com/valyala/fasthttp"
)

// helloBody is what a shop answers once sold out, so that the bare handler
// moves as many bytes.
const helloBody = `{"code":"sold_out","message":"Sold out."}`

// ServeHello answers every request on ln with the same fixed JSON, with 200
// and as little work as fasthttp allows: the ceiling that HTTP itself sets. It
// returns when ln is closed.
func ServeHello(ln net.Listener) error {
	body := []byte(helloBody)
	s := &fasthttp.Server{
		Handler: func(ctx *fasthttp.RequestCtx) {
			ctx.Response.Header.SetContentType("application/json")
			ctx.Response.SetBodyRaw(body)
		},
		Name:         "hello",
		ReadTimeout:  time.Minute,
		WriteTimeout: time.Minute,
		IdleTimeout:  time.Minute,
	}
	return s.Serve(ln)
}
