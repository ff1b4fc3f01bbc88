package httpapi

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/netip"
	"strconv"

	"doorbuster/engine"
	"doorbuster/httpapi/personal"
	"doorbuster/httpapi/risk"
	"doorbuster/httpapi/shipping"
	"doorbuster/httpapi/wire"
)

// usualShared is from how many shoppers on that share a phone or an address their orders
// are held.
const usualShared = 2

// newDesk makes the desk where paid orders are looked at, exported and shipped.
func (s *AdminServer) newDesk() *shipping.Desk {
	cfg := shipping.Config{Office: s.operator, Listed: s.listed, Places: s.placesOf, Open: s.openReceiver}
	if s.riskService != nil {
		cfg.Ask = s.askRisk
	}
	return shipping.New(cfg)
}

// listed gives the worst that risk lists say now of an order's shopper, or of where it
// goes.
func (s *AdminServer) listed(o *engine.OrderView) (worst engine.Level, of string) {
	look := func(what string, v engine.Visitor) {
		if level := s.risk(&v); level > worst {
			worst, of = level, what
		}
	}
	look("shopper", engine.Visitor{Shopper: []byte(o.Shopper)})
	look("phone", engine.Visitor{PhoneHash: o.Receiver.Phone})
	look("address", engine.Visitor{AddressHash: o.Receiver.Address})
	if to, err := s.openReceiver(o); err == nil && to != nil { // lists may have the address in another order
		plain := personal.Receiver(*to)
		if hashes, err := s.vault.AddressBlinds(plain); err == nil {
			for _, hash := range hashes {
				look("address", engine.Visitor{AddressHash: hash})
			}
		}
	}
	return worst, of
}

// placesOf gives what the receiver of an order is told from others by.
func (s *AdminServer) placesOf(o *engine.OrderView) (at shipping.Places) {
	return shipping.Places{Phone: shipping.Place(o.Receiver.Phone), Address: shipping.Place(o.Receiver.Address)}
}

// askRisk asks the outside service about an order.
func (s *AdminServer) askRisk(ctx context.Context, o *engine.OrderView) (level engine.Level, answered bool) {
	var phone engine.Canonical
	if to, err := s.openReceiver(o); err == nil && to != nil {
		phone, _ = s.canon.Phone(to.Phone)
	}
	v := s.riskService.Judge(ctx, risk.Question{Shopper: o.Shopper, Address: netip.IPv4Unspecified(),
		Session: o.Session, SKU: o.SKU, Phone: string(phone)})
	return engine.Level(v.Level), v.Source != risk.FromConfig // both levels rise in the same steps
}

// openReceiver gives the receiver of an order in plain; nil where there is none, or it was
// erased.
func (s *AdminServer) openReceiver(o *engine.OrderView) (*wire.Receiver, error) {
	if !o.HasReceiver {
		return nil, nil
	}
	plain, err := s.vault.Open(o.Shopper, o.Receiver)
	switch {
	case errors.Is(err, personal.ErrErased):
		return nil, nil
	case err != nil:
		s.faults.Do(func() { s.log.Error("a receiver can't be opened", "order", o.OrderNo, "error", err) })
		return nil, refuse(unavailable, "The receiver of order "+o.OrderNo+" can't be opened here: "+err.Error()+".")
	}
	to := wire.Receiver(plain)
	return &to, nil
}

// ended refuses what is for a session that has ended, and reports its state.
func (s *AdminServer) ended(r *http.Request) (state engine.SessionState, err error) {
	id := r.PathValue("session")
	views := s.operator.AllSessions()
	for i := range views {
		if views[i].ID != id {
			continue
		}
		switch state = views[i].State; state {
		case engine.Ended:
			return state, nil
		case engine.Settled:
			return state, refuse(conflict, "The session is settled: its orders are completed or paid back, and change "+
				"no more.")
		}
		return state, refuse(conflict, fmt.Sprintf("The session is %s. Its orders are looked at, exported and shipped "+
			"once it has ended.", state))
	}
	return 0, refuse(notFound, "No session has this id. The sessions are listed at /admin/v1/sessions.")
}

