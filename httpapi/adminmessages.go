package httpapi

import (
	"fmt"
	"net/http"
	"slices"
	"strings"

	"doorbuster/engine"
	"doorbuster/httpapi/messages"
	"doorbuster/httpapi/wire"
)

// messages gives every message, with the shop's words and those of sales.
func (s *AdminServer) messages(*http.Request) (wire.Messages, error) {
	list := make([]wire.Message, messages.Messages)
	for m := range messages.Messages {
		j := wire.Message{Name: m.String(), Placeholders: []string{}, Shop: wire.Text{}, Sales: map[string]wire.Text{}}
		for _, b := range m.Blanks() {
			j.Placeholders = append(j.Placeholders, b.String())
		}
		for in := range messages.Languages {
			j.Shop[in.Tag()] = m.Shop(in)
		}
		list[m] = j
	}
	for _, sale := range s.operator.Sales() {
		for _, own := range sale.Messages {
			if m, known := messages.Named(own.Name); known {
				list[m].Sales[sale.ID] = textJSON(own.Text)
			}
		}
	}
	return wire.Messages{Messages: list}, nil
}

// setMessage gives a sale its own words for a message: all languages at once, those
// left out in the shop's.
func (s *AdminServer) setMessage(r *http.Request, b *wire.MessageRequest) (wire.PlanChanges, error) {
	m, known := messages.Named(r.PathValue("name"))
	switch {
	case !known:
		return wire.PlanChanges{}, noSuchMessage
	case len(b.Text) == 0:
		return wire.PlanChanges{}, refuse(malformed,
			`The text must be there, for one language at least: {"text":{"en":"…"}}. `+
				`DELETE goes back to the shop's own messages.`)
	}
	sale := r.PathValue("sale")
	own := engine.Message{Name: m.String()}
	var problems []wire.PlanProblem
	for tag, text := range b.Text {
		at := fmt.Sprintf("sales[%s].messages.%s.%s", sale, m, tag)
		if _, spoken := messages.LanguageNamed(tag); !spoken {
			problems = append(problems, wire.PlanProblem{Path: at, Message: "nobody is spoken to in this language; " +
				"it is en or zh"})
		} else if _, err := messages.Parse(m, text); err != nil {
			problems = append(problems, wire.PlanProblem{Path: at, Message: err.Error()})
		}
		own.Text = append(own.Text, engine.Words{Lang: tag, Text: text})
	}
	if len(problems) > 0 {
		slices.SortFunc(problems, func(a, b wire.PlanProblem) int { return strings.Compare(a.Path, b.Path) })
		return wire.PlanChanges{}, refuse(badPlan, planRefused, problems...)
	}
	slices.SortFunc(own.Text, func(a, b engine.Words) int { return strings.Compare(a.Lang, b.Lang) })
	return s.changeMessage(r, own)
}

// resetMessage takes a sale's own words for a message away.
func (s *AdminServer) resetMessage(r *http.Request) (wire.PlanChanges, error) {
	m, known := messages.Named(r.PathValue("name"))
	if !known {
		return wire.PlanChanges{}, noSuchMessage
	}
	return s.changeMessage(r, engine.Message{Name: m.String()})
}

func (s *AdminServer) changeMessage(r *http.Request, own engine.Message) (wire.PlanChanges, error) {
	o, err := s.operator.SetMessage(r.Context(), byOf(r), r.PathValue("sale"), own)
	return planned(&o, false, err)
}

var noSuchMessage = refuse(notFound, "No message has this name. See /admin/v1/messages.")
