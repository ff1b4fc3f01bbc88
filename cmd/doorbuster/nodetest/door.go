package nodetest

import (
	"bufio"
	"crypto/aes"
	"crypto/cipher"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"
	"encoding/binary"
	"encoding/json"
	"fmt"
	"net/http"
	"strings"
	"time"

	altcha "github.com/altcha-org/altcha-lib-go"

	"doorbuster/engine"
)

// TryWith grabs with a body, and further headers.
func (s *Shop) TryWith(shopper, key, listing, body string, header ...string) (Reply, error) {
	header = append(header, "X-Shopper-Id", shopper)
	if key != "" {
		header = append(header, "Idempotency-Key", key)
	}
	return s.Request("POST", s.ListingURL(listing)+"/grab", body, header...)
}

// ExpectWith grabs with a body and expects a code.
func (s *Shop) ExpectWith(code, shopper, key, listing, body string, header ...string) Reply {
	s.T.Helper()
	a, err := s.TryWith(shopper, key, listing, body, header...)
	if err != nil {
		s.T.Fatal(err)
	}
	if a.Code != code {
		s.T.Fatalf("%s wanted %s with %s: %d %s; want %s", shopper, listing, body, a.Status, a.Body, code)
	}
	return a
}

// Ask asks something of a listing that is no grab.
func (s *Shop) Ask(method, shopper, listing, what, body string) Reply {
	s.T.Helper()
	return s.Do(method, s.ListingURL(listing)+"/"+what, body, "X-Shopper-Id", shopper)
}

// Ticket gets a ticket with a body that says what was solved.
func (s *Shop) Ticket(shopper, listing, body string) string {
	s.T.Helper()
	a := s.Ask("POST", shopper, listing, "ticket", body)
	var given struct{ Ticket string }
	if err := json.Unmarshal([]byte(a.Body), &given); err != nil || given.Ticket == "" {
		s.T.Fatalf("%s asked for a ticket: %d %s", shopper, a.Status, a.Body)
	}
	return given.Ticket
}

func With(ticket string) string { return fmt.Sprintf(`{"ticket":%q}`, ticket) }

// Solve gets a challenge and solves it as the widget does, into the body of a
// request for a ticket.
func (s *Shop) Solve(shopper, listing string) string {
	s.T.Helper()
	a := s.Ask("POST", shopper, listing, "challenge", "")
	var work struct {
		Type, Algorithm, Challenge, Salt, Signature string
		MaxNumber                                   int `json:"maxnumber"`
	}
	if err := json.Unmarshal([]byte(a.Body), &work); err != nil || work.Type != "work" {
		s.T.Fatalf("%s asked for a challenge: %d %s", shopper, a.Status, a.Body)
	}
	found, err := altcha.SolveChallenge(work.Challenge, work.Salt, altcha.SHA256, work.MaxNumber, 0, nil)
	if err != nil {
		s.T.Fatal(err)
	}
	text, err := json.Marshal(altcha.Payload{Algorithm: work.Algorithm, Challenge: work.Challenge,
		Number: int64(found.Number), Salt: work.Salt, Signature: work.Signature})
	if err != nil {
		s.T.Fatal(err)
	}
	return fmt.Sprintf(`{"solution":%q}`, base64.StdEncoding.EncodeToString(text))
}

// Digits reads an image of a challenge as a person would: from its sealed token, with the
// secret that only the group's nodes know, and whoever may take a backup of them.
func (s *Shop) Digits(token string) string {
	s.T.Helper()
	backup := s.Ops("GET", "/admin/v1/cluster/backup?state_only=true", "").Body
	state, err := engine.ReadState(strings.NewReader(backup[24+binary.LittleEndian.Uint32([]byte(backup[12:])):]))
	if err != nil {
		s.T.Fatal(err)
	}
	secret, _ := state.Derive("tickets")
	key := hmac.New(sha256.New, secret[:])
	key.Write([]byte("doorbuster challenge 1 seal"))
	block, err := aes.NewCipher(key.Sum(nil))
	if err != nil {
		s.T.Fatal(err)
	}
	seal, err := cipher.NewGCM(block)
	if err != nil {
		s.T.Fatal(err)
	}
	frame, err := base64.RawURLEncoding.DecodeString(token)
	if err != nil {
		s.T.Fatal(err)
	}
	plain, err := seal.Open(nil, frame[1:13], frame[13:], frame[:1])
	if err != nil {
		s.T.Fatal(err)
	}
	digits := plain[24:]
	for i := range digits {
		digits[i] += '0'
	}
	return string(digits)
}

// Easy makes challenges that cost tests no time.
const Easy = "--challenge-max-number=1000"

// Events opens a stream and gives a function that reads its next event.
func (s *Shop) Events(shopper string) (next func() (event, data string)) {
	s.T.Helper()
	r, err := http.NewRequest("GET", s.HTTP+"/v1/events", nil)
	if err != nil {
		s.T.Fatal(err)
	}
	r.Header["X-Shopper-Id"] = []string{shopper}
	response, err := (&http.Transport{DisableKeepAlives: true}).RoundTrip(r)
	if err != nil {
		s.T.Fatal(err)
	}
	s.T.Cleanup(func() { response.Body.Close() })
	if got := response.Header.Get("Content-Type"); response.StatusCode != 200 || got != "text/event-stream" {
		s.T.Fatalf("status %d, %s", response.StatusCode, got)
	}
	lines := bufio.NewScanner(response.Body)
	return func() (event, data string) {
		s.T.Helper()
		late := time.AfterFunc(Patience, func() { response.Body.Close() })
		defer late.Stop()
		for lines.Scan() {
			line := lines.Text()
			if name, ok := strings.CutPrefix(line, "event: "); ok {
				event = name
			}
			if text, ok := strings.CutPrefix(line, "data: "); ok {
				data = text
			}
			if ms, ok := strings.CutPrefix(line, "retry: "); ok {
				return "retry", ms
			}
			if line == "" && data != "" {
				return event, data
			}
		}
		return "end", ""
	}
}
