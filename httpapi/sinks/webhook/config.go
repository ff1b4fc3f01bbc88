package webhook

import (
	"cmp"
	"errors"
	"fmt"
	"log/slog"
	"net/netip"
	"net/url"
	"strings"
	"time"

	standardwebhooks "github.com/standard-webhooks/standard-webhooks/libraries/go"

	"doorbuster/httpapi/sinks"
)

// Config says where changes are posted, and how. Zero fields take what DefaultConfig has.
type Config struct {
	// URL that each change is posted to, http or https; required.
	URL string
	// Signers sign what is posted, each with a signature of its own, so that a secret can be
	// changed without a gap. They are asked for again every 10 s while something is posted;
	// one goroutine asks. Required.
	Signers func() ([]*standardwebhooks.Webhook, error)
	// Encode writes a change as the body, which is the sink's from then on; required.
	Encode func(*sinks.Change) ([]byte, error)
	// ContentType of the body. Default application/json.
	ContentType string
	// Timeout is for one request, connecting included. Default 10 s, 10 ms to 1 min.
	Timeout time.Duration
	// InFlight is how many orders' changes are posted at once. Default 8, 1 to 64. Those of
	// one order are posted one after the other.
	InFlight int
	// Attempts is how often a change is posted that the receiver refuses while it takes
	// others, before it is put aside. Default 5, 1 to 100.
	Attempts int
	// Allow are the inner addresses that may be posted to all the same: see Inner. Default:
	// none.
	Allow []netip.Prefix

	sinks.Means
}

// DefaultConfig is complete but for what is required.
func DefaultConfig() Config {
	return Config{ContentType: "application/json", Timeout: 10 * time.Second, InFlight: 8, Attempts: 5}
}

func (c Config) withDefaults() Config {
	d := DefaultConfig()
	c.ContentType = cmp.Or(c.ContentType, d.ContentType)
	c.Timeout = cmp.Or(c.Timeout, d.Timeout)
	c.InFlight = cmp.Or(c.InFlight, d.InFlight)
	c.Attempts = cmp.Or(c.Attempts, d.Attempts)
	c.Logger = cmp.Or(c.Logger, slog.New(slog.DiscardHandler))
	return c
}

// Validate reports every value that is out of its bounds.
func (c Config) Validate() error {
	c = c.withDefaults()
	errs := []error{CheckURL(c.URL)}
	for name, missing := range map[string]bool{"Signers": c.Signers == nil, "Encode": c.Encode == nil,
		"Bury": c.Bury == nil} {
		if missing {
			errs = append(errs, errors.New(name+" is missing"))
		}
	}
	if c.Timeout < 10*time.Millisecond || c.Timeout > time.Minute {
		errs = append(errs, fmt.Errorf("a Timeout of %s; it must be 10ms to 1m", c.Timeout))
	}
	if c.InFlight < 1 || c.InFlight > 64 {
		errs = append(errs, fmt.Errorf("an InFlight of %d; it must be 1 to 64", c.InFlight))
	}
	if c.Attempts < 1 || c.Attempts > 100 {
		errs = append(errs, fmt.Errorf("an Attempts of %d; it must be 1 to 100", c.Attempts))
	}
	return errors.Join(errs...)
}

// CheckURL says what is wrong with a URL to post to. It does not quote it.
func CheckURL(text string) error {
	u, err := url.Parse(text)
	switch {
	case err != nil || u.Scheme != "http" && u.Scheme != "https" || u.Hostname() == "":
		return errors.New("it must be like https://shop.example/hooks")
	case u.User != nil:
		return errors.New("it may hold no user and no password: the receiver knows us by our signature")
	case u.Fragment != "":
		return errors.New("it may have no fragment")
	}
	return nil
}

// Secret bounds, in bytes, as the specification has them.
const (
	leastSecret = 24
	mostSecret  = 64
)

// ReadSecrets reads 1 to 8 secrets in the form of the specification, one a line: whsec_ and
// base64 of 24 to 64 bytes. Its errors name the line, and never the text.
func ReadSecrets(text []byte) (signers []*standardwebhooks.Webhook, err error) {
	for i, line := range strings.Split(strings.TrimSpace(string(text)), "\n") {
		line = strings.TrimSpace(line)
		key, wrong := decodeSecret(line)
		if wrong != "" {
			return nil, fmt.Errorf("line %d is no secret: %s", i+1, wrong)
		}
		signer, err := standardwebhooks.NewWebhookRaw(key)
		if err != nil {
			return nil, fmt.Errorf("line %d is no secret", i+1)
		}
		signers = append(signers, signer)
	}
	if len(signers) > 8 {
		return nil, fmt.Errorf("there are %d secrets; it may be 8", len(signers))
	}
	return signers, nil
}

// ParseAddresses reads addresses (10.1.2.3, fd00::1) and prefixes (10.1.0.0/16), without zones.
func ParseAddresses(texts []string) (all []netip.Prefix, err error) {
	for _, text := range texts {
		prefix, err := netip.ParsePrefix(text)
		if err != nil {
			addr, alone := netip.ParseAddr(text)
			if alone != nil || addr.Zone() != "" {
				return nil, fmt.Errorf("%q is no address and no prefix such as 10.1.0.0/16", text)
			}
			prefix = netip.PrefixFrom(addr, addr.BitLen())
		}
		all = append(all, prefix.Masked())
	}
	return all, nil
}
