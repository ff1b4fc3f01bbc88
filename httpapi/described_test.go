package httpapi

import (
	"fmt"
	"maps"
	"os"
	"slices"
	"sync"
	"testing"

	"doorbuster/httpapi/openapitest"
)

// undescribed are the answers of this package's tests that the OpenAPI document does
// not have.
var undescribed struct {
	sync.Mutex
	all map[string]bool
}

var apiDocument = sync.OnceValues(func() (*openapitest.Document, error) { return openapitest.Parse(openAPIDocument) })

// described holds an answer against the document; TestMain fails if it is not as that
// has it.
func described(method, path string, status int, contentType string, body []byte) {
	d, err := apiDocument()
	if err == nil {
		err = d.Check(method, path, status, contentType, body)
	}
	undescribed.Lock()
	defer undescribed.Unlock()
	if err != nil {
		if undescribed.all == nil {
			undescribed.all = map[string]bool{}
		}
		undescribed.all[err.Error()] = true
	}
}

func TestMain(m *testing.M) {
	status := m.Run()
	for _, what := range slices.Sorted(maps.Keys(undescribed.all)) {
		fmt.Println("FAIL: an answer is not as openapi.json has it:", what)
		status = max(status, 1)
	}
	os.Exit(status)
}