// review takes the second look at a session's paid orders, or says of some what was
// decided by hand.
func (s *AdminServer) review(r *http.Request, b *wire.ReviewRequest) (*wire.Review, error) {
	if _, err := s.ended(r); err != nil {
		return nil, err
	}
	session := r.PathValue("session")
	log := s.log.With("session", session, "operator", operatorOf(r), "note", b.Note.Note, "dry_run", b.DryRun)
	var told *wire.Review
	var err error
	switch verdict, known := shipping.VerdictNamed(b.Verdict); {
	case b.Verdict == "" && len(b.Orders) == 0:
		how := shipping.Look{Again: b.Again, DryRun: b.DryRun, Shared: usualShared}
		if b.Shared != nil {
			how.Shared = *b.Shared
		}
		if how.Shared < 0 || how.Shared > engine.MaxQuantity || how.Shared == 1 {
			return nil, refuse(malformed, "shared must be 0, for none, or from how many shoppers on: 2 to 1000000.")
		}
		told, err = s.desk.LookAt(r.Context(), operatorOf(r), session, how)
	case !known:
		return nil, refuse(malformed, "The verdict on orders must be pass, hold or reject.")
	case len(b.Orders) == 0 || len(b.Orders) > maxByHand:
		return nil, refuse(malformed, fmt.Sprintf("A verdict by hand is for the orders that are named: 1 to %d of "+
			"them.", maxByHand))
	case b.Again || b.Shared != nil:
		return nil, refuse(malformed, "again and shared are for a look at all orders, not for a verdict by hand.")
	default:
		told, err = s.desk.Decide(r.Context(), operatorOf(r), session, b.Orders, verdict, b.DryRun)
	}
	if err != nil {
		log.Info("second look not taken to its end", "error", err)
		return nil, badRows(err, "order")
	}
	log.Info("second look taken", "looked", told.Looked, "passed", told.Passed, "held", told.Held,
		"rejected", told.Rejected)
	return told, nil
}

// maxByHand is how many orders are decided by hand at once: as many numbers as a body has
// room for.
const maxByHand = 1000

// badRows says why a file, or a list of orders, was not taken; place is what a row is
// called.
func badRows(err error, place string) error {
	var problems *shipping.Problems
	var large *http.MaxBytesError
	switch {
	case errors.As(err, &problems):
		reasons := make([]wire.PlanProblem, 0, len(problems.Told))
		for _, p := range problems.Told {
			reasons = append(reasons, wire.PlanProblem{Path: place + " " + strconv.Itoa(p.Line), Line: p.Line,
				Message: p.Message})
		}
		said := "One row is wrong, and nothing was changed."
		if problems.Count > 1 {
			said = fmt.Sprintf("%d rows are wrong, and nothing was changed.", problems.Count)
		}
		if problems.Count > len(reasons) {
			said += fmt.Sprintf(" The first %d are listed.", len(reasons))
		}
		return refuse(badList, said, reasons...)
	case errors.As(err, &large):
		return refuse(tooLarge, fmt.Sprintf("The file may have %d bytes. Send it in parts.", large.Limit))
	case errors.Is(err, shipping.ErrBusy):
		return refuse(conflict, "Nothing was changed: "+err.Error()+". Ask again once that is done.")
	case errors.Is(err, shipping.ErrPartly):
		return refuse(conflict, fmt.Sprintf("Part of the file was taken: %s. Send it again: rows that are in change "+
			"nothing, and what is in the way of the rest is told.", err))
	}
	return err
}

// shipping says where the orders of a session are.
func (s *AdminServer) shipping(r *http.Request) (*wire.Shipping, error) {
	state, err := s.ended(r)
	var refused *problemError
	if errors.As(err, &refused) && refused.kind == conflict {
		err = nil // it may be looked at all along
	}
	if err != nil {
		return nil, err
	}
	told, err := s.desk.Count(r.Context(), r.PathValue("session"))
	if err != nil {
		return nil, err
	}
	told.State = state.String()
	return told, nil
}

