package client

import (
	"bytes"
	"context"
	"io"
	"net/http"
	"net/url"
	"strconv"
	"time"

	"doorbuster/httpapi/wire"
)

// Paths of the admin API.
const (
	v1       = "/admin/v1"
	cluster  = v1 + "/cluster"
	switches = v1 + "/switches"
	profiles = v1 + "/profiles/"
)

// get asks for path.
func get[A any](ctx context.Context, c *Client, path string) (*A, error) {
	return do[A](ctx, c, http.MethodGet, path, nil)
}

// do is Client.Do with an answer of a type.
func do[A any](ctx context.Context, c *Client, method, path string, body any) (*A, error) {
	answer := new(A)
	if err := c.Do(ctx, method, path, body, answer); err != nil {
		return nil, err
	}
	return answer, nil
}

// post makes a change.
func post[A any](ctx context.Context, c *Client, path string, body any) (*A, error) {
	return do[A](ctx, c, http.MethodPost, path, body)
}

// asked gives a path with a query of what is not "".
func asked(path string, query ...string) string {
	q := url.Values{}
	for i := 0; i < len(query); i += 2 {
		if query[i+1] != "" {
			q.Set(query[i], query[i+1])
		}
	}
	if len(q) == 0 {
		return path
	}
	return path + "?" + q.Encode()
}

// when gives a value of a query that says yes, or none.
func when(yes bool) string {
	if yes {
		return "true"
	}
	return ""
}

// why gives what a change says of itself.
func why(note string) wire.Note { return wire.Note{Note: note} }

func listing(session, sku string) string {
	return v1 + "/sessions/" + url.PathEscape(session) + "/skus/" + url.PathEscape(sku)
}

// ApplyPlan makes products, sales, sessions and listings match a plan, YAML or JSON; with
// dryRun it only tells what would change.
func (c *Client) ApplyPlan(ctx context.Context, plan []byte, dryRun bool) (*wire.PlanChanges, error) {
	done := new(wire.PlanChanges)
	path := asked(v1+"/plan", "dry_run", when(dryRun))
	if err := c.send(ctx, http.MethodPost, path, content{"application/yaml", plan}, done); err != nil {
		return nil, err
	}
	return done, nil
}

// PlanWanted says what ExportPlan gives.
type PlanWanted struct {
	Sale        string // of this sale alone; "" of all
	Over        bool   // sessions that have ended, and what is in the archive, too
	AllProducts bool   // also products that no session of it offers
}

// ExportPlan gives the plan as it is: YAML that changes nothing when it is applied.
func (c *Client) ExportPlan(ctx context.Context, w PlanWanted) ([]byte, error) {
	var text bytes.Buffer
	_, err := c.Download(ctx, asked(v1+"/plan", "sale", w.Sale, "over", when(w.Over), "all_products",
		when(w.AllProducts)), "application/yaml", &text)
	return text.Bytes(), err
}

// Sessions gives all of them.
func (c *Client) Sessions(ctx context.Context) (*wire.OpsSessions, error) {
	return get[wire.OpsSessions](ctx, c, v1+"/sessions")
}

// Checklist gives what to look at before a session opens.
func (c *Client) Checklist(ctx context.Context, session string) (*wire.Checklist, error) {
	return get[wire.Checklist](ctx, c, v1+"/sessions/"+url.PathEscape(session)+"/checklist")
}

// Curve gives how a session has sold after a second, in Unix seconds; 0 for the last hour.
func (c *Client) Curve(ctx context.Context, session string, after int64) (*wire.Curve, error) {
	return get[wire.Curve](ctx, c, curvePath(session, after))
}

func curvePath(session string, after int64) string {
	text := ""
	if after > 0 {
		text = strconv.FormatInt(after, 10)
	}
	return asked(v1+"/sessions/"+url.PathEscape(session)+"/curve", "after", text)
}

// SessionReport gives what came of a session, or has come of it so far.
func (c *Client) SessionReport(ctx context.Context, session string) (*wire.SessionReport, error) {
	return get[wire.SessionReport](ctx, c, v1+"/sessions/"+url.PathEscape(session)+"/report")
}

// DefineReportProfile makes a profile of the switches at the height of a session.
func (c *Client) DefineReportProfile(ctx context.Context, session, name, note string) (*wire.Profile, error) {
	return post[wire.Profile](ctx, c, v1+"/sessions/"+url.PathEscape(session)+"/report/profile",
		wire.ReportProfile{Note: why(note), Name: name})
}

