package auth

import (
	"errors"
	"fmt"
	"time"

	"github.com/golang-jwt/jwt/v5"

	"doorbuster/engine"
)

// Claims are what a token says.
type Claims struct {
	Audience Audience
	Subject  string        // engine.ValidShopper
	Role     Role          // of an operator only
	Supplier string        // whose products it is for, with the role Supplier only
	Issuer   string        // "" is none
	TTL      time.Duration // from when it is signed; 1 s to 366 days
}

// Sign makes a token of c by an HS256 secret, or says all that is wrong.
func (c Claims) Sign(secret []byte, now time.Time) (string, error) {
	var errs []error
	if c.Audience != Shoppers && c.Audience != Operators {
		errs = append(errs, fmt.Errorf("there is no audience %q", string(c.Audience)))
	}
	if !engine.ValidShopper(c.Subject) {
		errs = append(errs, errors.New("the subject must have "+engine.ShopperForm))
	}
	if c.Audience == Operators && !c.Role.valid() {
		errs = append(errs, fmt.Errorf("there is no role %q; take viewer, operator, admin or supplier", string(c.Role)))
	}
	if c.Role == Supplier && !engine.ValidID(c.Supplier) {
		errs = append(errs, fmt.Errorf("the role supplier needs the id of a supplier; %q is none", c.Supplier))
	}
	if c.Role != Supplier && c.Supplier != "" {
		errs = append(errs, errors.New("only the role supplier has a supplier"))
	}
	if c.Audience == Shoppers && c.Role != "" {
		errs = append(errs, errors.New("a shopper has no role"))
	}
	if c.TTL < time.Second || c.TTL > 366*24*time.Hour {
		errs = append(errs, fmt.Errorf("the token would be valid for %s; it must be 1s to 366 days", c.TTL))
	}
	if len(secret) < MinSecretBytes {
		errs = append(errs, fmt.Errorf("the secret has %d bytes; it must have at least %d", len(secret),
			MinSecretBytes))
	}
	if err := errors.Join(errs...); err != nil {
		return "", fmt.Errorf("mint a token: %w", err)
	}
	said := jwt.MapClaims{
		"sub": c.Subject, "aud": string(c.Audience), "iat": now.Unix(), "exp": now.Add(c.TTL).Unix(),
	}
	if c.Role != "" {
		said["role"] = string(c.Role)
	}
	if c.Supplier != "" {
		said["supplier"] = c.Supplier
	}
	if c.Issuer != "" {
		said["iss"] = c.Issuer
	}
	signed, err := jwt.NewWithClaims(jwt.SigningMethodHS256, said).SignedString(secret)
	if err != nil {
		return "", fmt.Errorf("mint a token: %w", err)
	}
	return signed, nil
}
