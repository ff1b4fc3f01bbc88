package main

import (
	"context"
	"crypto/rand"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	"doorbuster/bench"
	"doorbuster/engine"
	"doorbuster/httpapi/auth"
	"doorbuster/httpapi/client"
)

// ruledKind is a kind with every rule that leaves its answer the same. equipped is how
// many shoppers come in a round; the same ones, again and again, for what is sold out:
// fewer than a node remembers tokens. In all, no more come than the rounds and one more
// need: they have reserved, and are on the allow list.
type ruledKind struct {
	dir, kind, profile, prefix string
	equipped, rounds           int
}

// startRuledKind is startKind for a ruledKind.
func startRuledKind(ctx context.Context, k ruledKind) (s bench.HTTPServer, err error) {
	listing := bench.Listing{Session: "bench", SKU: "unit", Weight: 1}
	stock, pool := int64(100), k.equipped
	if bench.Grants(k.kind) {
		stock, pool = engine.MaxStock, 0
	}
	shoppers := k.equipped * (k.rounds + 1)
	lead := 2*time.Second + time.Duration(shoppers)*20*time.Microsecond
	at := func(name string) string { return filepath.Join(k.dir, k.kind+name) }
	var secrets [2][]byte
	for i, name := range []string{".shopper.key", ".ops.key"} {
		random := make([]byte, auth.MinSecretBytes)
		rand.Read(random) // never fails
		secrets[i] = hex.AppendEncode(nil, random)
		if err := os.WriteFile(at(name), secrets[i], 0o600); err != nil {
			return s, err
		}
	}
	addrs, err := quietAddrs(2)
	if err != nil {
		return s, err
	}
	for name, text := range map[string]string{".config.yaml": ruledConfig(at(".shopper.key"), at(".ops.key")),
		".plan.yaml": ruledPlan(listing, stock, lead)} {
		if err := os.WriteFile(at(name), []byte(text), 0o600); err != nil {
			return s, err
		}
	}
	args := []string{"bench", "hello", "--node", "--guarded", "--config", at(".config.yaml"), "--data", at(""),
		"--http", addrs[0], "--admin", addrs[1], "--plan", at(".plan.yaml")}
	if k.profile != "" {
		args = append(args, "--cpu-profile", k.profile+"."+k.kind)
	}
	if s, err = startChild(listing, args...); err != nil {
		return s, err
	}
	minted := time.Now()
	token, err := auth.Claims{Audience: auth.Operators, Subject: "bench", Role: auth.Admin,
		TTL: time.Hour}.Sign(secrets[1], minted)
	if err == nil {
		err = bringLists(ctx, s.Addr, client.Config{Addr: addrs[1], Token: token}, listing, k.prefix, shoppers)
	}
	if err != nil {
		return s, errors.Join(err, s.Close())
	}
	s.Pool = pool
	s.TokenFor = func(shopper string) (string, error) {
		return auth.Claims{Audience: auth.Shoppers, Subject: shopper, TTL: 12 * time.Hour}.Sign(secrets[0], minted)
	}
	return s, nil
}

// bringLists brings in who reserved, who is allowed and who is a risk, and waits
// until the listing opens.
func bringLists(ctx context.Context, shop string, ops client.Config, l bench.Listing, prefix string,
	shoppers int) error {
	node, err := client.New(ops)
	if err != nil {
		return err
	}
	var names, risks strings.Builder
	for n := range shoppers {
		names.WriteString(bench.VolleyShopper(prefix, uint64(n)) + "\n")
		risks.WriteString("scalper-" + strconv.Itoa(n) + ",block\n")
	}
	for _, list := range []struct {
		name client.List
		kind string
		text string
	}{
		{client.List("sessions/" + l.Session + "/skus/" + l.SKU + "/reservations"), "text/plain", names.String()},
		{"allowlists/guests", "text/plain", names.String()}, {"risk/shoppers", "text/csv", risks.String()},
	} {
		_, err := node.SendList(ctx, list.name, client.SendList{Body: strings.NewReader(list.text),
			Size: int64(len(list.text)), Type: list.kind, Replace: true, Sure: true})
		if err != nil {
			return err
		}
	}
	ctx, cancel := context.WithTimeout(ctx, startPatience)
	defer cancel()
	every := time.NewTicker(50 * time.Millisecond)
	defer every.Stop()
	for {
		select {
		case <-ctx.Done():
			return fmt.Errorf("%s does not open: %w", l, context.Cause(ctx))
		case <-every.C:
		}
		answer, err := http.Get("http://" + shop + "/v1/sessions/" + l.Session + "/skus/" + l.SKU)
		if err != nil {
			return err
		}
		var looks struct{ State string }
		err = json.NewDecoder(answer.Body).Decode(&looks)
		answer.Body.Close()
		if err != nil {
			return err
		}
		if looks.State == "open" {
			return nil
		}
	}
}

// ruledConfig turns everything at the door on.
func ruledConfig(shopperKey, opsKey string) string {
	return fmt.Sprintf(`shopper_key_file: %s
ops_key_file: %s
snapshot_bytes: 268435456
trusted_proxies: [127.0.0.1/32]
rate_limit_shopper_per_second: 1000
rate_limit_shopper_burst: 1000
rate_limit_address_per_second: 1000
rate_limit_address_burst: 1000
ticket_ttl: 1h
`, shopperKey, opsKey)
}

// ruledPlan has every rule of a listing that changes nothing for who keeps to it.
func ruledPlan(l bench.Listing, stock int64, lead time.Duration) string {
	return fmt.Sprintf(`products:
  - {id: %[2]s, name: %[2]s, list_price: 4900, currency: CNY}
sales:
  - id: bench
    name: bench
    timezone: Asia/Shanghai
    sessions:
      - id: %[1]s
        start: "+%[4]s"
        pay_within: 1h
        limit_per_shopper: 1
        admission_multiple: 20
        listings:
          - {sku: %[2]s, price: 100, stock: %[3]d, limit_per_shopper: 1, limit_per_month: 2,
             reservation: true, allow_list: guests, ticket: true, waitlist: true}
`, l.Session, l.SKU, stock, lead.Round(time.Millisecond))
}