// Steer publishes, pauses, resumes, ends or settles a session, as action says.
func (c *Client) Steer(ctx context.Context, session, action, note string) (*wire.OpsSession, error) {
	return post[wire.OpsSession](ctx, c, v1+"/sessions/"+url.PathEscape(session)+"/"+action, why(note))
}

// Counts gives a listing's exact counts.
func (c *Client) Counts(ctx context.Context, session, sku string) (*wire.Counts, error) {
	return get[wire.Counts](ctx, c, listing(session, sku))
}

// AddStock puts more units up, or with a negative number takes free ones away.
func (c *Client) AddStock(ctx context.Context, session, sku string, units int64, note string) (*wire.Counts, error) {
	return post[wire.Counts](ctx, c, listing(session, sku)+"/stock",
		wire.StockRequest{Note: why(note), Units: &units})
}

// Orders finds a page of orders; query is as the API has it.
func (c *Client) Orders(ctx context.Context, query url.Values) (*wire.OpsOrders, error) {
	return get[wire.OpsOrders](ctx, c, v1+"/orders?"+query.Encode())
}

// Order gives one order.
func (c *Client) Order(ctx context.Context, orderNo string) (*wire.OpsOrder, error) {
	return get[wire.OpsOrder](ctx, c, v1+"/orders/"+url.PathEscape(orderNo))
}

// PlanBack takes the last plan back, if it is the one of a log index or that is 0; with dryRun
// it only tells what would change.
func (c *Client) PlanBack(ctx context.Context, of uint64, note string, dryRun bool) (*wire.PlanBack, error) {
	return post[wire.PlanBack](ctx, c, asked(v1+"/plan/back", "dry_run", when(dryRun)),
		wire.PlanBackRequest{Note: why(note), Of: of})
}

// MessageBack gives a message the sale's words that it had before they were changed last.
func (c *Client) MessageBack(ctx context.Context, sale, name string, dryRun bool) (*wire.PlanChanges, error) {
	return post[wire.PlanChanges](ctx, c, asked(v1+"/messages/"+url.PathEscape(sale)+"/"+url.PathEscape(name)+"/back",
		"dry_run", when(dryRun)), nil)
}

// History gives what was changed, of a kind (plan, words, switches) or ("") of all, the newest
// first, at most so many (0: 50), from where the page before ended.
func (c *Client) History(ctx context.Context, kind, before string, limit int) (*wire.History, error) {
	most := ""
	if limit > 0 {
		most = strconv.Itoa(limit)
	}
	return get[wire.History](ctx, c, asked(v1+"/history", "kind", kind, "before", before, "limit", most))
}

// Approvals gives changes that a second operator must approve, of a state or ("") of all.
func (c *Client) Approvals(ctx context.Context, state string) (*wire.Approvals, error) {
	return get[wire.Approvals](ctx, c, asked(v1+"/approvals", "state", state))
}

// Approval gives one, with its diff.
func (c *Client) Approval(ctx context.Context, id uint32) (*wire.Approval, error) {
	return get[wire.Approval](ctx, c, approval(id))
}

// DecideApproval approves a change, which is made then, or rejects it, as verb says.
func (c *Client) DecideApproval(ctx context.Context, id uint32, verb, note string) (*wire.Approval, error) {
	return post[wire.Approval](ctx, c, approval(id)+"/"+verb, why(note))
}

func approval(id uint32) string { return v1 + "/approvals/" + strconv.FormatUint(uint64(id), 10) }

// Void takes an order back.
func (c *Client) Void(ctx context.Context, orderNo, note string) (*wire.OpsOrder, error) {
	return post[wire.OpsOrder](ctx, c, v1+"/orders/"+url.PathEscape(orderNo)+"/void", why(note))
}

// Bargains finds a page of bargains; query is as the API has it.
func (c *Client) Bargains(ctx context.Context, query url.Values) (*wire.OpsBargains, error) {
	return get[wire.OpsBargains](ctx, c, v1+"/bargains?"+query.Encode())
}

// Bargain gives one with a page of its cuts, the newest first; cursor is "" for the first.
func (c *Client) Bargain(ctx context.Context, code, cursor string) (*wire.OpsBargain, error) {
	return get[wire.OpsBargain](ctx, c, asked(v1+"/bargains/"+url.PathEscape(code), "cursor", cursor))
}

// EndBargain ends an open bargain.
func (c *Client) EndBargain(ctx context.Context, code, note string) (*wire.OpsBargain, error) {
	return post[wire.OpsBargain](ctx, c, v1+"/bargains/"+url.PathEscape(code)+"/end", why(note))
}

