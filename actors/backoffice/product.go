package backoffice

import (
	"context"
	"errors"
	"fmt"
	"time"

	"doorbuster/engine"
)

// Product gives a product, and what sessions make of it.
func (bo *Office) Product(id string) (p engine.ProductView, known bool, err error) {
	if err := bo.Current(); err != nil {
		return p, false, err
	}
	bo.View(func(s *engine.State) { p, known = s.ProductOf(id) })
	return p, known, nil
}

// ProductPage reads up to most products from a position on (0 first), and gives the
// position after them, and whether that was all. Fewer may come although there are more.
func (bo *Office) ProductPage(
	f engine.ProductFilter, from, most int,
) (rows []engine.ProductView, next int, done bool, err error) {
	if err := bo.Current(); err != nil {
		return nil, 0, false, err
	}
	bo.View(func(s *engine.State) { rows, next, done = s.ProductPage(f, from, min(most, scanRows)) })
	return rows, next, done, nil
}

// Suppliers gives those that have products, by id.
func (bo *Office) Suppliers() (infos []engine.SupplierInfo, err error) {
	if err := bo.Current(); err != nil {
		return nil, err
	}
	bo.View(func(s *engine.State) { infos = s.Suppliers() })
	return infos, nil
}

// StockOf gives, some at a time, the products of a supplier of which it has said what it
// has, or that sessions offer. Error: each's, which ends it.
func (bo *Office) StockOf(supplier string, each func([]engine.SupplierStockView) error) error {
	if err := bo.Current(); err != nil {
		return err
	}
	for at, done := 0, false; !done; {
		var rows []engine.ProductView
		bo.View(func(s *engine.State) {
			rows, at, done = s.ProductPage(engine.ProductFilter{Supplier: supplier, Retired: true}, at, scanRows)
		})
		views := make([]engine.SupplierStockView, 0, len(rows))
		for i := range rows {
			if p := &rows[i]; p.Stock.Known || p.Offered {
				views = append(views, engine.SupplierStockView{Product: p.ID, Stock: p.Stock, ProductUse: p.Use})
			}
		}
		if len(views) == 0 {
			continue
		}
		if err := each(views); err != nil {
			return err
		}
	}
	return nil
}

// whatSuppliers gives a refusal for want of a supplier's units with the figures.
func (bo *Office) whatSuppliers(err error, sku string) error {
	var refused *engine.Refusal
	if !errors.As(err, &refused) || refused.Reason != engine.ReasonSupplier {
		return err
	}
	var p engine.ProductView
	known := false
	bo.View(func(s *engine.State) { p, known = s.ProductOf(sku) })
	if !known {
		return err
	}
	return &engine.Refusal{Reason: refused.Reason, Detail: fmt.Sprintf("The supplier of %s has %s, and %d are put up: "+
		"%d more can be.", p.ID, p.Stock, p.Use.PutUp-p.Use.PaidBefore, max(0, p.Use.Allowance-p.Use.PutUp))}
}

// importPause is how long whoever waits for an import looks away.
const importPause = 2 * time.Millisecond

// importTries is how often an import is staged that something else came in the way of.
const importTries = 3

// ImportProducts takes a supplier's rows into the catalogue, whole or not at all. They are
// staged first, and count from one step on; it comes back once all of them have taken their
// places. A change of the leader is waited for. With Problems nothing was changed. Refusals:
// ReasonConflict if other changes came in between again and again, ReasonShrinks,
// ReasonTooMany.
func (bo *Office) ImportProducts(
	ctx context.Context, supplier string, in engine.ProductImport,
) (out engine.ProductImported, err error) {
	if err := bo.CatchUp(ctx); err != nil {
		return out, err
	}
	c := engine.Command{Kind: engine.CmdEditProducts, Note: in.Note,
		Products: &engine.ProductEdit{Supplier: supplier, Source: in.Source}}
	if err := bo.sign(ctx, &c, in.By); err != nil {
		return out, err
	}
	if done, _, err := bo.done(c.Intent); done || err != nil { // what it changed then is not remembered
		bo.View(func(s *engine.State) { out, _, _ = s.Imported(supplier, 0) })
		return out, err
	}
	for try := 1; ; try++ {
		stage := newStage()
		out, err = bo.bringProducts(ctx, c, stage, &in)
		if err == nil && len(out.Problems) == 0 {
			return bo.awaitImport(ctx, supplier, stage)
		}
		var refused *engine.Refusal
		if err == nil || try == importTries || !errors.As(err, &refused) || refused.Reason != engine.ReasonConflict {
			return out, err
		}
	}
}

