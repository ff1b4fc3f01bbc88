package risk

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"

	"doorbuster/httpapi/hidden"
	"doorbuster/httpapi/input"
)

// maxAnswerBytes bounds an answer of the service.
const maxAnswerBytes = 4 << 10

// request is what the service is sent.
type request struct {
	Shopper string `json:"shopper"`
	Address string `json:"address"`
	Session string `json:"session"`
	SKU     string `json:"sku"`
	Phone   string `json:"phone,omitempty"`
}

// exchange puts one question to the service and reads its answer.
func (c *Client) exchange(ctx context.Context, q Question) (Level, error) {
	body, err := json.Marshal(request{Shopper: q.Shopper, Address: q.Address.String(), Session: q.Session, SKU: q.SKU,
		Phone: q.Phone})
	if err != nil {
		return 0, fmt.Errorf("write the question: %w", err)
	}
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, c.cfg.URL, bytes.NewReader(body))
	if err != nil {
		return 0, errors.New("write the question: the URL is not valid")
	}
	req.Header.Set("Content-Type", "application/json")
	req.Header.Set("Accept", "application/json")
	if token := *c.token.Load(); token != "" {
		req.Header.Set("Authorization", "Bearer "+token)
	}
	resp, err := c.http.Do(req)
	if err != nil {
		return 0, fmt.Errorf("ask: %w", hidden.Cause(err)) // the URL may hold a key
	}
	defer func() { _ = resp.Body.Close() }() // it was read, or is of no interest
	if resp.StatusCode != http.StatusOK {
		return 0, fmt.Errorf("the answer's status is %d; it must be 200", resp.StatusCode)
	}
	said, err := io.ReadAll(io.LimitReader(resp.Body, maxAnswerBytes+1))
	if err != nil {
		return 0, fmt.Errorf("read the answer: %w", err)
	}
	return parseAnswer(said)
}

// parseAnswer reads {"level":"…"}. What else the object has is ignored.
func parseAnswer(said []byte) (Level, error) {
	if len(said) > maxAnswerBytes {
		return 0, fmt.Errorf("the answer is longer than %d bytes", maxAnswerBytes)
	}
	var a struct {
		Level *string `json:"level"`
	}
	// The error might quote what a stranger wrote at length.
	if input.Object(said, &a, false) != "" {
		return 0, errors.New("the answer is not a JSON object with a level")
	}
	if a.Level == nil {
		return 0, errors.New("the answer has no level")
	}
	level, err := ParseLevel(*a.Level)
	if err != nil {
		return 0, errors.New("the answer's level is none of allow, watch, challenge and block")
	}
	return level, nil
}
