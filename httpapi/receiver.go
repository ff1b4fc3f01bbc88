package httpapi

import (
	"errors"
	"unicode/utf8"

	"github.com/valyala/fasthttp"

	"doorbuster/engine"
	"doorbuster/httpapi/auth"
	"doorbuster/httpapi/input"
	"doorbuster/httpapi/personal"
	"doorbuster/httpapi/wire"
)

// sealTries is how often a receiver is sealed until it is with the key that there is:
// another door may have made the shopper's first one meanwhile, or the key was wrapped anew.
const sealTries = 4

// receiver takes where an order's goods go.
func (s *ShopperServer) receiver(ctx *fasthttp.RequestCtx, shopper, orderNo string) {
	var said wire.Receiver
	if wrong := decodeStrictly(ctx.Request.Body(), &said); wrong != "" {
		s.problem(ctx, malformed, wrong)
		return
	}
	to := personal.Receiver(said)
	if wrong := to.Check(); wrong != "" {
		s.problem(ctx, malformed, wrong)
		return
	}
	wait, stop := s.commandContext()
	defer stop()
	for tries := 1; ; tries++ {
		sealed, key, err := s.vault.Seal(shopper, to)
		if err != nil {
			s.sealFailed(ctx, err)
			return
		}
		o, err := s.seller.SetReceiver(wait, shopper, orderNo, sealed, key)
		if refusal, is := errors.AsType[*engine.Refusal](err); !is || refusal.Reason != engine.ReasonConflict ||
			tries == sealTries {
			s.orderOrError(ctx, &o, err)
			return
		}
	}
}

// sealFailed answers a receiver that can't be kept as it must be.
func (s *ShopperServer) sealFailed(ctx *fasthttp.RequestCtx, err error) {
	s.faults.Do(func() { s.log.Error("a receiver can't be sealed", "error", err) })
	s.problem(ctx, unavailable, "Receivers can't be kept safely here just now, so this one was not kept. Nothing has "+
		"changed; ask again later.")
}

// appendReceiver appends the member that gives an order's receiver to its shopper, if it
// can be read.
func (s *ShopperServer) appendReceiver(b []byte, o *engine.OrderView) []byte {
	if !o.HasReceiver {
		return b
	}
	to, err := s.vault.Open(o.Shopper, o.Receiver)
	if err != nil {
		if !errors.Is(err, personal.ErrErased) {
			s.faults.Do(func() { s.log.Error("a receiver can't be opened", "order", o.OrderNo, "error", err) })
		}
		return b
	}
	b = append(b, `,"receiver":{"name":`...)
	b = appendString(b, to.Name)
	b = append(b, `,"phone":`...)
	b = appendString(b, to.Phone)
	for _, part := range [...]struct{ name, value string }{{`,"country":`, to.Country}, {`,"province":`, to.Province},
		{`,"city":`, to.City}, {`,"district":`, to.District}, {`,"street":`, to.Street},
		{`,"post_code":`, to.PostCode}} {
		if part.value != "" {
			b = appendString(append(b, part.name...), part.value)
		}
	}
	return append(b, '}')
}

// receiverOf gives an order's receiver as a role may see it, or why it can't be told; nil
// and "" where there is none.
func (s *AdminServer) receiverOf(o *engine.OrderView, role auth.Role) (to *wire.Receiver, state string) {
	if !o.HasReceiver {
		return nil, ""
	}
	plain, err := s.vault.Open(o.Shopper, o.Receiver)
	switch {
	case errors.Is(err, personal.ErrErased):
		return nil, "erased"
	case err != nil:
		s.faults.Do(func() { s.log.Error("a receiver can't be opened", "order", o.OrderNo, "error", err) })
		return nil, "unreadable"
	case !role.Covers(auth.Operator):
		plain = personal.Mask(plain)
	}
	seen := wire.Receiver(plain)
	return &seen, ""
}

// validText reports whether text is there, short enough, and for people to read.
func validText(text string) bool {
	return text != "" && len(text) <= engine.MaxTextBytes && utf8.ValidString(text) && input.OneLine(text) == ""
}