// bringProducts stages an import step by step, and commits it. c says whose it is.
func (bo *Office) bringProducts(
	ctx context.Context, c engine.Command, stage uint64, in *engine.ProductImport,
) (out engine.ProductImported, err error) {
	said, intent := *c.Products, c.Intent
	said.Stage, c.Intent = stage, engine.Intent{}
	ask := func(action engine.ProductEditAction, rows []engine.ProductRow) error {
		edit := said
		edit.Action, edit.Rows = action, rows
		c.Products = &edit // the one before may still be read
		return bo.persist(ctx, c)
	}
	if err := bo.awaitRoom(ctx, said.Supplier); err != nil {
		return out, err
	}
	var rows []engine.ProductRow
	count, size, staged := 0, 0, 0
	step := func() error {
		bo.View(func(s *engine.State) {
			for i := range rows {
				wrong := s.WrongProduct(said.Supplier, &rows[i])
				if wrong != "" && len(out.Problems) < engine.MaxProductProblems {
					out.Problems = append(out.Problems, engine.ProductProblem{Row: count - len(rows) + i,
						Product: string(rows[i].ID), Message: wrong})
				}
			}
		})
		if len(out.Problems) > 0 {
			rows, size = rows[:0], 0 // the rest is only looked at
			return nil
		}
		if err := ask(engine.ProductsStage, rows); err != nil {
			return err
		}
		staged = count
		rows, size = make([]engine.ProductRow, 0, engine.MaxImportProducts), 0
		if in.Committed != nil {
			in.Committed(count)
		}
		return nil
	}
	for row := range in.Rows {
		if len(rows) == engine.MaxImportProducts || len(rows) > 0 && size+row.Bytes() > importBytes {
			if err := step(); err != nil {
				return out, err
			}
		}
		rows = append(rows, row)
		size += row.Bytes()
		count++
	}
	if len(rows) > 0 || count == 0 {
		if err := step(); err != nil {
			return out, err
		}
	}
	if len(out.Problems) > 0 {
		if staged > 0 { // its claims are in others' way
			return out, ask(engine.ProductsDrop, nil)
		}
		return out, nil
	}
	said.Count, said.Replace, said.Shrinks, c.Intent = uint32(count), in.Replace, in.Shrinks, intent
	if err := ask(engine.ProductsCommit, nil); err != nil {
		// One that was asked twice, and was done the first time, is refused.
		known := false
		bo.View(func(s *engine.State) { _, _, known = s.Imported(said.Supplier, stage) })
		if !known {
			return out, err
		}
	}
	return out, nil
}

// awaitRoom waits until the import before this one has taken its place.
func (bo *Office) awaitRoom(ctx context.Context, supplier string) error {
	return bo.awaitState(ctx, func(s *engine.State) bool { return !s.Importing(supplier) })
}

// awaitImport waits until a committed import has taken its place.
func (bo *Office) awaitImport(
	ctx context.Context, supplier string, stage uint64,
) (out engine.ProductImported, err error) {
	known := false
	err = bo.awaitState(ctx, func(s *engine.State) (done bool) {
		out, done, known = s.Imported(supplier, stage)
		return done || !known // another has followed
	})
	return out, err
}

// awaitState waits until the state on this node is as it should be.
func (bo *Office) awaitState(ctx context.Context, is func(*engine.State) bool) error {
	look := time.NewTicker(importPause)
	defer look.Stop()
	for {
		done := false
		bo.View(func(s *engine.State) { done = is(s) })
		if done {
			return nil
		}
		select {
		case <-look.C:
		case <-ctx.Done():
			return engine.ErrOutcomeUnknown
		}
	}
}

