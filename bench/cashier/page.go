package cashier

import (
	"embed"
	"net/http"
)

//go:embed page
var page embed.FS

// pagePolicy is the Content-Security-Policy of the page.
const pagePolicy = "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; img-src data:; " +
	"base-uri 'none'; form-action 'none'; frame-ancestors 'none'"

// pageFile serves a file of the page at which a person pays: it reads the payment token
// behind #token= of its own address.
func pageFile(name, kind string) http.HandlerFunc {
	return func(w http.ResponseWriter, _ *http.Request) {
		body, err := page.ReadFile("page/" + name)
		if err != nil {
			no(w, err, nil)
			return
		}
		h := w.Header()
		h.Set("Content-Type", kind+"; charset=utf-8")
		h.Set("Content-Security-Policy", pagePolicy)
		h.Set("X-Content-Type-Options", "nosniff")
		h.Set("Referrer-Policy", "no-referrer")
		h.Set("Cache-Control", "no-cache")
		_, _ = w.Write(body) // whoever asked may have gone
	}
}
