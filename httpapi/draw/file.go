package draw

import (
	"bufio"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"hash"
	"io"
	"time"

	"doorbuster/engine"
	"doorbuster/httpapi/input"
	"doorbuster/httpapi/wire"
)

// Version of the file.
const Version = 1

// Header is a file's first line.
type Header struct {
	Version    int       `json:"doorbuster_draw"`
	Session    string    `json:"session"`
	SKU        string    `json:"sku"`
	Stock      int64     `json:"stock"`
	State      string    `json:"state"`
	DrawAt     time.Time `json:"draw_at"`
	Commitment string    `json:"commitment"`     // hex
	Seed       string    `json:"seed,omitempty"` // hex; not there before the draw has closed
}

// Entry is one entrant and what became of them.
type Entry = wire.DrawEntry

// Trailer is a file's last line: how many entries there are, and the SHA-256 of
// all the lines before it. A file that was cut off has none.
type Trailer struct {
	Entries int    `json:"entries"`
	SHA256  string `json:"sha256"`
}

// EntryOf gives an entry as a file has it.
func EntryOf(e *engine.DrawEntry) Entry {
	j := Entry{OrderNo: e.OrderNo, Quantity: e.Quantity, Late: e.Late, State: e.State.String()}
	if e.State == engine.Left || e.State == engine.Passed {
		j.Why = e.Why.String()
	}
	return j
}

// HeaderOf gives the header of a draw's file.
func HeaderOf(v *engine.DrawView) Header {
	h := Header{Version: Version, Session: v.Session, SKU: v.SKU, Stock: v.Stock, State: v.State.String(),
		DrawAt: v.DrawAt.Wall(), Commitment: hex.EncodeToString(v.Commitment[:])}
	if v.Revealed {
		h.Seed = hex.EncodeToString(v.Seed[:])
	}
	return h
}

// Writer writes a file.
type Writer struct {
	to      *bufio.Writer
	sum     hash.Hash
	entries int
}

// NewWriter begins a file.
func NewWriter(to io.Writer, h Header) (*Writer, error) {
	h.Version = Version
	w := &Writer{to: bufio.NewWriter(to), sum: sha256.New()}
	return w, w.line(h)
}

func (w *Writer) line(v any) error {
	text, err := json.Marshal(v)
	if err != nil {
		return err
	}
	text = append(text, '\n')
	w.sum.Write(text) // never fails
	_, err = w.to.Write(text)
	return err
}

// Add writes the next entry.
func (w *Writer) Add(e Entry) error {
	w.entries++
	return w.line(e)
}

// Close ends the file; it closes nothing below.
func (w *Writer) Close() error {
	if err := w.line(Trailer{w.entries, hex.EncodeToString(w.sum.Sum(nil))}); err != nil {
		return err
	}
	return w.to.Flush()
}

// Draw is a whole draw as it was read.
type Draw struct {
	Header
	Entries []Entry // by arrival
}

// ErrDamaged is a file that is not as it was written.
var ErrDamaged = errors.New("the file is damaged")

// maxLine bounds a line of a file.
const maxLine = 64 << 10

// Read reads a file. Error: ErrDamaged.
func Read(from io.Reader) (*Draw, error) {
	lines := bufio.NewScanner(from)
	lines.Buffer(make([]byte, 4096), maxLine)
	d, sum := &Draw{}, sha256.New()
	for no := 1; lines.Scan(); no++ {
		text := lines.Bytes()
		var line struct {
			Entry
			Entries *int   `json:"entries"`
			SHA256  string `json:"sha256"`
		}
		to := any(&line)
		if no == 1 {
			to = &d.Header
		}
		if wrong := input.Object(text, to, false); wrong != "" {
			return nil, fmt.Errorf("%w: line %d is not one of a draw: %s", ErrDamaged, no, wrong)
		}
		switch {
		case no == 1:
			if d.Version != Version {
				return nil, fmt.Errorf("%w: its first line is no header of a draw of version %d", ErrDamaged, Version)
			}
		case line.Entries != nil:
			if got := hex.EncodeToString(sum.Sum(nil)); *line.Entries != len(d.Entries) || line.SHA256 != got {
				return nil, fmt.Errorf("%w: it ends after %d entries with the sum %s, and its last line says %d and %s",
					ErrDamaged, len(d.Entries), got, *line.Entries, line.SHA256)
			}
			if lines.Scan() {
				return nil, fmt.Errorf("%w: it goes on after its last line", ErrDamaged)
			}
			return d, nil
		case len(d.Entries) == engine.MaxEntrants:
			return nil, fmt.Errorf("%w: it has more than %d entries", ErrDamaged, engine.MaxEntrants)
		default:
			d.Entries = append(d.Entries, line.Entry)
		}
		sum.Write(text)
		sum.Write([]byte{'\n'})
	}
	if err := lines.Err(); err != nil {
		return nil, fmt.Errorf("%w: %v", ErrDamaged, err)
	}
	return nil, fmt.Errorf("%w: it ends without its last line; fetch it again", ErrDamaged)
}