// DeleteProduct deletes a product that no session offers.
func (bo *Office) DeleteProduct(ctx context.Context, by engine.By, id, note string) error {
	return bo.changeProduct(ctx, by, id, note, engine.ProductDelete)
}

// RetireProduct has no session list a product any more.
func (bo *Office) RetireProduct(ctx context.Context, by engine.By, id, note string) error {
	return bo.changeProduct(ctx, by, id, note, engine.ProductRetire)
}

// ReviveProduct lets sessions list a product again that operators had retired.
func (bo *Office) ReviveProduct(ctx context.Context, by engine.By, id, note string) error {
	return bo.changeProduct(ctx, by, id, note, engine.ProductRevive)
}

func (bo *Office) changeProduct(
	ctx context.Context, by engine.By, id, note string, action engine.ProductAction,
) error {
	return bo.askBy(ctx, by, engine.Command{Kind: engine.CmdChangeProduct, Product: id, ProductAction: action,
		Note: note})
}

// DeleteSale deletes a sale with all its sessions, if nobody has ordered from any.
func (bo *Office) DeleteSale(ctx context.Context, by engine.By, id, note string) error {
	return bo.discard(ctx, by, note, engine.Discarding{Sale: id, Action: engine.DiscardDelete})
}

// DeleteSession deletes a session that nobody has ordered from.
func (bo *Office) DeleteSession(ctx context.Context, by engine.By, id, note string) error {
	return bo.discard(ctx, by, note, engine.Discarding{Session: id, Action: engine.DiscardDelete})
}

// ArchiveSale hides a sale whose sessions are over, and them, unless they are asked for.
func (bo *Office) ArchiveSale(ctx context.Context, by engine.By, id, note string) error {
	return bo.discard(ctx, by, note, engine.Discarding{Sale: id, Action: engine.DiscardArchive})
}

// ArchiveSession hides a session that is over, unless it is asked for.
func (bo *Office) ArchiveSession(ctx context.Context, by engine.By, id, note string) error {
	return bo.discard(ctx, by, note, engine.Discarding{Session: id, Action: engine.DiscardArchive})
}

// RecallSale takes a sale from the archive, and its sessions.
func (bo *Office) RecallSale(ctx context.Context, by engine.By, id, note string) error {
	return bo.discard(ctx, by, note, engine.Discarding{Sale: id, Action: engine.DiscardRecall})
}

// RecallSession takes a session from the archive.
func (bo *Office) RecallSession(ctx context.Context, by engine.By, id, note string) error {
	return bo.discard(ctx, by, note, engine.Discarding{Session: id, Action: engine.DiscardRecall})
}

func (bo *Office) discard(ctx context.Context, by engine.By, note string, d engine.Discarding) error {
	err := bo.askBy(ctx, by, engine.Command{Kind: engine.CmdDiscard, Discard: d, Note: note})
	var refused *engine.Refusal
	if errors.As(err, &refused) {
		return &engine.Refusal{Reason: refused.Reason, Detail: whatStands(refused.Reason, &d)}
	}
	return err
}

// whatStands says what is in the way of deleting or archiving, and what to do; "" where the
// reason is all.
func whatStands(why engine.Reason, d *engine.Discarding) string {
	one, archive := "The session", "Archive the session once it is over."
	if d.Sale != "" {
		one, archive = "A session of the sale", "Archive the sale once all its sessions are over."
	}
	switch {
	case why == engine.ReasonNotOpen && d.Action == engine.DiscardDelete:
		return one + " is open. End it first."
	case why == engine.ReasonNotOpen:
		return one + " is not over. What is over can be archived: wait for its end, or end it."
	case why == engine.ReasonOffered:
		return one + " has orders or bargains, which are kept. " + archive
	case why == engine.ReasonSettled:
		return one + " is settled, and the ledger keeps it. " + archive
	case why == engine.ReasonTooMany:
		return "The sale has too many listings to be deleted in one step. Delete some of its sessions first."
	}
	return ""
}
