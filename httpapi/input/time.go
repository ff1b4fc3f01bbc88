package input

import (
	"encoding/json"
	"fmt"
	"strconv"
	"strings"
	"time"
)

// TimeForm is what a time is like, for those who send none such.
const TimeForm = "a time such as 2026-09-20T02:15:00Z (RFC 3339)"

// mostTimeBytes bounds what is quoted.
const mostTimeBytes = 40

// TimeError is a text that is no time.
type TimeError struct{ Text string }

func (e *TimeError) Error() string {
	text := e.Text
	if len(text) > mostTimeBytes {
		text = text[:mostTimeBytes] + "…"
	}
	return fmt.Sprintf("%s is not %s", strconv.QuoteToASCII(text), TimeForm)
}

// Time reads a time of RFC 3339, whose t and z may be small letters. Error: a
// *TimeError.
func Time(text string) (time.Time, error) {
	t, err := time.Parse(time.RFC3339, strings.ToUpper(text))
	if err != nil {
		return t, &TimeError{text}
	}
	return t, nil
}

// Moment is a time as a member of a JSON object.
type Moment struct{ time.Time }

// UnmarshalJSON reads a string; null leaves the zero time.
func (m *Moment) UnmarshalJSON(text []byte) error {
	if string(text) == "null" {
		return nil
	}
	var said string
	if json.Unmarshal(text, &said) != nil {
		return &TimeError{string(text)}
	}
	t, err := Time(said)
	if err == nil {
		m.Time = t
	}
	return err
}