// Refunds gives a page of the refunds that are due; cursor is "" for the first.
func (c *Client) Refunds(ctx context.Context, cursor string) (*wire.Refunds, error) {
	return get[wire.Refunds](ctx, c, asked(v1+"/refunds", "cursor", cursor))
}

// Alarms gives all that somebody must see to.
func (c *Client) Alarms(ctx context.Context) (*wire.Alarms, error) {
	return get[wire.Alarms](ctx, c, v1+"/alarms")
}

// Hot gives the products that the node is asked for most.
func (c *Client) Hot(ctx context.Context) (*wire.Hot, error) { return get[wire.Hot](ctx, c, v1+"/hot") }

// AcknowledgeAlarm acknowledges the alarms of a name that are on.
func (c *Client) AcknowledgeAlarm(ctx context.Context, name, note string) (*wire.AlarmNote, error) {
	return post[wire.AlarmNote](ctx, c, v1+"/alarms/"+url.PathEscape(name)+"/acknowledge", why(note))
}

// SilenceAlarm has nobody told of alarms of a name for a while; 0 ends that.
func (c *Client) SilenceAlarm(ctx context.Context, name string, d time.Duration,
	note string) (*wire.AlarmNote, error) {
	return post[wire.AlarmNote](ctx, c, v1+"/alarms/"+url.PathEscape(name)+"/silence",
		wire.AlarmSilence{Note: why(note), For: d.String()})
}

// Refusals tells why a shopper was refused, in one session or ("") in all.
func (c *Client) Refusals(ctx context.Context, shopper, session string) (*wire.Refusals, error) {
	return get[wire.Refusals](ctx, c, asked(v1+"/refusals", "shopper", shopper, "session", session))
}

// Audit gives a page of the trail; query is as the API has it.
func (c *Client) Audit(ctx context.Context, query url.Values) (*wire.TrailPage, error) {
	return get[wire.TrailPage](ctx, c, v1+"/audit?"+query.Encode())
}

// Draw gives a page of a listing's draw with the true reasons; cursor is "" for the first.
func (c *Client) Draw(ctx context.Context, session, sku, cursor string, most int) (*wire.OpsDraw, error) {
	path := listing(session, sku) + "/draw"
	return get[wire.OpsDraw](ctx, c, asked(path, "cursor", cursor, "limit", strconv.Itoa(most)))
}

// ShownDraw is Draw as shoppers see it, from a node's shopper API at the client's
// address; it needs no token, and sends none.
func (c *Client) ShownDraw(ctx context.Context, session, sku, cursor string, most int) (*wire.DrawPage, error) {
	bare := *c
	bare.cfg.Token = ""
	path := "/v1/sessions/" + url.PathEscape(session) + "/skus/" + url.PathEscape(sku) + "/draw"
	return get[wire.DrawPage](ctx, &bare, asked(path, "cursor", cursor, "limit", strconv.Itoa(most)))
}

// Plays gives the templates of plays that have been applied.
func (c *Client) Plays(ctx context.Context) (*wire.Plays, error) {
	return get[wire.Plays](ctx, c, v1+"/plays")
}

// Switches gives how all switches are, the profiles and the last changes.
func (c *Client) Switches(ctx context.Context) (*wire.Switchboard, error) {
	return get[wire.Switchboard](ctx, c, switches)
}

// Settings are switches and what they are to be.
type Settings = map[string]wire.SwitchValue

// SetSwitches turns single switches.
func (c *Client) SetSwitches(ctx context.Context, to Settings, note string) (*wire.Switchboard, error) {
	return do[wire.Switchboard](ctx, c, http.MethodPatch, switches, wire.Settings{Note: why(note), Switches: to})
}

// TurnSwitches takes the last change back, or turns all to normal: action is back or
// normal.
func (c *Client) TurnSwitches(ctx context.Context, action, note string) (*wire.Switchboard, error) {
	return post[wire.Switchboard](ctx, c, switches+"/"+action, why(note))
}

// ApplyProfile turns a profile's switches on.
func (c *Client) ApplyProfile(ctx context.Context, name, note string) (*wire.Switchboard, error) {
	return post[wire.Switchboard](ctx, c, profiles+url.PathEscape(name)+"/apply", why(note))
}

// DefineProfile defines a profile, or defines it anew.
func (c *Client) DefineProfile(ctx context.Context, name string, to Settings, note string) (*wire.Switchboard, error) {
	return do[wire.Switchboard](ctx, c, http.MethodPut, profiles+url.PathEscape(name),
		wire.Settings{Note: why(note), Switches: to})
}

