package archive

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
	"sync"
	"time"

	"doorbuster/engine"
	"doorbuster/httpapi/reconcile"
)

// How reports come to the other nodes: each looks every copyEvery what the others
// have, and copies what it lacks.
const (
	copyEvery      = 3 * time.Second
	copyPause      = 20 * time.Millisecond // between pieces: 25 MiB/s leave room for grabs
	copyTries      = 5                     // of a piece, copyRetry apart
	copyRetry      = 500 * time.Millisecond
	copyAgainMost  = time.Minute // between tries of a report that can't be copied; twice as long each time
	offerPatience  = time.Second // for a list; of who waits for an answer, too
	piecePatience  = 10 * time.Second
	listPatience   = 3 * time.Second // for what is listed and not here yet
	mostWholeBytes = 64 << 20        // of what a report says as a whole
)

// Others is the way to the reports of the other nodes.
type Others interface {
	Others() (nodes []string)
	AskReports(ctx context.Context, node string, q engine.ReportsRequest,
		patience time.Duration) (engine.ReportsPage, error)
}

// SilentNode is a node that could not be asked for its reports, and why.
type SilentNode struct {
	Node  string `json:"node"`
	Error string `json:"error"`
}

// NoReportError is an ErrNoReport that nodes which could not be asked may refute.
type NoReportError struct{ Silent []SilentNode }

func (e *NoReportError) Error() string {
	return ErrNoReport.Error() + "; could not be asked: " + e.Nodes()
}

func (e *NoReportError) Unwrap() error { return ErrNoReport }

// Nodes says which could not be asked, and why.
func (e *NoReportError) Nodes() string {
	said := make([]string, len(e.Silent))
	for i, n := range e.Silent {
		said[i] = n.Node + " (" + n.Error + ")"
	}
	return strings.Join(said, ", ")
}

// offer is a report that nodes keep.
type offer struct {
	engine.KeptReport
	nodes []string // the others; none of what is here
}

// uncopied is a report that could not be copied.
type uncopied struct {
	after time.Duration
	again time.Time
}

// Join has the archive ask others, and copy from them once KeepCopying is called. It is
// called before all else.
func (a *Archive) Join(others Others) { a.others = others }

// NotCopied is how many reports of other nodes could not be copied so far.
func (a *Archive) NotCopied() int64 { return a.notCopied.Load() }

// KeepCopying copies what the archive lacks until ctx ends.
func (a *Archive) KeepCopying(ctx context.Context) {
	for {
		a.copyLacking(ctx)
		if !wait(ctx, copyEvery) {
			return
		}
	}
}

// wait gives false if ctx ended.
func wait(ctx context.Context, d time.Duration) bool {
	select {
	case <-ctx.Done():
		return false
	case <-time.After(d):
		return true
	}
}

// offers asks all other nodes at once what they keep: the newest first, and who did
// not answer.
func (a *Archive) offers(ctx context.Context) (offers []offer, silent []SilentNode) {
	if a.others == nil {
		return nil, nil
	}
	nodes := a.others.Others()
	pages, errs := make([]engine.ReportsPage, len(nodes)), make([]error, len(nodes))
	var asking sync.WaitGroup
	for i, node := range nodes {
		asking.Go(func() {
			pages[i], errs[i] = a.others.AskReports(ctx, node, engine.ReportsRequest{}, offerPatience)
		})
	}
	asking.Wait()
	at := map[engine.KeptReport]int{}
	for i, node := range nodes {
		if errs[i] != nil {
			silent = append(silent, SilentNode{Node: node, Error: errs[i].Error()})
		}
		for _, k := range pages[i].Kept {
			if _, known := at[k]; !known {
				at[k] = len(offers)
				offers = append(offers, offer{KeptReport: k})
			}
			offers[at[k]].nodes = append(offers[at[k]].nodes, node)
		}
	}
	sortOffers(offers)
	return offers, silent
}

func sortOffers(list []offer) {
	slices.SortStableFunc(list, func(a, b offer) int { return newerFirst(a.ID, b.ID) })
}

