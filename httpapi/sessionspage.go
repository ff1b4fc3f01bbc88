package httpapi

import (
	"bytes"
	"compress/flate"
	"encoding/binary"
	"hash/crc32"
	"strings"
	"sync"
	"time"

	"github.com/valyala/fasthttp"

	"doorbuster/engine"
)

// sessionsHorizon is how far ahead the sessions are told unless until says
// otherwise: those that are open, and those that start by then.
const sessionsHorizon = 7 * 24 * time.Hour

// usualSessions is how many sessions a page has unless it is said.
const usualSessions = 100

// sessionsQuery is what may be asked of the sessions.
type sessionsQuery struct {
	wordsQuery
	// Where the shopper is: latitude (-90 to 90), a comma, longitude (-180 to 180), in degrees.
	Near askedPlace `query:"near"`
	// The latest start to tell of (RFC 3339). Without it, sessions that start within 7 days;
	// those that are open are always told.
	Until engine.Time `query:"until"`
	// Where the next page begins, as the last one told. Not with near.
	Cursor string `query:"cursor" as:"id"`
	Limit  int    `query:"limit" usual:"100" most:"1000"` // How many at most.
}

// shownSessions are those of a page.
type shownSessions struct {
	sessions []engine.SessionView
	next     string      // the cursor of the next page; "" at the end
	later    int         // start beyond the horizon
	turns    engine.Time // when the first of those comes within it; Never if none does
}

// within gives those of the sessions that start by the horizon.
func (q *sessionsQuery) within(all []engine.SessionView, now engine.Time) shownSessions {
	shown := shownSessions{turns: engine.Never}
	until := q.Until
	if until == 0 {
		until = now.Add(sessionsHorizon)
	}
	for i := range all {
		if start := all[i].Start; start > until {
			shown.later++
			shown.turns = min(shown.turns, start.Add(-sessionsHorizon))
			continue
		}
		shown.sessions = append(shown.sessions, all[i])
	}
	return shown
}

// page cuts what is shown to the page that is asked for; false for a cursor that
// leads nowhere.
func (q *sessionsQuery) page(shown *shownSessions) bool {
	if q.Cursor != "" {
		at := 0
		for at < len(shown.sessions) && shown.sessions[at].ID != q.Cursor {
			at++
		}
		if at == len(shown.sessions) {
			return false
		}
		shown.sessions = shown.sessions[at+1:]
	}
	if len(shown.sessions) > q.Limit {
		shown.sessions = shown.sessions[:q.Limit]
		shown.next = shown.sessions[q.Limit-1].ID
	}
	return true
}

// Compressed pages. What is on display is compressed once for each change: its last
// member, the time, follows as a block of its own that is not.

// leastCompressed is from how many bytes on a page is compressed.
const leastCompressed = 1024

// compressed is the gzip of all of a page but its last member: a header and a
// stream of blocks that goes on.
type compressed struct {
	once  sync.Once
	begun []byte
	crc   uint32
}

// appendGzip appends the page, ended by tail, as gzip.
func (p *page) appendGzip(dst, tail []byte) []byte {
	z := &p.zipped
	z.once.Do(func() {
		var b bytes.Buffer
		b.Write([]byte{0x1f, 0x8b, 8, 0, 0, 0, 0, 0, 0, 0xff})
		w, _ := flate.NewWriter(&b, flate.DefaultCompression) // a level that there is
		_, _ = w.Write(p.body)                                // memory does not fail
		_ = w.Flush()
		z.begun, z.crc = b.Bytes(), crc32.ChecksumIEEE(p.body)
	})
	dst = append(dst, z.begun...)
	dst = append(dst, 1) // the last block, stored
	dst = binary.LittleEndian.AppendUint16(dst, uint16(len(tail)))
	dst = binary.LittleEndian.AppendUint16(dst, ^uint16(len(tail)))
	dst = append(dst, tail...)
	dst = binary.LittleEndian.AppendUint32(dst, crc32.Update(z.crc, crc32.IEEETable, tail))
	return binary.LittleEndian.AppendUint32(dst, uint32(len(p.body)+len(tail)))
}

// takesGzip reports whether who asks takes gzip (RFC 9110, 12.5.3).
func takesGzip(ctx *fasthttp.RequestCtx) bool {
	for coding := range strings.SplitSeq(string(ctx.Request.Header.Peek(fasthttp.HeaderAcceptEncoding)), ",") {
		name, weight, _ := strings.Cut(coding, ";")
		if strings.EqualFold(strings.TrimSpace(name), "gzip") {
			weight = strings.ReplaceAll(strings.TrimSpace(weight), " ", "")
			return strings.Trim(strings.TrimPrefix(weight, "q="), "0.") != "" || weight == ""
		}
	}
	return false
}
