package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"slices"
	"sync"
	"time"

	"doorbuster/cluster/rpc"
	"doorbuster/httpapi"
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

// otherReports is the way to the reports of the other nodes.
type otherReports interface {
	Others() (nodes []string)
	AskReports(ctx context.Context, node string, q rpc.ReportsRequest, patience time.Duration) (rpc.ReportsPage, error)
}

// offer is a report that other nodes keep.
type offer struct {
	rpc.KeptReport
	nodes []string
}

// uncopiedReport is one that could not be copied.
type uncopiedReport struct {
	after time.Duration
	again time.Time
}

// beginCopying copies from the other nodes until the reconciler is closed.
func (r *reconciler) beginCopying(others otherReports) {
	r.others, r.uncopied = others, map[string]*uncopiedReport{}
	r.under.Go(func() {
		every := time.NewTicker(copyEvery)
		defer every.Stop()
		for {
			r.copyLacking()
			select {
			case <-r.ctx.Done():
				return
			case <-every.C:
			}
		}
	})
}

// offers asks all other nodes at once what they keep: the newest first, and who did
// not answer.
func (r *reconciler) offers(ctx context.Context) (offers []offer, silent []httpapi.SilentNode) {
	if r.others == nil {
		return nil, nil
	}
	nodes := r.others.Others()
	pages, errs := make([]rpc.ReportsPage, len(nodes)), make([]error, len(nodes))
	var asking sync.WaitGroup
	for i, node := range nodes {
		asking.Go(func() {
			pages[i], errs[i] = r.others.AskReports(ctx, node, rpc.ReportsRequest{}, offerPatience)
		})
	}
	asking.Wait()
	at := map[rpc.KeptReport]int{}
	for i, node := range nodes {
		if errs[i] != nil {
			silent = append(silent, httpapi.SilentNode{Node: node, Error: errs[i].Error()})
		}
		for _, k := range pages[i].Kept {
			if _, known := at[k]; !known {
				at[k] = len(offers)
				offers = append(offers, offer{KeptReport: k})
			}
			offers[at[k]].nodes = append(offers[at[k]].nodes, node)
		}
	}
	slices.SortFunc(offers, func(a, b offer) int { return newerFirst(a.ID, b.ID) })
	return offers, silent
}

// lacking gives the offers that are not here and that there is room for, beside
// what is: by the same rule on all nodes, so that nobody copies what would be
// dropped at once.
func (s *reports) lacking(offers []offer) (lacking []offer, err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if err := s.load(); err != nil {
		return nil, err
	}
	all := make([]offer, 0, len(s.known)+len(offers))
	here := map[string]bool{}
	for i := range s.known {
		k := &s.known[i]
		all = append(all, offer{KeptReport: rpc.KeptReport{ID: k.brief.ID, Whole: k.whole, Findings: k.findings}})
		here[k.brief.ID] = true
	}
	for _, o := range offers {
		if !here[o.ID] {
			all = append(all, o)
		}
	}
	slices.SortStableFunc(all, func(a, b offer) int { return newerFirst(a.ID, b.ID) })
	bytes := int64(0)
	for i, o := range all {
		if bytes += o.Whole + o.Findings; !roomFor(i, bytes) {
			break
		}
		if !here[o.ID] {
			lacking = append(lacking, o)
		}
	}
	return lacking, nil
}

// copyLacking copies what is due.
func (r *reconciler) copyLacking() {
	offers, _ := r.offers(r.ctx)
	lacking, err := r.reports.lacking(offers)
	if err != nil {
		r.logger.Warn("the reports of reconciliations can't be listed", "error", err)
		return
	}
	still := map[string]*uncopiedReport{}
	for _, o := range lacking {
		failed := r.uncopied[o.ID]
		if failed == nil || !time.Now().Before(failed.again) {
			failed = r.copied(o, failed)
		}
		if r.ctx.Err() != nil {
			return
		}
		if failed != nil {
			still[o.ID] = failed
		}
	}
	r.uncopied = still
	r.notCopied.Store(int64(len(still)))
}

// copied copies a report, or notes that it could not; failed before says how often.
func (r *reconciler) copied(o offer, failed *uncopiedReport) *uncopiedReport {
	began := time.Now()
	var errs []error
	for _, node := range o.nodes {
		err := r.copyFrom(node, o.KeptReport)
		if err == nil {
			r.logger.Info("report copied", "report", o.ID, "node", node, "bytes", o.Whole+o.Findings, "took", time.Since(began))
			return nil
		}
		if r.ctx.Err() != nil {
			return failed
		}
		errs = append(errs, fmt.Errorf("node %s: %w", node, err))
	}
	if failed == nil {
		failed = &uncopiedReport{after: copyEvery}
		r.logger.Warn("a report could not be copied; it is tried again", "report", o.ID, "error", errors.Join(errs...))
	}
	failed.again = time.Now().Add(failed.after)
	failed.after = min(2*failed.after, copyAgainMost)
	return failed
}