// lacking gives the offers that are not here and that there is room for, beside
// what is: by the same rule on all nodes, so that nobody copies what would be
// dropped at once.
func (a *Archive) lacking(offers []offer) (lacking []offer, err error) {
	err = a.locked(func() error {
		var all []offer
		for i := range a.known {
			all = append(all, offer{KeptReport: a.known[i].KeptReport})
		}
		for _, o := range offers {
			if _, known := a.at(o.ID); !known {
				all = append(all, o)
			}
		}
		sortOffers(all)
		bytes := int64(0)
		for i, o := range all {
			if bytes += o.Whole + o.Findings; !roomFor(i, bytes) {
				break
			}
			if o.nodes != nil {
				lacking = append(lacking, o)
			}
		}
		return nil
	})
	return lacking, err
}

// copyLacking copies what is due.
func (a *Archive) copyLacking(ctx context.Context) {
	offers, _ := a.offers(ctx)
	lacking, err := a.lacking(offers)
	if err != nil {
		a.cfg.Log.Warn("the reports of reconciliations can't be listed", "error", err)
		return
	}
	still := map[string]*uncopied{}
	for _, o := range lacking {
		failed := a.uncopied[o.ID]
		if failed == nil || !time.Now().Before(failed.again) {
			failed = a.copied(ctx, o, failed)
		}
		if ctx.Err() != nil {
			return
		}
		if failed != nil {
			still[o.ID] = failed
		}
	}
	a.uncopied = still
	a.notCopied.Store(int64(len(still)))
}

// copied copies a report, or notes that it could not; failed before says how often.
func (a *Archive) copied(ctx context.Context, o offer, failed *uncopied) *uncopied {
	began := time.Now()
	var errs []error
	for _, node := range o.nodes {
		err := a.copyFrom(ctx, node, o.KeptReport)
		if err == nil {
			a.cfg.Log.Info("report copied", "report", o.ID, "node", node, "bytes", o.Whole+o.Findings,
				"took", time.Since(began))
			return nil
		}
		if ctx.Err() != nil {
			return failed
		}
		errs = append(errs, fmt.Errorf("node %s: %w", node, err))
	}
	if failed == nil {
		failed = &uncopied{after: copyEvery}
		a.cfg.Log.Warn("a report could not be copied; it is tried again", "report", o.ID, "error", errors.Join(errs...))
	}
	failed.again = time.Now().Add(failed.after)
	failed.after = min(2*failed.after, copyAgainMost)
	return failed
}

// copyFrom copies a report as it stands in another node's files.
func (a *Archive) copyFrom(ctx context.Context, node string, k engine.KeptReport) error {
	if k.Findings > mostFindingBytes+mostWholeBytes {
		return fmt.Errorf("it has %d bytes of findings, over %d", k.Findings, mostFindingBytes)
	}
	from := remote{a.others, node, k, copyTries}
	report, text, err := from.whole(ctx)
	if err != nil {
		return err
	}
	w, err := a.Begin(k.ID)
	if err != nil {
		return err
	}
	if err = from.copyTo(ctx, w, true, copyPause); err == nil {
		if sum := w.checksum(); report.FindingsSHA256 != "" && report.FindingsSHA256 != sum {
			err = fmt.Errorf("its findings have the checksum %s, not %s: they are damaged there", sum,
				report.FindingsSHA256)
		}
	}
	if err != nil {
		w.Drop()
		return err
	}
	return w.keep(report, text)
}

// remote is a report of another node.
type remote struct {
	others Others
	node   string
	engine.KeptReport
	tries int // of each piece
}

// whole gets what the report says as a whole.
func (r remote) whole(ctx context.Context) (*reconcile.Report, []byte, error) {
	if r.Whole > mostWholeBytes {
		return nil, nil, fmt.Errorf("it has %d bytes, over %d", r.Whole, mostWholeBytes)
	}
	var text bytes.Buffer
	if err := r.copyTo(ctx, &text, false, 0); err != nil {
		return nil, nil, err
	}
	report, err := parse(r.ID, text.Bytes())
	return report, text.Bytes(), err
}

