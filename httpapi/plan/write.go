package plan

import (
	"bytes"
	"encoding/json"
	"maps"
	"slices"
	"strconv"
	"strings"
	"time"

	"go.yaml.in/yaml/v3"

	"doorbuster/engine"
	"doorbuster/httpapi/calendar"
	"doorbuster/httpapi/plan/tree"
)

// Write gives the file of a plan: what Parse reads as the same. What has its default is
// left out. head is said first, and what is otherwise than planned stands beside it, as
// comments.
func Write(p *engine.Planned, head []string) ([]byte, error) {
	root, err := written(p)
	if err != nil {
		return nil, err
	}
	var b bytes.Buffer
	for _, line := range head {
		b.WriteString("# " + line + "\n")
	}
	if len(root.Content) == 0 {
		b.WriteString("# There is nothing yet.\n")
		return b.Bytes(), nil
	}
	e := yaml.NewEncoder(&b)
	e.SetIndent(2)
	if err := e.Encode(root); err != nil {
		return nil, err
	}
	return b.Bytes(), e.Close()
}

// WriteJSON gives the products and sales of a plan as JSON. Templates of plays, which are the
// same only as long as their text is, are left out.
func WriteJSON(p *engine.Planned) ([]byte, error) {
	root, err := written(p)
	if err != nil {
		return nil, err
	}
	plan := map[string]any{}
	if err := root.Decode(&plan); err != nil {
		return nil, err
	}
	delete(plan, "plays")
	return json.Marshal(plan)
}

// written gives a plan as the root of its file.
func written(p *engine.Planned) (*yaml.Node, error) {
	w := writer{apart: map[string]engine.Change{}}
	for _, c := range p.Apart {
		w.apart[c.Path] = c
	}
	root := &yaml.Node{Kind: yaml.MappingNode}
	w.list(root, "products", len(p.Plan.Products), func(i int) *yaml.Node { return w.product(&p.Plan.Products[i]) })
	var wrong error
	w.list(root, "plays", len(p.Plan.Plays), func(i int) *yaml.Node {
		n, err := template(p.Plan.Plays[i].Text)
		if err != nil {
			wrong = err
		}
		return n
	})
	w.list(root, "sales", len(p.Plan.Sales), func(i int) *yaml.Node { return w.sale(&p.Plan.Sales[i]) })
	return root, wrong
}

// writer holds one Write.
type writer struct {
	apart map[string]engine.Change // by path
}

func (w *writer) list(to *yaml.Node, key string, n int, item func(i int) *yaml.Node) {
	if n == 0 {
		return
	}
	all := &yaml.Node{Kind: yaml.SequenceNode}
	for i := range n {
		all.Content = append(all.Content, item(i))
	}
	put(to, key, all)
}

// put adds a key with its value, and gives the value.
func put(to *yaml.Node, key string, value *yaml.Node) *yaml.Node {
	to.Content = append(to.Content, &yaml.Node{Kind: yaml.ScalarNode, Tag: "!!str", Value: key}, value)
	return value
}

func text(s string) *yaml.Node { return &yaml.Node{Kind: yaml.ScalarNode, Tag: "!!str", Value: s} }

func number[T int32 | int64 | uint32](n T) *yaml.Node {
	return &yaml.Node{Kind: yaml.ScalarNode, Tag: "!!int", Value: strconv.FormatInt(int64(n), 10)}
}

func truth(b bool) *yaml.Node {
	return &yaml.Node{Kind: yaml.ScalarNode, Tag: "!!bool", Value: strconv.FormatBool(b)}
}

func lasting(d time.Duration) *yaml.Node { return text(tree.Short(d)) }

// putUnless adds what is not the default.
func putUnless[T comparable](to *yaml.Node, key string, value, usual T, as func(T) *yaml.Node) {
	if value != usual {
		put(to, key, as(value))
	}
}

// words gives a text by language, on one line.
func words(of engine.Text) *yaml.Node {
	n := &yaml.Node{Kind: yaml.MappingNode, Style: yaml.FlowStyle}
	for _, in := range of {
		put(n, in.Lang, text(in.Text)).Style = yaml.DoubleQuotedStyle
	}
	return n
}

func (w *writer) product(p *engine.Product) *yaml.Node {
	n := &yaml.Node{Kind: yaml.MappingNode}
	put(n, "id", text(p.ID))
	if len(p.Name) > 0 {
		put(n, "name", words(p.Name))
	}
	putUnless(n, "list_price", p.ListPrice, 0, number)
	put(n, "currency", text(p.Currency))
	putUnless(n, "supplier", p.Supplier, "", text)
	putUnless(n, "image", p.Image, "", text)
	if p.Place != nil {
		at := put(n, "place", &yaml.Node{Kind: yaml.MappingNode, Style: yaml.FlowStyle})
		put(at, "latitude", degree(p.Place.Latitude))
		put(at, "longitude", degree(p.Place.Longitude))
	}
	return n
}

func degree(d float64) *yaml.Node {
	return &yaml.Node{Kind: yaml.ScalarNode, Value: strconv.FormatFloat(d, 'f', -1, 64)}
}

// template gives the one with a text as an item of a plan.
func template(of string) (*yaml.Node, error) {
	var n yaml.Node
	if err := yaml.Unmarshal([]byte(of), &n); err != nil {
		return nil, err
	}
	return n.Content[0], nil
}

