package httpapi

import (
	"encoding/hex"
	"net/http"
	"strconv"
	"strings"

	"doorbuster/engine"
	"doorbuster/httpapi/wire"
)

// bargainQuery is what an operator looks for among bargains.
type bargainQuery struct {
	Session string              `query:"session" as:"id"`               // Of this session.
	SKU     string              `query:"sku" as:"id"`                   // Of this SKU.
	Shopper string              `query:"shopper" as:"shopper"`          // Started by them.
	State   engine.BargainState `query:"state"`                         // In this state.
	Cursor  string              `query:"cursor" as:"cursor"`            // From the page before.
	Limit   int                 `query:"limit" usual:"100" most:"1000"` // Bargains a page.
}

// bargains finds a page of bargains.
func (s *AdminServer) bargains(_ *http.Request, q *bargainQuery) (page wire.OpsBargains, err error) {
	found, next, err := s.operator.FindBargains(engine.BargainFilter(*q))
	if reasonOf(err) == engine.ReasonConflict { // nothing else of a filter can contradict what is there
		return page, refuse(malformed, foreignCursor)
	}
	return wire.OpsBargains{Bargains: listOf(found, opsBargainOf), Cursor: next}, err
}

// cutsQuery is which cuts of a bargain are looked at.
type cutsQuery struct {
	Cursor int64 `query:"cursor" least:"0" most:"4294967295"` // From the page before.
	Limit  int   `query:"limit" usual:"4000" most:"4000"`     // Cuts a page.
}

// bargain looks into a bargain, with every cut of it.
func (s *AdminServer) bargain(r *http.Request, q *cutsQuery) (wire.OpsBargain, error) {
	v, err := s.operator.BargainCuts(strings.ToUpper(r.PathValue("code")), uint32(q.Cursor), q.Limit)
	if err != nil {
		return wire.OpsBargain{}, err
	}
	j := opsBargainOf(&v)
	j.CutsMade = listOf(v.Recent, func(c *engine.CutView) wire.OpsCut {
		return wire.OpsCut{Number: c.Number, Friend: c.Friend, Amount: c.Amount, Weight: c.Weight, New: c.New,
			At: rfc3339(c.At)}
	})
	if n := len(v.Recent); n == q.Limit && v.Recent[n-1].Number > 1 {
		j.Cursor = strconv.FormatUint(uint64(v.Recent[n-1].Number), 10)
	}
	return j, nil
}

func (s *AdminServer) endBargain(r *http.Request, b *wire.Note) (wire.OpsBargain, error) {
	v, err := s.operator.EndBargain(r.Context(), byOf(r), strings.ToUpper(r.PathValue("code")), b.Note)
	return opsBargainOf(&v), err
}

func opsBargainOf(v *engine.BargainView) wire.OpsBargain {
	j := wire.OpsBargain{Code: v.Code, Session: v.Session, SKU: v.SKU, Shopper: v.Owner, State: v.State.String(),
		StartPrice: v.From, Price: v.Price, Floor: v.Floor, Currency: v.Currency, Cuts: v.Cuts, Friends: v.Friends,
		StartedAt: rfc3339(v.Started), ExpiresAt: rfc3339(v.Expires), OrderNo: v.OrderNo,
		Commitment: hex.EncodeToString(v.Commitment[:])}
	if v.Revealed {
		j.Seed = hex.EncodeToString(v.Seed[:])
	}
	return j
}

// plays lists the templates of plays.
func (s *AdminServer) plays(*http.Request) (wire.Plays, error) {
	all, err := s.operator.Plays()
	return wire.Plays{Plays: listOf(all, func(t *engine.PlayVersion) wire.PlayTemplate {
		return wire.PlayTemplate{ID: t.ID, Version: t.Version, Since: rfc3339(t.Since), Text: t.Text}
	})}, err
}