// copyTo writes one part of the report, piece by piece, with a pause before each but the
// first.
func (r remote) copyTo(ctx context.Context, to io.Writer, findings bool, pause time.Duration) error {
	q, size := engine.ReportsRequest{ID: r.ID, Findings: findings}, r.Whole
	if findings {
		size = r.Findings
	}
	for q.From < size {
		if q.From > 0 {
			wait(ctx, pause)
		}
		page, err := r.others.AskReports(ctx, r.node, q, piecePatience)
		for try := 1; err != nil && try < r.tries && wait(ctx, copyRetry); try++ {
			page, err = r.others.AskReports(ctx, r.node, q, piecePatience)
		}
		if err != nil {
			return err
		}
		n, left := int64(len(page.Piece)), size-q.From
		if n == 0 || n > left {
			return fmt.Errorf("a piece of %d bytes came where %d were left", n, left)
		}
		if _, err := to.Write(page.Piece); err != nil {
			return err
		}
		q.From += n
	}
	return nil
}

// Reports gives what the nodes keep, the newest first, without their findings, days and
// listings, and which nodes could not be asked.
func (a *Archive) Reports(ctx context.Context) ([]reconcile.Report, []SilentNode, error) {
	offers, silent := a.offers(ctx)
	var list []reconcile.Report
	listed := map[string]bool{}
	err := a.locked(func() error { // after the others: what came in between is here
		for i := range a.known {
			list, listed[a.known[i].ID] = append(list, a.known[i].brief), true
		}
		return nil
	})
	if err != nil {
		return nil, nil, err
	}
	ctx, cancel := context.WithTimeout(ctx, listPatience)
	defer cancel()
	for _, o := range offers {
		if listed[o.ID] || ctx.Err() != nil {
			continue
		}
		report, from, err := a.elsewhere(ctx, o)
		if err != nil {
			silent = append(silent, SilentNode{Node: from.node, Error: fmt.Sprintf("its report %s: %s", o.ID, err)})
		} else {
			list, listed[o.ID] = append(list, brief(*report)), true
		}
	}
	slices.SortFunc(list, func(a, b reconcile.Report) int { return newerFirst(a.ID, b.ID) })
	each := make([]*reconcile.Report, len(list))
	for i := range list {
		each[i] = &list[i]
	}
	return list, silent, a.AsOfNow(each...)
}

// elsewhere gets what a report says as a whole from whichever node can give it; of
// several that can't, the last one is told.
func (a *Archive) elsewhere(ctx context.Context, o offer) (report *reconcile.Report, from remote, err error) {
	for _, node := range o.nodes {
		from = remote{a.others, node, o.KeptReport, 1}
		if report, _, err = from.whole(ctx); err == nil {
			break
		}
	}
	return report, from, err
}

// Report gives a whole report but for its findings, and those for the caller to close;
// ctx is needed until then. It may be another node's. Error: ErrNoReport, a
// *NoReportError where nodes could not be asked.
func (a *Archive) Report(ctx context.Context, id string) (*reconcile.Report, *Findings, error) {
	report, findings, err := a.here(id)
	if err == nil || a.others == nil {
		return report, findings, err
	}
	offers, silent := a.offers(ctx)
	for _, o := range offers {
		if o.ID != id {
			continue
		}
		report, from, why := a.elsewhere(ctx, o)
		if why == nil {
			from.tries = copyTries
			read, write := io.Pipe()
			go func() { write.CloseWithError(from.copyTo(ctx, write, true, 0)) }() // ends when it is closed
			return report, NewFindings(read), a.AsOfNow(report)
		}
		silent = append(silent, SilentNode{Node: from.node, Error: why.Error()})
	}
	if errors.Is(err, ErrNoReport) && len(silent) > 0 {
		err = &NoReportError{Silent: silent}
	}
	return nil, nil, err
}