// export has what passed go out to the warehouse.
func (s *AdminServer) export(r *http.Request, b *wire.ExportRequest) (*wire.Export, error) {
	if _, err := s.ended(r); err != nil {
		return nil, err
	}
	session := r.PathValue("session")
	told, err := s.desk.Export(r.Context(), byOf(r), session, b.Export)
	log := s.log.With("session", session, "operator", operatorOf(r), "note", b.Note.Note)
	switch {
	case errors.Is(err, shipping.ErrNoExport):
		return nil, refuse(notFound, noExport)
	case err != nil:
		log.Info("export broke off", "error", err)
		return nil, badRows(err, "order")
	}
	if b.Export != 0 { // it is only told of
		return told, nil
	}
	log.Info("orders exported", "export", told.Export, "orders", told.Orders, "no_receiver", told.NoReceiver)
	return told, nil
}

// exportQuery is how an export is to be written.
type exportQuery struct {
	Format string `query:"format" oneof:"csv ndjson" usual:"csv"`
	// The last order that has come, to go on after a break: without the line of columns.
	After string `query:"after" as:"order"`
}

// writeExport writes an export.
func (s *AdminServer) writeExport(w http.ResponseWriter, r *http.Request, q *exportQuery) error {
	session := r.PathValue("session")
	number, err := strconv.ParseUint(r.PathValue("export"), 10, 32)
	if err != nil || number == 0 {
		return refuse(notFound, noExport)
	}
	format, media := shipping.CSV, "text/csv; charset=utf-8"
	if q.Format == "ndjson" {
		format, media = shipping.NDJSON, wire.NDJSON
	}
	w.Header().Set("Content-Type", media)
	w.Header().Set("Content-Disposition", fmt.Sprintf("attachment; filename=%q",
		fmt.Sprintf("%s-export-%d.%s", session, number, q.Format)))
	out := &counted{to: w}
	err = s.desk.Write(r.Context(), out, shipping.Written{Session: session, Export: uint32(number), After: q.After,
		Format: format})
	if err == nil {
		return nil
	}
	if out.written > 0 { // whoever reads must not take the part for the whole
		s.log.Warn("an export broke off", "session", session, "export", number, "error", err)
		panic(http.ErrAbortHandler)
	}
	w.Header().Del("Content-Disposition")
	switch {
	case errors.Is(err, shipping.ErrNoExport):
		return refuse(notFound, noExport)
	case errors.Is(err, shipping.ErrNotInExport):
		return refuse(malformed, "after must be an order of this export.")
	}
	return err
}

const noExport = "The session has no such export. GET /admin/v1/sessions/{session}/shipping has the numbers of those " +
	"that there are."

// fileQuery says why a file is sent: its body is the file.
type fileQuery struct {
	Note string `query:"note" as:"note"` // Why, for the audit trail.
}

// takesFile makes the handler that takes rows in, whole or not at all.
func takesFile(what string, read func(io.Reader, shipping.Format) ([]shipping.Row, error),
	take func(*shipping.Desk, context.Context, engine.By, string, []shipping.Row) (*wire.ParcelsTaken, error),
) adminHandler {
	return finds(func(s *AdminServer, r *http.Request, q *fileQuery) (*wire.ParcelsTaken, error) {
		f, known := shipping.FormatOf(r.Header.Get("Content-Type"))
		if !known {
			return nil, refuse(wrongMediaType, "Send Content-Type: "+bodies[parcelsBody].asked+".")
		}
		session := r.PathValue("session")
		log := s.log.With("session", session, "operator", operatorOf(r), "note", q.Note)
		rows, err := read(r.Body, f)
		if bad := badRows(err, "line"); err != nil && bad == err { // it is the connection's
			return nil, refuse(malformed, "The file broke off before its end, and nothing was changed.")
		} else if err != nil {
			return nil, bad
		}
		if _, err := s.ended(r); err != nil {
			return nil, err
		}
		told, err := take(s.desk, r.Context(), byOf(r), session, rows)
		if err != nil {
			log.Info(what+" not taken", "rows", len(rows), "error", err)
			return nil, badRows(err, "line")
		}
		log.Info(what+" taken", "rows", told.Rows, "changed", told.Changed)
		return told, nil
	})
}

// What takes files in.
var (
	takesParcels  = takesFile("parcels", shipping.ReadParcels, (*shipping.Desk).Ship)
	takesReceived = takesFile("orders received", shipping.ReadOrders, (*shipping.Desk).Received)
)