// ForgetProfile forgets a profile; what it has turned on stays.
func (c *Client) ForgetProfile(ctx context.Context, name, note string) (*wire.Switchboard, error) {
	return do[wire.Switchboard](ctx, c, http.MethodDelete, profiles+url.PathEscape(name), why(note))
}

// RiskLists gives the risk lists, and how many each names; AllowLists the allow lists.
func (c *Client) RiskLists(ctx context.Context) (*wire.RiskLists, error) {
	return get[wire.RiskLists](ctx, c, v1+"/risk")
}

// AllowLists gives the allow lists, and how many each names.
func (c *Client) AllowLists(ctx context.Context) (*wire.AllowLists, error) {
	return get[wire.AllowLists](ctx, c, v1+"/allowlists")
}

// List names a list: risk/KIND, allowlists/NAME, or sessions/ID/skus/SKU/reservations. Its
// parts are ids, which need no escaping.
type List string

func (l List) path() string { return v1 + "/" + string(l) }

// List gives the first rows of a list.
func (c *Client) List(ctx context.Context, l List) (*wire.ListPage, error) {
	return get[wire.ListPage](ctx, c, l.path())
}

// ListRow tells what a list says of one.
func (c *Client) ListRow(ctx context.Context, l List, id string) (*wire.ListRow, error) {
	return get[wire.ListRow](ctx, c, l.path()+"/"+url.PathEscape(id))
}

// ForgetList forgets an allow list. sure: it is meant, although it takes many off.
func (c *Client) ForgetList(ctx context.Context, l List, note string, sure bool) (*wire.ListCount, error) {
	return do[wire.ListCount](ctx, c, http.MethodDelete, asked(l.path(), "note", note, "sure", when(sure)), nil)
}

func personalData(shopper string) string {
	return v1 + "/shoppers/" + url.PathEscape(shopper) + "/personal-data"
}

// PersonalData tells what is kept of a shopper's personal data, and what became of it.
func (c *Client) PersonalData(ctx context.Context, shopper string) (*wire.PersonalData, error) {
	return get[wire.PersonalData](ctx, c, personalData(shopper))
}

// ErasePersonalData destroys the key that a shopper's personal data was sealed with. sure: it
// is meant, although goods may still have to be sent to them.
func (c *Client) ErasePersonalData(ctx context.Context, shopper, note string, sure bool) (*wire.PersonalData, error) {
	return do[wire.PersonalData](ctx, c, http.MethodDelete, asked(personalData(shopper), "note", note, "sure",
		when(sure)), nil)
}

// PersonalKeys tells which keys of the key file for personal data are in use.
func (c *Client) PersonalKeys(ctx context.Context) (*wire.PersonalKeys, error) {
	return get[wire.PersonalKeys](ctx, c, v1+"/personal-keys")
}

// Cluster gives the group as the node sees it.
func (c *Client) Cluster(ctx context.Context) (*wire.Cluster, error) {
	return get[wire.Cluster](ctx, c, cluster)
}

// Join lets a node in.
func (c *Client) Join(ctx context.Context, r wire.JoinRequest) (*wire.Member, error) {
	return post[wire.Member](ctx, c, cluster+"/join", r)
}

// Remove takes a node out for good.
func (c *Client) Remove(ctx context.Context, r wire.RemoveRequest) (*wire.Removed, error) {
	return post[wire.Removed](ctx, c, cluster+"/remove", r)
}

// Transfer hands leadership over.
func (c *Client) Transfer(ctx context.Context, r wire.TransferRequest) (*wire.Led, error) {
	return post[wire.Led](ctx, c, cluster+"/transfer", r)
}

// Snapshot takes one on the node that is asked.
func (c *Client) Snapshot(ctx context.Context, note string) (*wire.Snapshot, error) {
	return post[wire.Snapshot](ctx, c, cluster+"/snapshot", why(note))
}

// SetZoneAck changes when another zone must have what shoppers are told. sure: require is
// meant, although no voter of another zone answers.
func (c *Client) SetZoneAck(ctx context.Context, r wire.ZoneAckRequest, sure bool) (*wire.ZoneAckMode, error) {
	return post[wire.ZoneAckMode](ctx, c, asked(cluster+"/zone-ack", "sure", when(sure)), r)
}

