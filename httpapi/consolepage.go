package httpapi

import (
	"net/http"

	"doorbuster/httpapi/console"
)

func (s *AdminServer) consolePage(w http.ResponseWriter, r *http.Request) {
	s.consoleFile(w, r, "index.html")
}

func (s *AdminServer) consoleAsset(w http.ResponseWriter, r *http.Request) {
	s.consoleFile(w, r, r.PathValue("file"))
}

// consoleFile serves a file of the console. It holds no secret and needs no
// token: what it shows it asks for with the operator's own.
func (s *AdminServer) consoleFile(w http.ResponseWriter, r *http.Request, name string) {
	body, contentType, ok := console.File(name)
	if !ok {
		s.problem(w, r, notFound, "The console has no such file.")
		return
	}
	h := w.Header()
	h.Set("Content-Type", contentType)
	h.Set("Content-Security-Policy", console.Policy)
	h.Set("Cross-Origin-Opener-Policy", "same-origin")
	h.Set("Cross-Origin-Resource-Policy", "same-origin")
	// Whoever asked may have gone; there is nobody left to tell.
	_, _ = w.Write(body)
}
