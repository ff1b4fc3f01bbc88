package httpapi

import (
	_ "embed"
	"net/http"
)

// openAPIDocument describes both APIs (OpenAPI 3.1). It is made from the tables of routes
// and the types that they name; tests hold every answer against it (see openapitest).
//
//go:generate go test -run ^TestOpenAPIIsCurrent$ -update .
//go:embed openapi.json
var openAPIDocument []byte

func (s *AdminServer) openAPI(w http.ResponseWriter, _ *http.Request) {
	w.Header().Set("Content-Type", "application/json")
	// Whoever asked may have gone; there is nobody left to tell.
	_, _ = w.Write(openAPIDocument)
}
