package bench

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"sync"
	"time"
)

// papers are what shoppers of a volley show: the token of each, and their ticket, all
// of one length.
type papers struct {
	first           uint64 // the number of the first shopper
	count           int
	tokens, tickets column
}

// column has texts of one length, one behind the other, so that a request is made by
// copying.
type column struct {
	text []byte
	size int // of one
}

func (c *column) add(text string) error {
	if c.size == 0 {
		c.size = len(text)
	}
	if len(text) != c.size {
		return fmt.Errorf("%.20s… has %d bytes, the others %d", text, len(text), c.size)
	}
	c.text = append(c.text, text...)
	return nil
}

func (c *column) at(i int) []byte { return c.text[i*c.size : (i+1)*c.size] }

// paperSlots are where a request has them.
type paperSlots struct{ token, ticket, address int }

// errAllCame is a volley that had fewer shoppers with tokens than it could send.
var errAllCame = errors.New("the volley ran out of shoppers with tokens before it was measured")

// equippedAtOnce is how many shoppers get tokens and tickets before a measurement,
// which ends when all have come: so few that a node remembers most of the tokens
// that it saw with the requests for tickets, as it would of shoppers who ask for a
// ticket and grab seconds later.
const equippedAtOnce = 60_000

// Equipped is how many shoppers with tokens are enough for a measurement of so long.
func Equipped(measured time.Duration) int {
	const perSecond = 100_000 // more than anybody grants on the machines it is for
	return max(2*primeTries, min(equippedAtOnce, int(perSecond*measured.Seconds())))
}

// VolleyShopper is the name of shopper number n of those who come with tokens, from
// 1 on: of one length for all.
func VolleyShopper(prefix string, n uint64) string {
	return fmt.Sprintf("%s%0*d", prefix, numberDigits, n)
}

// paperAddress is the client address of shopper number n: a network of its own.
func paperAddress(n uint64) string {
	return fmt.Sprintf("fd00:0:%04x:%04x::1", n>>16&0xffff, n&0xffff)
}

// equip gets tokens and tickets for the next count shoppers, and makes the request
// that they go into. It does nothing for a volley without.
func (v *volley) equip(ctx context.Context, count int) error {
	if v.server.TokenFor == nil {
		return nil
	}
	p := papers{first: v.shopper.Load() + 1, count: count}
	for i := range count {
		token, err := v.server.TokenFor(VolleyShopper(v.prefix, p.first+uint64(i)))
		if err != nil {
			return err
		}
		if err := p.tokens.add(token); err != nil {
			return fmt.Errorf("tokens: %w", err)
		}
	}
	v.papers = p
	if err := v.getTickets(ctx); err != nil {
		return fmt.Errorf("get tickets: %w", err)
	}
	v.makeTemplate()
	return nil
}

// makeTemplate makes a whole request with room for papers.
func (v *volley) makeTemplate() {
	p := &v.papers
	body := `{"ticket":"` + string(p.tickets.at(0)) + `"}`
	b := string(appendHead(nil, "POST", v.server.Grab.path()+"/grab", v.addr)) +
		"Content-Type: application/json\r\nContent-Length: " + strconv.Itoa(len(body)) + "\r\nX-Forwarded-For: "
	v.slots.address = len(b)
	b += paperAddress(0) + "\r\nAuthorization: Bearer "
	v.slots.token = len(b)
	b += string(p.tokens.at(0)) + "\r\n\r\n"
	v.slots.ticket = len(b) + len(`{"ticket":"`)
	v.template = []byte(b + body)
}

// patchPapers writes what shopper number n shows into a request; false if there is
// no such shopper.
func (v *volley) patchPapers(request []byte, n uint64) bool {
	i := int(n - v.papers.first)
	if v.pool > 0 && i >= v.papers.count {
		i = v.served + (i-v.served)%(v.papers.count-v.served)
	}
	if i >= v.papers.count {
		return false
	}
	const digits = "0123456789abcdef"
	at := v.slots.address + len("fd00:0:")
	for _, shift := range [...]int{28, 24, 20, 16, -1, 12, 8, 4, 0} {
		if shift >= 0 { // else the colon in between
			request[at] = digits[(v.papers.first+uint64(i))>>shift&15]
		}
		at++
	}
	copy(request[v.slots.token:], v.papers.tokens.at(i))
	copy(request[v.slots.ticket:], v.papers.tickets.at(i))
	return true
}

// Tickets are fetched over ticketConnections, ticketsAtATime over each.
const ticketConnections, ticketsAtATime = 8, 32

// getTickets gets a ticket for each shopper.
func (v *volley) getTickets(ctx context.Context) error {
	p := &v.papers
	errs := make([]error, ticketConnections)
	got := make([][]string, ticketConnections) // of each connection's part, in sequence
	part := func(i int) (from, to int) {
		return i * p.count / ticketConnections, (i + 1) * p.count / ticketConnections
	}
	var all sync.WaitGroup
	for i := range ticketConnections {
		all.Go(func() {
			c := newConn([]string{v.addr}, 0, volleyTimeout)
			defer c.close()
			var requests []byte
			for from, to := part(i); from < to && ctx.Err() == nil; {
				requests = requests[:0]
				n := min(ticketsAtATime, to-from)
				for k := range n {
					requests = append(appendHead(requests, "POST", v.server.Grab.path()+"/ticket", v.addr),
						"Content-Length: 0\r\nX-Forwarded-For: "...)
					requests = append(append(requests, paperAddress(p.first+uint64(from+k))...),
						"\r\nAuthorization: Bearer "...)
					requests = append(append(requests, p.tokens.at(from+k)...), "\r\n\r\n"...)
				}
				_, err := c.exchange(requests, n, func(_ int, a reply) {
					var given struct {
						Ticket string `json:"ticket"`
					}
					if a.status != 200 || json.Unmarshal(a.body, &given) != nil || given.Ticket == "" {
						errs[i] = fmt.Errorf("status %d: %.200s", a.status, a.body)
					}
					got[i] = append(got[i], given.Ticket)
				})
				if errs[i] = errors.Join(errs[i], err); errs[i] != nil {
					return
				}
				from += n
			}
		})
	}
	all.Wait()
	if err := errors.Join(ctx.Err(), errors.Join(errs...)); err != nil {
		return err
	}
	for _, ticket := range slices.Concat(got...) {
		if err := p.tickets.add(ticket); err != nil {
			return err
		}
	}
	return nil
}
