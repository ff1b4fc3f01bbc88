package main

import (
	"errors"
	"fmt"
	"log/slog"
	"regexp"
	"slices"
	"strings"
	"time"

	"github.com/spf13/pflag"
	yamlnode "go.yaml.in/yaml/v3"

	"doorbuster/httpapi"
	"doorbuster/httpapi/challenge"
	"doorbuster/httpapi/ratelimit"
	"doorbuster/httpapi/risk"
	"doorbuster/httpapi/roster"
)

// addGuardFlags declares the settings that hold the crowd back.
func addGuardFlags(f *pflag.FlagSet) {
	f.StringSlice("trusted-proxies", nil, "`addresses` and prefixes (10.1.0.0/16) of proxies that are believed in X-Forwarded-For")
	f.Float64("rate-limit-shopper-per-second", 0, "grabs, challenges and tickets of one shopper a second, on each node for itself; 0 = no limit")
	f.Int("rate-limit-shopper-burst", 5, "of these at once, of a shopper who was quiet, on each node for itself")
	f.Float64("rate-limit-address-per-second", 0, "grabs, challenges and tickets from one address (IPv6: from one network of 64 bits) a second, on all nodes together; 0 = no limit")
	f.Int("rate-limit-address-burst", 20, "of these at once, from an address that was quiet, on all nodes together: an even part on each at first")
	f.Float64("rate-limit-look-per-second", 50, "looks that are made for one address alone (sessions by distance or page, entries of a draw) a second, on each node for itself; 0 = no limit")
	f.Int("rate-limit-look-burst", 500, "of these at once, from an address that was quiet, on each node for itself")
	f.Float64("rate-limit-write-per-second", 5, "receivers, cancellations, reservations and places given up of one shopper a second, and about one listing or order a hundredth of that, on each node for itself; 0 = no limit")
	f.Int("rate-limit-write-burst", 50, "of these at once, of a shopper who was quiet, on each node for itself")
	f.Duration("ticket-ttl", 2*time.Minute, "how long a grab ticket is good")
	f.Int64("challenge-max-number", challenge.DefaultConfig().MaxNumber, "how hard the work of a challenge is: half as many hashes on average")
	f.Duration("challenge-lifetime", challenge.DefaultConfig().Lifetime, "how long a challenge may be solved")
	f.String("home-country", "", "`country` (ISO 3166: CN) whose phone numbers may come without a country code, in claims and risk lists; the same on all nodes")
	f.String("risk-url", "", "`URL` of an outside risk service that is asked about who grabs; without it none is")
	f.Duration("risk-timeout", risk.DefaultConfig().Timeout, "how long a grab waits for the risk service")
	f.Duration("risk-cache-ttl", risk.DefaultConfig().CacheTTL, "how long an answer of the risk service is remembered")
	f.String("risk-when-down", "allow", "what to do while the risk service does not answer: allow, challenge or block")
	f.Int("risk-list-share", httpapi.DefaultListShare, "`percent` of the shoppers of the last minutes that a risk list may meet before it is an alarm, and that a change of a list may bar without --yes; 100 = all")
	f.String("risk-token-file", "", "`file` with the bearer token that the risk service is asked with; read again when it changes")
}

// sections are the parts of a file that only gather keys: rate_limit: {shopper:
// {burst: 5}} is rate_limit_shopper_burst.
var sections = []string{"cashier", "rate_limit", "reconcile", "risk"}

// flattened gives the keys that stand in sections, as they are without them.
func flattened(all map[string]any) map[string]any {
	flat := map[string]any{}
	for key, value := range all {
		for _, section := range sections {
			if strings.HasPrefix(key, section+".") {
				flat[strings.ReplaceAll(key, ".", "_")] = value
			}
		}
	}
	return flat
}

// checkSection refuses keys of a section that mean nothing, each with its line.
func checkSection(path, name string, section *yamlnode.Node, known map[string]bool) error {
	if section.Kind != yamlnode.MappingNode {
		return fmt.Errorf("config %s:%d: %s must be a section, \"key: value\"", path, section.Line, name)
	}
	var errs []error
	seen := map[string]int{}
	for i := 0; i+1 < len(section.Content); i += 2 {
		key, value := section.Content[i], section.Content[i+1]
		full := name + "." + key.Value
		flat := strings.ReplaceAll(full, ".", "_")
		if line, twice := seen[key.Value]; twice {
			errs = append(errs, fmt.Errorf("config %s:%d: %q was set in line %d already", path, key.Line, full, line))
		}
		seen[key.Value] = key.Line
		switch {
		case known[flat]:
			errs = append(errs, checkValue(path, flat, full, value))
		case len(under(known, flat+"_")) == 0:
			errs = append(errs, fmt.Errorf("config %s:%d: unknown key %q; known are %s", path, key.Line, full, strings.Join(under(known, strings.ReplaceAll(name, ".", "_")+"_"), ", ")))
		default:
			errs = append(errs, checkSection(path, full, value, known))
		}
	}
	return errors.Join(errs...)
}

