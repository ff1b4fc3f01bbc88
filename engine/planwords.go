package engine

import (
	"cmp"
	"slices"
	"strings"
)

// words checks a text, and compares it with what was there before.
func (d *planDiff) words(path string, before, after Text) {
	if !d.spoken(path, after) {
		return
	}
	was, is := []Message{{Text: before}}, []Message{{Text: after}}
	for _, w := range wordings(is, was) {
		compare(d, path+"."+w.lang, messageText(was, w), messageText(is, w))
	}
}

// spoken checks a text; false if it is too long to be compared.
func (d *planDiff) spoken(path string, after Text) bool {
	if len(after) > MaxLanguages {
		d.problem(path, "%d languages are over %d", len(after), MaxLanguages)
		return false
	}
	seen := map[string]bool{}
	for _, w := range after {
		if seen[w.Lang] {
			d.problem(path, "the language %q is there twice", w.Lang)
		}
		seen[w.Lang] = true
		d.fits(path, w.Lang, MaxIDBytes)
		d.fits(path+"."+w.Lang, w.Text, MaxTextBytes)
	}
	return true
}

// messages compares what a sale's shoppers are told in its own words.
func (d *planDiff) messages(path string, old *Sale, after []Message) {
	for i, m := range after {
		at := path + "." + m.Name
		if !ValidID(m.Name) || i > 0 && after[i-1].Name >= m.Name {
			d.problem(at, "is no name of a message, or there twice")
		}
		if !d.spoken(at, m.Text) {
			return
		}
	}
	planned := old.Planned
	if d.byHand {
		planned = old.Messages
	}
	before := len(d.Changes)
	for _, w := range wordings(old.Messages, planned, after) {
		d.merge(path+"."+w.name+"."+w.lang, messageText(planned, w), messageText(old.Messages, w),
			messageText(after, w))
	}
	d.size.words += len(d.Changes) - before
}

// wording names one message in one language.
type wording struct{ name, lang string }

// wordings gives each wording that any of the messages has, sorted.
func wordings(of ...[]Message) (all []wording) {
	for _, messages := range of {
		for _, m := range messages {
			for _, w := range m.Text {
				all = append(all, wording{m.Name, w.Lang})
			}
		}
	}
	slices.SortFunc(all, func(a, b wording) int {
		return cmp.Or(strings.Compare(a.name, b.name), strings.Compare(a.lang, b.lang))
	})
	return slices.Compact(all)
}

// messageText gives the text of a wording, "" where there is none.
func messageText(messages []Message, at wording) string {
	for _, m := range messages {
		for _, w := range m.Text {
			if m.Name == at.name && w.Lang == at.lang {
				return w.Text
			}
		}
	}
	return ""
}

// messagesAfter gives what a sale's shoppers are told once a plan says sale, and what
// the next plan is held against: see planDiff.merge.
func (s *State) messagesAfter(sale *Sale, byHand bool) (live, planned []Message) {
	old := s.sales[sale.ID]
	switch {
	case old == nil:
		return sale.Messages, sale.Messages
	case byHand:
		return sale.Messages, old.Planned
	}
	for _, w := range wordings(old.Messages, sale.Messages) {
		text := messageText(sale.Messages, w)
		if text == messageText(old.Planned, w) {
			text = messageText(old.Messages, w)
		}
		live = withWording(live, w, text)
	}
	return live, sale.Messages
}
