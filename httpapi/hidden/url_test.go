package hidden_test

import (
	"bytes"
	"encoding/json"
	"fmt"
	"log/slog"
	"net/http"
	"strings"
	"testing"

	"doorbuster/httpapi/hidden"
)

// However an address is told, what is secret in it is not.
func TestSecretsOfAddressesAreNotTold(t *testing.T) {
	u := hidden.URL("http://user:pass-word@127.0.0.1:1/path?token=secret-token#frag-ment")
	var log bytes.Buffer
	logger := slog.New(slog.NewTextHandler(&log, nil))
	logger.Info("asked", "url", u)
	slog.New(slog.NewJSONHandler(&log, nil)).Info("asked", "url", u, "of", struct{ URL hidden.URL }{u})
	text, err := json.Marshal(map[string]any{"url": u})
	if err != nil {
		t.Fatal(err)
	}
	_, err = http.Get(string(u)) // nothing listens there
	if err == nil {
		t.Fatal("somebody answered")
	}
	logger.Info("failed", "error", hidden.Cause(err))
	said := fmt.Sprintf("%s %v %q %+v %#v %s", u, u, u, u, u, text) + log.String()
	for _, secret := range []string{"user", "pass-word", "secret-token", "frag-ment"} {
		if strings.Contains(said, secret) {
			t.Errorf("%s is in %s", secret, said)
		}
	}
	if !strings.Contains(said, "http://127.0.0.1:1/path") || !strings.Contains(log.String(), "refused") {
		t.Errorf("it does not say where, or why: %s", said)
	}
	if odd := fmt.Sprint(hidden.URL("token=secret"), hidden.URL("http://[::1%zz?secret")); strings.Contains(odd,
		"secret") {
		t.Error(odd)
	}
}
