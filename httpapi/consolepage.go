package httpapi

import (
	"net/http"
	"strings"

	"doorbuster/httpapi/console"
)

// consoleView serves the page of a view: which one it is, and what of, the page reads in its
// address. Links that are passed on may have parameters, which are the page's alone.
func (s *AdminServer) consoleView(w http.ResponseWriter, r *http.Request) error {
	if view := r.PathValue("view"); view != "" && !console.HasView(view) {
		return refuse(notFound, "No route has this path. See /openapi.json.")
	}
	return s.consoleFile(w, r, console.Page)
}

func (s *AdminServer) consoleAsset(w http.ResponseWriter, r *http.Request, _ *none) error {
	return s.consoleFile(w, r, r.PathValue("file"))
}

// views is the handler of the console's pages.
func views() adminHandler {
	return adminHandler{serve: (*AdminServer).consoleView}.giving(map[string][]any{"text/html": nil})
}

// consoleFile serves a file of the console. It holds no secret and needs no
// token: what it shows it asks for with the operator's own.
func (s *AdminServer) consoleFile(w http.ResponseWriter, r *http.Request, name string) error {
	f, ok := console.Open(name)
	if !ok {
		return refuse(notFound, "The console has no such file.")
	}
	h := w.Header()
	// Kept, and asked about each time: all files are of one release, also after an upgrade.
	h.Set("Cache-Control", "no-cache")
	h.Set("ETag", f.Tag)
	h.Set("Vary", "Accept-Encoding")
	h.Set("Content-Security-Policy", console.Policy)
	h.Set("Cross-Origin-Opener-Policy", "same-origin")
	h.Set("Cross-Origin-Resource-Policy", "same-origin")
	if r.Header.Get("If-None-Match") == f.Tag {
		w.WriteHeader(http.StatusNotModified)
		return nil
	}
	h.Set("Content-Type", f.Type)
	body := f.Body
	if strings.Contains(r.Header.Get("Accept-Encoding"), "gzip") {
		h.Set("Content-Encoding", "gzip")
		body = f.Zipped
	}
	// Whoever asked may have gone; there is nobody left to tell.
	_, _ = w.Write(body)
	return nil
}
