package main

import (
	"crypto/rand"
	"encoding/hex"
	"fmt"
	"os"
	"path/filepath"
	"time"

	"doorbuster/bench"
	"doorbuster/engine"
	"doorbuster/httpapi"
)

// startRuledKind is startKind with every rule that leaves the kind's answer the same.
// pool is how many shoppers ask, again and again, for what is sold out: fewer than a
// node remembers tokens.
func startRuledKind(dir, kind, profile string, pool int) (s bench.HTTPServer, err error) {
	listing := bench.Listing{Session: "bench", SKU: "unit", Weight: 1}
	stock := int64(100)
	if bench.Grants(kind) {
		stock, pool = engine.MaxStock, 0
	}
	at := func(name string) string { return filepath.Join(dir, kind+name) }
	secret := make([]byte, 0, 2*httpapi.MinSecretBytes)
	for _, name := range []string{".ops.key", ".shopper.key"} { // the last one is kept
		random := make([]byte, httpapi.MinSecretBytes)
		rand.Read(random) // never fails
		secret = hex.AppendEncode(secret[:0], random)
		if err := os.WriteFile(at(name), secret, 0o600); err != nil {
			return s, err
		}
	}
	addrs, err := quietAddrs(2)
	if err != nil {
		return s, err
	}
	for name, text := range map[string]string{".config.yaml": ruledConfig(at(".shopper.key"), at(".ops.key")), ".plan.yaml": ruledPlan(listing, stock)} {
		if err := os.WriteFile(at(name), []byte(text), 0o600); err != nil {
			return s, err
		}
	}
	args := []string{"bench", "hello", "--node", "--guarded", "--config", at(".config.yaml"), "--data", at(""), "--http", addrs[0], "--admin", addrs[1], "--plan", at(".plan.yaml")}
	if profile != "" {
		args = append(args, "--cpu-profile", profile+"."+kind)
	}
	if s, err = startChild(listing, args...); err != nil {
		return s, err
	}
	s.Pool = pool
	minted := time.Now()
	s.TokenFor = func(shopper string) (string, error) {
		return httpapi.MintToken(httpapi.ShopperToken, shopper, "", 12*time.Hour, secret, minted)
	}
	return s, nil
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
func ruledPlan(l bench.Listing, stock int64) string {
	return fmt.Sprintf(`products:
  - {id: %[2]s, name: %[2]s, list_price: 4900, currency: CNY}
sales:
  - id: bench
    name: bench
    timezone: Asia/Shanghai
    sessions:
      - id: %[1]s
        start: now
        pay_within: 1h
        limit_per_shopper: 1
        admission_multiple: 20
        listings:
          - {sku: %[2]s, price: 100, stock: %[3]d, limit_per_shopper: 1, limit_per_month: 2, ticket: true, waitlist: true}
`, l.Session, l.SKU, stock)
}
