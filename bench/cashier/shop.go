package cashier

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"strings"
	"time"
)

// maxAnswerBytes bounds what the shop answers.
const maxAnswerBytes = 64 << 10

// post asks one of the shop's doors, signed where there are secrets, and reads the
// JSON that it answers. status is 0 where there was no answer.
func (c *Cashier) post(ctx context.Context, door, path string, question, answer any) (status int, err error) {
	body, err := json.Marshal(question)
	if err != nil {
		return 0, err
	}
	r, err := http.NewRequestWithContext(ctx, http.MethodPost,
		strings.TrimSuffix(door, "/")+path, bytes.NewReader(body))
	if err != nil {
		return 0, err
	}
	r.Header.Set("Content-Type", "application/json")
	if c.cfg.Secrets != nil {
		c.cfg.Secrets.Sign(r, body, time.Now())
	}
	response, err := c.shop.Do(r)
	if err != nil {
		return 0, fmt.Errorf("ask the shop: %w", err)
	}
	defer func() { _ = response.Body.Close() }() // it was read, or is of no interest
	said, err := io.ReadAll(io.LimitReader(response.Body, maxAnswerBytes))
	if err != nil {
		return 0, fmt.Errorf("read the shop's answer: %w", err)
	}
	if err := json.Unmarshal(said, answer); err != nil {
		return response.StatusCode, fmt.Errorf("read the shop's answer: %w", err)
	}
	return response.StatusCode, nil
}
