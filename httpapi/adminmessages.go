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
func (s *AdminServer) messages(w http.ResponseWriter, r *http.Request) {
	list := make([]wire.Message, messages.Messages)
	for m := range messages.Messages {
		j := wire.Message{Name: m.String(), Placeholders: []string{}, Shop: map[string]string{}, Sales: map[string]wire.Text{}}
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
	s.reply(w, r, http.StatusOK, map[string]any{"messages": list})
}

// setMessage gives a sale its own words for a message: all languages at once, those
// left out in the shop's.
func (s *AdminServer) setMessage(w http.ResponseWriter, r *http.Request) {
	m, known := s.messageNamed(w, r)
	if !known {
		return
	}
	var request struct {
		Text map[string]string `json:"text"`
	}
	if !s.decode(w, r, &request, func() string {
		if len(request.Text) == 0 {
			return `The text must be there, for one language at least: {"text":{"en":"…"}}. DELETE goes back to the shop's own words.`
		}
		return ""
	}) {
		return
	}
	sale := r.PathValue("sale")
	own := engine.Message{Name: m.String()}
	var problems []wire.PlanProblem
	for tag, text := range request.Text {
		at := fmt.Sprintf("sales[%s].messages.%s.%s", sale, m, tag)
		if _, spoken := messages.LanguageNamed(tag); !spoken {
			problems = append(problems, wire.PlanProblem{Path: at, Message: "nobody is spoken to in this language; it is en or zh"})
		} else if _, err := messages.Parse(m, text); err != nil {
			problems = append(problems, wire.PlanProblem{Path: at, Message: err.Error()})
		}
		own.Text = append(own.Text, engine.Words{Lang: tag, Text: text})
	}
	if len(problems) > 0 {
		slices.SortFunc(problems, func(a, b wire.PlanProblem) int { return strings.Compare(a.Path, b.Path) })
		s.problem(w, r, badPlan, "Nothing was changed. Each problem is listed with its place.", problems...)
		return
	}
	slices.SortFunc(own.Text, func(a, b engine.Words) int { return strings.Compare(a.Lang, b.Lang) })
	s.changeMessage(w, r, sale, own)
}

// resetMessage takes a sale's own words for a message away.
func (s *AdminServer) resetMessage(w http.ResponseWriter, r *http.Request) {
	if m, known := s.messageNamed(w, r); known {
		s.changeMessage(w, r, r.PathValue("sale"), engine.Message{Name: m.String()})
	}
}

func (s *AdminServer) changeMessage(w http.ResponseWriter, r *http.Request, sale string, own engine.Message) {
	o, err := s.operator.SetMessage(r.Context(), byOf(r), sale, own)
	if err != nil {
		s.failed(w, r, err)
		return
	}
	s.planned(w, r, false, &o)
}

// messageNamed gives the message that the path names, or answers 404 itself.
func (s *AdminServer) messageNamed(w http.ResponseWriter, r *http.Request) (m messages.Message, known bool) {
	if m, known = messages.Named(r.PathValue("name")); !known {
		s.problem(w, r, notFound, "No message has this name. See /admin/v1/messages.")
	}
	return m, known
}