// Prefer names the zone that leadership is to be in; "" for none.
func (c *Client) Prefer(ctx context.Context, zone, note string) (*wire.Preferred, error) {
	return post[wire.Preferred](ctx, c, cluster+"/prefer", wire.PreferRequest{Note: why(note), Zone: &zone})
}

// Drain keeps new shoppers away from a node or a zone; Undrain lets them come again.
func (c *Client) Drain(ctx context.Context, r wire.DrainRequest) (*wire.Drain, error) {
	return post[wire.Drain](ctx, c, cluster+"/drain", r)
}

// Undrain lets shoppers come to a node or a zone again.
func (c *Client) Undrain(ctx context.Context, r wire.DrainRequest) (*wire.Drain, error) {
	return post[wire.Drain](ctx, c, cluster+"/undrain", r)
}

// Promote shows what a promote would do, or does it.
func (c *Client) Promote(ctx context.Context, r wire.PromoteRequest) (*wire.Promoted, error) {
	return post[wire.Promoted](ctx, c, cluster+"/promote", r)
}

// Backup writes the whole shop at one log index to to; what was written before an error is
// worth nothing. stateOnly: without settled orders and the trail.
func (c *Client) Backup(ctx context.Context, to io.Writer, stateOnly bool) (size int64, err error) {
	return c.Download(ctx, asked(cluster+"/backup", "state_only", when(stateOnly)), "application/octet-stream", to)
}

// ExportList writes all of a list to to, as csv or ndjson.
func (c *Client) ExportList(ctx context.Context, l List, format string, to io.Writer) error {
	_, err := c.Download(ctx, asked(l.path(), "format", format), "", to)
	return err
}

// SendList is how a list is sent.
type SendList struct {
	Body  io.Reader // sent again where it is an io.Seeker and nothing was heard of the outcome
	Size  int64     // -1 where it is not known
	Type  string    // text/plain, text/csv or application/x-ndjson
	Level string    // of rows of a risk list that name none; "" is block
	Note  string
	// Replace: it takes the place of all there is; Empty: also if it is empty.
	Replace, Empty bool
	Sure           bool      // it is meant, although it could end a sale
	Sent           io.Writer // is written what is sent, for progress; may be nil
	// Progress is told how many rows of how many are in; it may be nil.
	Progress func(wire.ImportProgress)
}

// SendList takes a list in: on top of what there is, or instead of it.
func (c *Client) SendList(ctx context.Context, l List, s SendList) (*wire.ListImport, error) {
	method := http.MethodPatch
	if s.Replace {
		method = http.MethodPut
	}
	path := asked(l.path(), "level", s.Level, "note", s.Note, "empty", when(s.Empty), "sure", when(s.Sure))
	done := new(wire.ListImport)
	return done, c.Upload(ctx, Upload{Method: method, Path: path, Type: s.Type, Body: s.Body, Size: s.Size,
		Sent: s.Sent, Keyed: true, Line: c.importLine(s.Progress, done)})
}

// Sinks gives where committed changes flow to, and how that goes.
func (c *Client) Sinks(ctx context.Context) (*wire.Sinks, error) {
	return get[wire.Sinks](ctx, c, v1+"/sinks")
}

func sink(name string, rest ...string) string {
	path := v1 + "/sinks/" + url.PathEscape(name)
	for _, part := range rest {
		path += "/" + part
	}
	return path
}

// SteerSink pauses a sink, resumes it, or forgets it: action is pause, resume or forget.
func (c *Client) SteerSink(ctx context.Context, name, action, note string) (*wire.Sink, error) {
	return post[wire.Sink](ctx, c, sink(name, action), why(note))
}

// ReplaySink has a sink go on from a position of the trail, or else from a day or a moment.
func (c *Client) ReplaySink(ctx context.Context, name, from, since, note string) (*wire.Sink, error) {
	return post[wire.Sink](ctx, c, sink(name, "replay"), wire.SinkReplay{Note: why(note), From: from, Since: since})
}

// DeadLetters gives a page of a sink's dead letters; from is "" for the first.
func (c *Client) DeadLetters(ctx context.Context, name, from string) (*wire.DeadLetters, error) {
	return get[wire.DeadLetters](ctx, c, asked(sink(name, "letters"), "from", from))
}

// ChangeLetters sends dead letters again, or drops them: action is send or drop. Without
// letters, all are meant.
func (c *Client) ChangeLetters(ctx context.Context, name, action string, letters []string,
	note string) (*wire.Sink, error) {
	return post[wire.Sink](ctx, c, sink(name, "letters", action),
		wire.LettersNamed{Note: why(note), Letters: letters, All: len(letters) == 0})
}
