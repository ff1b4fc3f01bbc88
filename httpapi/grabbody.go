package httpapi

import (
	"strconv"

	"doorbuster/engine"
	"doorbuster/httpapi/wire"
)

// maxTicketText bounds a ticket as it is sent; a good one is far shorter.
const maxTicketText = 512

// read takes in the body of a grab. wrong says what is wrong with it, "" if nothing.
func (c *grabCall) read(body []byte) (kind problemKind, wrong string) {
	plain := grabBody{quantity: 1}
	if !plain.read(body) {
		var request struct {
			Quantity *int64  `json:"quantity"`
			Ticket   *string `json:"ticket"`
			Waitlist *bool   `json:"waitlist"`
		}
		if wrong = decodeStrictly(body, &request); wrong != "" {
			return malformed, wrong
		}
		plain = grabBody{quantity: 1}
		if request.Quantity != nil {
			plain.quantity = *request.Quantity
		}
		if request.Ticket != nil {
			plain.ticket = []byte(*request.Ticket)
		}
		plain.waitlist = request.Waitlist != nil && *request.Waitlist
	}
	if wrong = wrongTicket(plain.ticket); wrong != "" {
		return malformed, wrong
	}
	if q := plain.quantity; q < 1 || q > engine.MaxQuantity {
		return badQuantity, "The quantity is " + strconv.FormatInt(q, 10) + "; it must be 1 to " +
			strconv.Itoa(engine.MaxQuantity) + ", and within the listing's limit."
	}
	c.grab.Quantity, c.grab.Waitlist, c.ticket = uint32(plain.quantity), plain.waitlist, plain.ticket
	return 0, ""
}

// readTicket takes in the body of what is asked of a bargain.
func (c *grabCall) readTicket(body []byte) (kind problemKind, wrong string) {
	var request wire.BargainRequest
	if wrong = decodeStrictly(body, &request); wrong != "" {
		return malformed, wrong
	}
	c.ticket = []byte(request.Ticket)
	return malformed, wrongTicket(c.ticket)
}

func wrongTicket(ticket []byte) string {
	if len(ticket) <= maxTicketText {
		return ""
	}
	return "The ticket has " + strconv.Itoa(len(ticket)) + " bytes; none that was given out has more than " +
		strconv.Itoa(maxTicketText) + "."
}

// grabBody is what the body of a grab says.
type grabBody struct {
	quantity int64
	ticket   []byte // lies in the body
	waitlist bool
}

// read reads a body as most are: one object with each member at most once,
// nothing escaped. It allocates nothing. false: somebody more patient must look.
func (b *grabBody) read(body []byte) bool {
	p := plainJSON{rest: body}
	if !p.take('{') {
		return false
	}
	var quantity, ticket, waitlist bool
	for first := true; !p.take('}'); first = false {
		if !first && !p.take(',') {
			return false
		}
		name, ok := p.text()
		if !ok || !p.take(':') {
			return false
		}
		var again bool
		switch string(name) {
		case "quantity":
			again, quantity = quantity, true
			b.quantity, ok = p.number()
		case "ticket":
			again, ticket = ticket, true
			b.ticket, ok = p.text()
		case "waitlist":
			again, waitlist = waitlist, true
			b.waitlist, ok = p.boolean()
		default:
			return false
		}
		if !ok || again {
			return false
		}
	}
	return p.end()
}

// plainJSON reads the little of JSON that needs no thought.
type plainJSON struct{ rest []byte }

func (p *plainJSON) space() {
	for len(p.rest) > 0 && (p.rest[0] == ' ' || p.rest[0] == '\n' || p.rest[0] == '\t' || p.rest[0] == '\r') {
		p.rest = p.rest[1:]
	}
}

func (p *plainJSON) end() bool {
	p.space()
	return len(p.rest) == 0
}

// take takes c if it is what comes next.
func (p *plainJSON) take(c byte) bool {
	p.space()
	if len(p.rest) == 0 || p.rest[0] != c {
		return false
	}
	p.rest = p.rest[1:]
	return true
}

// text takes a string of printable ASCII in which nothing is escaped.
func (p *plainJSON) text() (text []byte, ok bool) {
	if !p.take('"') {
		return nil, false
	}
	for i, c := range p.rest {
		switch {
		case c == '"':
			text, p.rest = p.rest[:i], p.rest[i+1:]
			return text, true
		case c < ' ' || c > '~' || c == '\\':
			return nil, false
		}
	}
	return nil, false
}

// number takes a whole number of at most ten digits.
func (p *plainJSON) number() (n int64, ok bool) {
	p.space()
	i := 0
	for i < len(p.rest) && p.rest[i] >= '0' && p.rest[i] <= '9' {
		if i == 10 {
			return 0, false
		}
		n = n*10 + int64(p.rest[i]-'0')
		i++
	}
	if i == 0 || i > 1 && p.rest[0] == '0' || i < len(p.rest) && (p.rest[i] == '.' || p.rest[i]|0x20 == 'e') {
		return 0, false
	}
	p.rest = p.rest[i:]
	return n, true
}

func (p *plainJSON) boolean() (yes, ok bool) {
	p.space()
	for _, word := range [...]string{"true", "false"} {
		if len(p.rest) >= len(word) && string(p.rest[:len(word)]) == word {
			p.rest = p.rest[len(word):]
			return word == "true", true
		}
	}
	return false, false
}