// under lists the known keys with a prefix, sorted.
func under(known map[string]bool, prefix string) (keys []string) {
	for key := range known {
		if strings.HasPrefix(key, prefix) {
			keys = append(keys, key)
		}
	}
	slices.Sort(keys)
	return keys
}

// validateGuard reports every setting of the guard that can't be.
func (c Config) validateGuard() error {
	var errs []error
	_, err := ratelimit.ParseTrusted(c.TrustedProxies)
	errs = append(errs, prefixed("trusted_proxies", err))
	errs = append(errs, prefixed("rate_limit.shopper", c.shopperRate().Validate()), prefixed("rate_limit.address", c.addressRate().Validate()),
		prefixed("rate_limit.look", c.lookRate().Validate()), prefixed("rate_limit.write", c.writeRate().Validate()))
	if c.TicketTTL < time.Second || c.TicketTTL > time.Hour {
		errs = append(errs, fmt.Errorf("ticket_ttl: %s is not between 1s and 1h", c.TicketTTL))
	}
	errs = append(errs, prefixed("challenge", challenge.Config{MaxNumber: c.ChallengeMaxNumber, Lifetime: c.ChallengeLifetime}.Validate()))
	if c.EventStreams < 1 || c.EventStreams > 1_000_000 {
		errs = append(errs, fmt.Errorf("event_streams: %d is not between 1 and 1000000", c.EventStreams))
	}
	_, err = roster.NewCanon(c.HomeCountry)
	errs = append(errs, prefixed("home_country", err))
	if c.RiskListShare < 1 || c.RiskListShare > 100 {
		errs = append(errs, fmt.Errorf("risk.list_share: %d is not between 1 and 100", c.RiskListShare))
	}
	if c.RiskURL == "" {
		if c.RiskTokenFile != "" {
			errs = append(errs, errors.New("risk.token_file: there is no risk.url to ask with it"))
		}
		return errors.Join(errs...)
	}
	rc, err := c.riskConfig()
	errs = append(errs, prefixed("risk.when_down", err))
	if err == nil {
		errs = append(errs, prefixed("risk", rc.Validate()))
	}
	return errors.Join(errs...)
}

// field is the Go field that a room's check of its own Config begins with.
var field = regexp.MustCompile(`^([A-Z]\w*)( is | must )`)

// camel is where a Go name goes on with another word.
var camel = regexp.MustCompile(`([a-z])([A-Z])`)

// prefixed says where each problem of an error stands, with the setting's key for the
// field of a room.
func prefixed(where string, err error) error {
	if err == nil {
		return nil
	}
	join := "_"
	if section, _, _ := strings.Cut(where, "."); slices.Contains(sections, section) {
		join = "."
	}
	lines := strings.Split(err.Error(), "\n")
	for i, line := range lines {
		if at := field.FindStringSubmatch(line); at != nil {
			lines[i] = where + join + strings.ToLower(camel.ReplaceAllString(at[1], "${1}_$2")) + line[len(at[1]):]
		} else {
			lines[i] = where + ": " + line
		}
	}
	return errors.New(strings.Join(lines, "\n"))
}

func (c Config) shopperRate() ratelimit.Config {
	return ratelimit.Config{PerSecond: c.RateLimitShopperPerSecond, Burst: c.RateLimitShopperBurst}
}

func (c Config) addressRate() ratelimit.Config {
	return ratelimit.Config{PerSecond: c.RateLimitAddressPerSecond, Burst: c.RateLimitAddressBurst}
}

func (c Config) lookRate() ratelimit.Config {
	return ratelimit.Config{PerSecond: c.RateLimitLookPerSecond, Burst: c.RateLimitLookBurst}
}

func (c Config) writeRate() ratelimit.Config {
	return ratelimit.Config{PerSecond: c.RateLimitWritePerSecond, Burst: c.RateLimitWriteBurst}
}

// riskConfig is what the risk service is asked by, without its token.
func (c Config) riskConfig() (rc risk.Config, err error) {
	down, err := risk.ParseLevel(c.RiskWhenDown)
	if err != nil {
		return rc, err
	}
	return risk.Config{URL: c.RiskURL, Timeout: c.RiskTimeout, CacheTTL: c.RiskCacheTTL, WhenDown: down}, nil
}

// guard makes what the shoppers' door is guarded by.
func (c Config) guard(k keys, logger *slog.Logger) (g httpapi.GuardConfig, err error) {
	g = httpapi.GuardConfig{ShopperRate: c.shopperRate(), AddressRate: c.addressRate(), LookRate: c.lookRate(), WriteRate: c.writeRate(),
		TicketTTL: c.TicketTTL, ListShare: c.RiskListShare,
		Challenges: challenge.Config{MaxNumber: c.ChallengeMaxNumber, Lifetime: c.ChallengeLifetime}}
	if g.Canon, err = roster.NewCanon(c.HomeCountry); err != nil {
		return g, err
	}
	if g.Proxies, err = ratelimit.ParseTrusted(c.TrustedProxies); err != nil || c.RiskURL == "" {
		return g, err
	}
	rc, err := c.riskConfig()
	if err != nil {
		return g, err
	}
	rc.Logger, rc.Token = logger, k.risk
	g.Risk, err = risk.New(rc)
	return g, err
}
