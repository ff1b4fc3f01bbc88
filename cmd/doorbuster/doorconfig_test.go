package main

import (
	"bufio"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/golang-jwt/jwt/v5"

	"doorbuster/cmd/doorbuster/nodetest"
)

// TestDoorSettings: how long a connection may be idle, how many bytes headers have,
// and how long a request may take to arrive are as a node is told, at each door.
func TestDoorSettings(t *testing.T) {
	s := openShop(t, t.TempDir(), "--display", "127.0.0.1:0", "--idle-timeout", "1s", "--read-timeout", "1s",
		"--write-timeout", "20s", "--header-bytes", "40000")
	open := func(door string) (net.Conn, *bufio.Reader) {
		c, err := net.Dial("tcp", strings.TrimPrefix(door, "http://"))
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { c.Close() })
		if err := c.SetDeadline(time.Now().Add(nodetest.Patience)); err != nil {
			t.Fatal(err)
		}
		return c, bufio.NewReader(c)
	}
	for name, door := range map[string]struct {
		at, path string
		slow     string // the status of one that does not arrive; "" where the setting is not its
	}{
		"shoppers": {s.HTTP, "/v1/time", "408"}, "display": {s.Shown, "/v1/time", "408"},
		"operators": {s.Admin, "/livez", ""},
	} {
		c, in := open(door.at)
		fmt.Fprintf(c, "GET %s HTTP/1.1\r\nHost: localhost\r\nCookie: sso=%s\r\n\r\n", door.path,
			strings.Repeat("x", 30_000))
		r, err := http.ReadResponse(in, nil)
		if err != nil {
			t.Fatal(name, err)
		}
		if _, err := io.Copy(io.Discard, r.Body); err != nil || r.StatusCode != 200 {
			t.Errorf("%s: a large cookie: %d, %v", name, r.StatusCode, err)
		}
		// It has a deadline that is far longer than it may be idle.
		if rest, err := io.ReadAll(in); err != nil || len(rest) > 0 {
			t.Errorf("%s: an idle connection is not closed: %q, %v", name, rest, err)
		}
		if door.slow != "" {
			c, in = open(door.at)
			fmt.Fprint(c, "GET ")
			if said, err := io.ReadAll(in); err != nil || !strings.Contains(string(said), " "+door.slow+" ") {
				t.Errorf("%s: a request that does not arrive hears %.100q, %v", name, said, err)
			}
		}
		c, in = open(door.at)
		fmt.Fprintf(c, "GET %s HTTP/1.1\r\nHost: localhost\r\nCookie: sso=%s\r\n\r\n", door.path,
			strings.Repeat("x", 60_000))
		if r, err := http.ReadResponse(in, nil); err != nil || r.StatusCode != 431 {
			t.Errorf("%s: too large a cookie: %v, %v", name, r, err)
		}
	}
}

// TestDoorSettingsThatCantBe: each is refused with its key, its value and its bounds.
func TestDoorSettingsThatCantBe(t *testing.T) {
	for _, c := range []struct{ flag, value, says string }{
		{"--idle-timeout", "0s", "--idle-timeout: 0s is not between 1s and 1h"},
		{"--read-timeout", "2h", "--read-timeout: 2h0m0s is not between 1s and 1h"},
		{"--write-timeout", "10ms", "--write-timeout: 10ms is not between 1s and 1h"},
		{"--header-bytes", "100", "--header-bytes: 100 is not between 1024 and 1048576"},
		{"--token-bytes", "100", "--token-bytes: 100 is not between 256 and 65536"},
		{"--token-bytes", "9000", "--token-bytes: a token of 9000 bytes does not fit into header_bytes, 8192"},
	} {
		if status, _, errs := runTool(t, "", "serve", "--dev", "--data", t.TempDir(), c.flag, c.value); status != 2 ||
			!strings.Contains(errs, c.says) {
			t.Errorf("%s %s: %d %s", c.flag, c.value, status, errs)
		}
	}
}