func (w *writer) sale(s *engine.SalePlan) *yaml.Node {
	path := "sales[" + s.ID + "]"
	n := &yaml.Node{Kind: yaml.MappingNode}
	put(n, "id", text(s.ID))
	if len(s.Name) > 0 {
		put(n, "name", words(s.Name))
	}
	putUnless(n, "timezone", s.Timezone, "UTC", text)
	w.messages(n, path+".messages", s.Messages)
	zone, err := calendar.Zone(s.Timezone)
	if err != nil {
		zone = time.UTC // as of an older table of zones
	}
	w.list(n, "sessions", len(s.Sessions), func(i int) *yaml.Node {
		return w.session(path+".sessions["+s.Sessions[i].ID+"]", &s.Sessions[i], zone)
	})
	return n
}

// messages adds a sale's own words, and says which of them operators have changed.
func (w *writer) messages(to *yaml.Node, path string, own []engine.Message) {
	var changed []string
	for _, at := range slices.Sorted(maps.Keys(w.apart)) {
		if name, found := strings.CutPrefix(at, path+"."); found {
			is := "the shop's words"
			if w.apart[at].After != "" {
				is = strconv.Quote(w.apart[at].After)
			}
			changed = append(changed, "# by operators since: "+name+" is "+is)
		}
	}
	if len(own) > 0 {
		n := put(to, "messages", &yaml.Node{Kind: yaml.MappingNode})
		for _, m := range own {
			put(n, m.Name, words(m.Text))
		}
	}
	if len(changed) > 0 { // beside the key before, or the words themselves
		to.Content[len(to.Content)-2].HeadComment = strings.Join(changed, "\n")
	}
}

func (w *writer) session(path string, s *engine.SessionPlan, zone *time.Location) *yaml.Node {
	n := &yaml.Node{Kind: yaml.MappingNode}
	put(n, "id", text(s.ID))
	start := s.StartSpec
	if start != "now" && !strings.HasPrefix(start, "+") { // by the clocks of the sale
		start = s.Start.Wall().In(zone).Format(time.RFC3339Nano)
	}
	w.beside(put(n, "start", text(start)), path+".start", "that is ")
	put(n, "duration", lasting(s.Length()))
	putUnless(n, "pay_within", s.PayWithin, usualPayWithin, lasting)
	putUnless(n, "pay_grace", s.PayGrace, usualPayGrace, lasting)
	putUnless(n, "limit_per_shopper", s.LimitPerShopper, 1, number)
	putUnless(n, "admission_multiple", s.AdmissionMultiple, usualAdmission, number)
	putUnless(n, "profile", s.Profile, "", text)
	putUnless(n, "coupons_up_to", s.CouponsUpTo, 0, number)
	putUnless(n, "forecast", s.Forecast, 0, number)
	if delivers(s) {
		putUnless(n, "receive_within", s.ReceiveWithin, usualReceiveWithin, lasting)
		putUnless(n, "complete_within", s.CompleteWithin, usualCompleteWithin, lasting)
	}
	if !s.Publish {
		w.beside(put(n, "publish", truth(false)), path+".publish", "operators have published it: ")
	}
	w.list(n, "listings", len(s.Listings), func(i int) *yaml.Node {
		return w.listing(path+".listings["+s.Listings[i].SKU+"]", &s.Listings[i], i+1)
	})
	return n
}

// beside says what is there now, where that is not what is planned.
func (w *writer) beside(n *yaml.Node, path, says string) {
	if c, differs := w.apart[path]; differs {
		n.LineComment = "# " + says + c.After
	}
}

func (w *writer) listing(path string, l *engine.ListingSpec, position int) *yaml.Node {
	n := &yaml.Node{Kind: yaml.MappingNode}
	put(n, "sku", text(l.SKU))
	put(n, "price", number(l.Price))
	w.beside(put(n, "stock", number(l.Stock)), path+".stock", "operators have made it ")
	putUnless(n, "shown", l.Shown, -1, number)
	putUnless(n, "limit_per_shopper", l.LimitPerShopper, 1, number)
	putUnless(n, "limit_per_month", l.LimitPerMonth, 0, number)
	putUnless(n, "sort_order", l.SortOrder, int32(position), number)
	putUnless(n, "reservation", l.Reservation, false, truth)
	putUnless(n, "allow_list", l.AllowList, "", text)
	if l.Waitlist {
		put(n, "waitlist", truth(true))
		putUnless(n, "set_aside", l.SetAside, usualSetAside, lasting)
	}
	if l.Challenge != engine.ChallengeNone {
		put(n, "challenge", text(l.Challenge.String()))
	} else {
		putUnless(n, "ticket", l.Ticket, false, truth)
	}
	putUnless(n, "draw", l.Draw, 0, lasting)
	if l.Delivery != engine.DeliveryNone {
		put(n, "delivery", text(l.Delivery.String()))
	}
	if l.Play != nil {
		put(n, "play", filledIn(l.Play))
	}
	return n
}

// filledIn gives a play as a listing names it.
func filledIn(p *engine.Play) *yaml.Node {
	n := &yaml.Node{Kind: yaml.MappingNode, Style: yaml.FlowStyle}
	put(n, "kind", text(p.Name))
	values := map[string]any{}
	d := json.NewDecoder(strings.NewReader(p.Parameters))
	d.UseNumber()
	_ = d.Decode(&values) // it was written by Fill
	for _, name := range slices.Sorted(maps.Keys(values)) {
		switch v := values[name].(type) {
		case string:
			put(n, name, text(v))
		case bool:
			put(n, name, truth(v))
		case json.Number:
			put(n, name, &yaml.Node{Kind: yaml.ScalarNode, Value: v.String()})
		}
	}
	return n
}
