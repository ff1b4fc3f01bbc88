package plan

import (
	"slices"
	"strings"
	"time"

	"doorbuster/engine"
	"doorbuster/examples/plays"
	"doorbuster/httpapi/plan/tree"
	"doorbuster/httpapi/play"
)

// templates reads those of the plan.
func (r *reader) templates(root *tree.Node) {
	seen := map[string]*tree.Node{}
	for _, n := range root.List("plays") {
		id := r.id(n, "id", "template", seen)
		t := play.Of(&r.Reader, n)
		if r.wrong(n) {
			t = nil // known, and no use
		} else {
			r.result.Plan.Plays = append(r.result.Plan.Plays, engine.PlayTemplate{ID: id, Text: t.Text})
		}
		if id != "" {
			r.plays[id] = t
		}
	}
}

// wrong reports whether there is a problem with n or with what lies below it.
func (r *reader) wrong(n *tree.Node) bool {
	return slices.ContainsFunc(r.Problems, func(p Problem) bool {
		return p.Path == n.Path || strings.HasPrefix(p.Path, n.Path+".") || p.Line == n.Line && p.Column == n.Column
	})
}

// template finds the one that a listing names: in the plan, in the state or among those
// that are shipped, which are taken along. It is nil for what is wrong or unknown, and a
// problem says so; or for what the state alone may know.
func (r *reader) template(n *tree.Node) *play.Template {
	id := n.Text()
	if t, there := r.plays[id]; there || id == "" {
		return t
	}
	r.plays[id] = nil
	if r.opts.Stateless {
		if _, shipped := plays.Shipped(id); !shipped {
			r.note("%s: the template %s is not in this file: only the node can check what is filled in", n.Path, id)
		}
		return nil
	}
	text, known := "", false
	if r.opts.Play != nil {
		text, known = r.opts.Play(id)
	}
	shipped := false
	if !known {
		if text, shipped = plays.Shipped(id); !shipped {
			r.problem(n, id)
			return nil
		}
	}
	t, problems := play.Read([]byte(text), "")
	if len(problems) > 0 {
		r.Problem(n, "the template %s, which was applied before, does not read: %s", id, problems[0])
		return nil
	}
	if shipped {
		r.result.Plan.Plays = append(r.result.Plan.Plays, engine.PlayTemplate{ID: id, Text: t.Text})
	}
	r.plays[id] = t
	return t
}

// problem says that there is no such template, once.
func (r *reader) problem(n *tree.Node, id string) {
	known := append(plays.IDs(), engine.FlashPlay)
	for other, t := range r.plays {
		if t != nil && !slices.Contains(known, other) {
			known = append(known, other)
		}
	}
	slices.Sort(known)
	said := "there are " + strings.Join(known, ", ") + " and those that were applied before"
	if near := tree.Nearest(id, known); len(near) > 0 {
		said = "did you mean " + strings.Join(near, " or ") + "?"
	}
	r.Problem(n, "there is no template %q; %s", id, said)
}

// play fills in that of a listing, whose other keys are read.
func (r *reader) play(listing *tree.Node, l *engine.ListingSpec, length time.Duration) *engine.Play {
	n := listing.Get("play")
	kind := n.Get("kind")
	if !kind.Usable() || r.wrong(n) {
		return nil
	}
	if kind.Text() == engine.FlashPlay { // as without a play
		for _, f := range n.Fields {
			if f.Name != "kind" {
				r.Problem(f.Value, "a flash sale has no parameters; take it out")
			}
		}
		return nil
	}
	t := r.template(kind)
	if t == nil || !listing.Get("price").Usable() || !listing.Get("stock").Usable() {
		return nil
	}
	given := map[string]string{}
	for _, f := range n.Fields {
		if f.Name != "kind" {
			given[f.Name] = f.Value.Value
		}
	}
	p, faults := t.Fill(given, play.Listing{Price: l.Price, Stock: l.Stock, Length: length})
	for _, fault := range faults {
		switch at := n.Get(fault.Parameter); {
		case at != nil:
			r.Problem(at, "%s", fault.Message)
		case fault.Parameter != "":
			r.Problem(n, "%s: %s by default: %s", t.ID, fault.Parameter, fault.Message)
		default:
			r.Problem(n, "%s: %s", t.ID, fault)
		}
	}
	return p
}
