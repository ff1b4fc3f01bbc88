package httpapi

import (
	_ "embed"
	"net/http"
)

// openAPIDocument describes both APIs (OpenAPI 3.1). It is kept by hand: tests compare
// its paths with the routers, and hold every answer against it (see openapitest).
//
//go:embed openapi.json
var openAPIDocument []byte

func (s *AdminServer) openAPI(w http.ResponseWriter, _ *http.Request) {
	w.Header().Set("Content-Type", "application/json")
	// Whoever asked may have gone; there is nobody left to tell.
	_, _ = w.Write(openAPIDocument)
}