// TestRiskTokenIsReadAgain: the risk service is asked with the token that stands in
// its file by now.
func TestRiskTokenIsReadAgain(t *testing.T) {
	tokens := make(chan string, 1000)
	service := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		tokens <- r.Header.Get("Authorization")
		_, _ = io.WriteString(w, `{"level":"allow"}`)
	}))
	t.Cleanup(service.Close)
	file := filepath.Join(t.TempDir(), "risk.token")
	write := func(token string) {
		if err := os.WriteFile(file+".new", []byte(token+"\n"), 0o600); err != nil {
			t.Fatal(err)
		}
		if err := os.Rename(file+".new", file); err != nil {
			t.Fatal(err)
		}
	}
	write("first")
	s := openShop(t, t.TempDir(), "--risk-url", service.URL, "--risk-timeout", "5s", "--risk-token-file", file)
	s.Apply(nodetest.DayPlan("", 1000))
	asked := 0
	asks := func() string {
		asked++
		s.MustGrant(fmt.Sprint("s", asked), "k", "day/sku-1")
		return <-tokens
	}
	if got := asks(); got != "Bearer first" {
		t.Fatalf("asked with %q", got)
	}
	write("not one\x00")
	s.Logs.Await(t, s.Exit, "the old ones stay")
	if got := asks(); got != "Bearer first" {
		t.Errorf("after a file that does not do: %q", got)
	}
	write("second")
	s.Eventually(func() bool { return asks() == "Bearer second" },
		func() string { return "the new token is not taken" })
}

// TestTokensAsConfigured: a node takes tokens of the issuers and up to the size that it
// is told, and counts the others by their reasons.
func TestTokensAsConfigured(t *testing.T) {
	dir := t.TempDir()
	key := func(name, c string) string {
		path := filepath.Join(dir, name)
		if err := os.WriteFile(path, []byte(strings.Repeat(c, 40)), 0o600); err != nil {
			t.Fatal(err)
		}
		return path
	}
	s := runShop(t, []string{"serve", "--data", filepath.Join(dir, "data"), "--http", "127.0.0.1:0", "--admin",
		"127.0.0.1:0", "--log-format", "json", "--open-metrics",
		"--shopper-key-file", key("shopper.key", "s"), "--ops-key-file", key("ops.key", "o"), "--shopper-issuer",
		"shop", "--ops-issuer", "staff", "--token-bytes", "1000"})
	s.AwaitServing()
	sign := func(secret, aud, iss, more string) string {
		token, err := jwt.NewWithClaims(jwt.SigningMethodHS256,
			jwt.MapClaims{"sub": 7, "aud": aud, "iss": iss, "role": "viewer", "x": more,
				"exp": time.Now().Add(time.Hour).Unix()}).SignedString([]byte(strings.Repeat(secret, 40)))
		if err != nil {
			t.Fatal(err)
		}
		return "Bearer " + token
	}
	long := strings.Repeat("x", 1000)
	for _, c := range []struct {
		url, token string
		want       int
	}{
		{s.HTTP + "/v1/orders", sign("s", "doorbuster-shopper", "shop", ""), 200},
		{s.HTTP + "/v1/orders", sign("s", "doorbuster-shopper", "staff", ""), 401},
		{s.HTTP + "/v1/orders", sign("s", "doorbuster-shopper", "shop", long), 401},
		{"http://" + s.Admin + "/admin/v1/sales", sign("o", "doorbuster-ops", "staff", ""), 200},
		{"http://" + s.Admin + "/admin/v1/sales", sign("o", "doorbuster-ops", "shop", ""), 401},
		{"http://" + s.Admin + "/admin/v1/sales", sign("o", "doorbuster-ops", "staff", long), 401},
	} {
		if a := s.Do("GET", c.url, "", "Authorization", c.token); a.Status != c.want {
			t.Errorf("%s: %d, want %d: %s", c.url, a.Status, c.want, a.Body)
		}
	}
	status, token, errs := runTool(t, "", "token", "--sub", "olga", "--role", "viewer", "--issuer", "staff",
		"--key-file", filepath.Join(dir, "ops.key"))
	if a := s.Do("GET", "http://"+s.Admin+"/admin/v1/sales", "", "Authorization",
		"Bearer "+strings.TrimSpace(token)); status != 0 || a.Status != 200 {
		t.Errorf("a token that was made with its issuer: %d %s, %d", status, errs, a.Status)
	}
	for _, api := range []string{"shopper", "admin"} {
		for _, reason := range []string{"iss", "too_long"} {
			if n := s.Metric(fmt.Sprintf(`doorbuster_tokens_refused_total{api=%q,reason=%q}`, api, reason)); n != "1" {
				t.Errorf("%s, %s: %s", api, reason, n)
			}
		}
	}
}
