// Package cloudevents writes changes as CloudEvents 1.0 in JSON, the structured mode of
// https://github.com/cloudevents/spec/blob/v1.0.2/cloudevents/formats/json-format.md, for
// the sinks that speak it.
//
// The envelope is eight members and is written here.
package cloudevents

import (
	"encoding/json"
	"errors"
	"fmt"
	"net/url"
	"strings"
	"unicode"

	"doorbuster/engine"
	"doorbuster/httpapi/sinks"
)

// ContentType is the media type of an event.
const ContentType = "application/cloudevents+json; charset=UTF-8"

// Format says how changes become events.
type Format struct {
	// Source is the CloudEvents attribute: a URI reference that names this group among
	// all that send, "/doorbuster/shop". With ID it is one event's, for ever.
	Source string
	// Data gives a change as JSON, which becomes the event's data as it is. It may be called
	// by several goroutines; what it gives is the event's.
	Data func(*sinks.Change) ([]byte, error)
}

// Validate reports every field that is missing or invalid.
func (f *Format) Validate() error {
	var problems []error
	if u, err := url.Parse(f.Source); f.Source == "" || err != nil || strings.ContainsFunc(f.Source, unicode.IsSpace) {
		problems = append(problems, fmt.Errorf("source %q: it must be a URI reference, such as /doorbuster/shop",
			f.Source))
	} else if u.User != nil {
		problems = append(problems, errors.New("source: it is sent with every event, and must not hold a password"))
	}
	if f.Data == nil {
		problems = append(problems, errors.New("nothing says how a change becomes data"))
	}
	return errors.Join(problems...)
}

// envelope has the members in the order of the specification.
type envelope struct {
	SpecVersion     string          `json:"specversion"`
	ID              string          `json:"id"`
	Source          string          `json:"source"`
	Type            string          `json:"type"`
	Subject         string          `json:"subject,omitempty"`
	Time            string          `json:"time,omitempty"`
	DataContentType string          `json:"datacontenttype"`
	Data            json.RawMessage `json:"data"`
}

// Encode gives a change as an event. Its id is the change's, the same whenever and by
// whichever node it is sent: who gets one twice drops the second. Its subject is the order
// that it is about, or else the session. Error: Data's. Safe for concurrent use.
func (f *Format) Encode(c *sinks.Change) ([]byte, error) {
	data, err := f.Data(c)
	if err != nil {
		return nil, fmt.Errorf("event %s as JSON: %w", c.ID(), err)
	}
	e := envelope{SpecVersion: "1.0", ID: c.ID(), Source: f.Source, Type: "doorbuster." + Kind(c), Subject: c.OrderNo,
		DataContentType: "application/json", Data: data}
	if e.Subject == "" {
		e.Subject = c.Session
	}
	if c.Time != 0 {
		e.Time = c.Time.Wall().UTC().Format("2006-01-02T15:04:05.000Z")
	}
	return json.Marshal(&e)
}

// Kind names what happened, as the trail of events does: "order_paid"; "missing" of a hole.
func Kind(c *sinks.Change) string {
	if c.Missing != 0 {
		return "missing"
	}
	return c.TrailEvent.Kind.Word()
}

// ParsePosition reads a position as Change.ID and TrailPosition.String write it, "4711.1";
// any other text is an error.
func ParsePosition(s string) (p engine.TrailPosition, err error) {
	if n, err := fmt.Sscanf(s, "%d.%d", &p.Index, &p.N); n != 2 || err != nil || p.String() != s {
		return engine.TrailPosition{}, fmt.Errorf("%q is no position in the trail", s)
	}
	return p, nil
}