// copyFrom copies a report as it stands in another node's files.
func (r *reconciler) copyFrom(node string, k rpc.KeptReport) error {
	if k.Findings > mostFindingBytes+mostWholeBytes {
		return fmt.Errorf("it has %d bytes of findings, over %d", k.Findings, mostFindingBytes)
	}
	report, text, err := r.wholeOf(r.ctx, node, k, copyTries)
	if err != nil {
		return err
	}
	if err := r.reports.prepare(); err != nil {
		return err
	}
	w, err := r.reports.begin(k.ID)
	if err != nil {
		return err
	}
	findings := r.piecesOf(r.ctx, node, k, true, copyTries)
	findings.pause = copyPause
	if _, err := io.Copy(w, findings); err != nil {
		w.drop()
		return err
	}
	if sum := w.sumText(); report.FindingsSHA256 != "" && report.FindingsSHA256 != sum {
		w.drop()
		return fmt.Errorf("its findings have the checksum %s, not %s: they are damaged there", sum, report.FindingsSHA256)
	}
	return w.keepAs(report, text)
}

// wholeOf gets what a report of another node says as a whole.
func (r *reconciler) wholeOf(ctx context.Context, node string, k rpc.KeptReport, tries int) (*reconcile.Report, []byte, error) {
	if k.Whole > mostWholeBytes {
		return nil, nil, fmt.Errorf("it has %d bytes, over %d", k.Whole, mostWholeBytes)
	}
	text, err := io.ReadAll(r.piecesOf(ctx, node, k, false, tries))
	if err != nil {
		return nil, nil, err
	}
	report, err := parseReport(k.ID, text)
	return report, text, err
}

// pieces reads a part of another node's report, piece by piece.
type pieces struct {
	ask   func(from int64) ([]byte, error)
	size  int64
	from  int64
	pause time.Duration // before each but the first
	rest  []byte
}

func (r *reconciler) piecesOf(ctx context.Context, node string, k rpc.KeptReport, findings bool, tries int) *pieces {
	p := &pieces{size: k.Whole}
	if findings {
		p.size = k.Findings
	}
	p.ask = func(from int64) ([]byte, error) {
		if from > 0 && p.pause > 0 {
			wait(ctx, p.pause)
		}
		for try := 1; ; try++ {
			page, err := r.others.AskReports(ctx, node, rpc.ReportsRequest{ID: k.ID, Findings: findings, From: from}, piecePatience)
			if err == nil || try >= tries || ctx.Err() != nil {
				return page.Piece, err
			}
			wait(ctx, copyRetry)
		}
	}
	return p
}

func wait(ctx context.Context, d time.Duration) {
	select {
	case <-ctx.Done():
	case <-time.After(d):
	}
}

func (p *pieces) Read(to []byte) (int, error) {
	if len(p.rest) == 0 {
		left := p.size - p.from
		if left == 0 {
			return 0, io.EOF
		}
		piece, err := p.ask(p.from)
		if err != nil {
			return 0, err
		}
		if n := int64(len(piece)); n == 0 || n > left {
			return 0, fmt.Errorf("a piece of %d bytes came where %d were left", n, left)
		}
		p.rest, p.from = piece, p.from+int64(len(piece))
	}
	n := copy(to, p.rest)
	p.rest = p.rest[n:]
	return n, nil
}

// Reports lists what is here and, of what has not been copied yet, what the other
// nodes have.
func (r *reconciler) Reports(ctx context.Context) ([]reconcile.Report, []httpapi.SilentNode, error) {
	offers, silent := r.offers(ctx)
	list, err := r.reports.list() // after the others: what came in between is here
	if err != nil {
		return nil, nil, err
	}
	listed := map[string]bool{}
	for i := range list {
		listed[list[i].ID] = true
	}
	ctx, cancel := context.WithTimeout(ctx, listPatience)
	defer cancel()
	for _, o := range offers {
		if listed[o.ID] {
			continue
		}
		report, node, err := r.reportOf(ctx, o)
		if err != nil {
			silent = append(silent, httpapi.SilentNode{Node: node, Error: fmt.Sprintf("its report %s: %s", o.ID, err)})
		} else {
			list, listed[o.ID] = append(list, brief(*report)), true
		}
		if ctx.Err() != nil {
			break
		}
	}
	slices.SortFunc(list, func(a, b reconcile.Report) int { return newerFirst(a.ID, b.ID) })
	each := make([]*reconcile.Report, len(list))
	for i := range list {
		each[i] = &list[i]
	}
	return list, silent, r.reports.asOfNow(each...)
}

// reportOf gets what a report says as a whole from whichever node can give it; of
// several that can't, the last one is told.
func (r *reconciler) reportOf(ctx context.Context, o offer) (report *reconcile.Report, node string, err error) {
	for _, node = range o.nodes {
		if report, _, err = r.wholeOf(ctx, node, o.KeptReport, 1); err == nil {
			break
		}
	}
	return report, node, err
}

// Report gives what is here, or what another node has.
func (r *reconciler) Report(ctx context.Context, id string) (*reconcile.Report, io.ReadCloser, error) {
	report, findings, err := r.reports.opened(id)
	if err == nil {
		return report, r.reports.current(findings), r.reports.asOfNow(report)
	}
	if r.others == nil {
		return nil, nil, err
	}
	offers, silent := r.offers(ctx)
	for _, o := range offers {
		if o.ID != id {
			continue
		}
		report, node, why := r.reportOf(ctx, o)
		if why == nil {
			return report, io.NopCloser(r.piecesOf(ctx, node, o.KeptReport, true, copyTries)), r.reports.asOfNow(report)
		}
		silent = append(silent, httpapi.SilentNode{Node: node, Error: why.Error()})
	}
	if errors.Is(err, httpapi.ErrNoReport) && len(silent) > 0 {
		err = &httpapi.NoReportError{Silent: silent}
	}
	return nil, nil, err
}
