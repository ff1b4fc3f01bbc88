package daily

import (
	"context"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"doorbuster/httpapi/reconcile/archive"
	"doorbuster/httpapi/reconcile/intake"
)

// Where files of the folder go, and what is written beside one that failed.
const (
	doneFolder    = "done"   // what was reconciled
	failedFolder  = "failed" // what is no statement
	problemSuffix = ".problems.txt"
	sinceFile     = "daily-since" // among the reports: the first day that was wanted
)

// look is what a file looked like.
type look struct {
	size    int64
	changed time.Time
}

// firstDay finds out, or notes, from which day on the shop wants statements: a node that
// was off for days catches up on them, and a new shop asks for none from before it.
func (d *Daily) firstDay(due time.Time) string {
	path := filepath.Join(d.cfg.Archive, sinceFile)
	if text, err := os.ReadFile(path); err == nil {
		if _, err := time.Parse(time.DateOnly, string(text)); err == nil {
			return string(text)
		}
	}
	first := d.day(due, -1).name
	if err := archive.KeepFile(path, []byte(first)); err != nil {
		d.cfg.Log.Warn("it can't be noted since when statements are wanted; after a restart, days before it are not "+
			"caught up", "error", err)
	}
	return first
}

// unfinished reports whether a name says that its file is still being written.
func unfinished(name string) bool {
	return strings.HasPrefix(name, ".") || slices.Contains(
		[]string{".part", ".partial", ".filepart", ".tmp", ".temp", ".crdownload"}, filepath.Ext(name))
}

// lookInFolder takes the files that have not changed since the last look, by name.
func (d *Daily) lookInFolder(ctx context.Context) {
	entries, err := os.ReadDir(d.cfg.Folder)
	d.noteFolder(err)
	if err != nil {
		return
	}
	looks := map[string]look{}
	for _, e := range entries {
		info, err := e.Info()
		if err != nil || !info.Mode().IsRegular() || unfinished(e.Name()) {
			continue
		}
		now := look{info.Size(), info.ModTime()}
		if before, known := d.seen[e.Name()]; !known || before != now {
			looks[e.Name()] = now
			continue
		}
		if ctx.Err() != nil || !d.cfg.Leads() {
			return
		}
		if !d.take(ctx, e.Name()) {
			looks[e.Name()] = now
		}
	}
	d.seen = looks
}

// noteFolder notes whether the folder could be read.
func (d *Daily) noteFolder(err error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if err == nil {
		d.folder = nil
		return
	}
	if d.folder == nil {
		d.cfg.Log.Error("ALARM: the folder of statements can't be read", "error", err)
	}
	d.failures.Inc()
	d.folder = d.folder.failed(d.cfg.Now(), err)
}

// take reconciles one file of the folder and moves it away; false if it is worth
// another try.
func (d *Daily) take(ctx context.Context, name string) (done bool) {
	log := d.cfg.Log.With("statement", name)
	f, err := os.Open(filepath.Join(d.cfg.Folder, name))
	if err != nil {
		log.Warn("a statement can't be read", "error", err)
		return false
	}
	defer f.Close()
	err = d.reconcile(ctx, f, intake.Request{Name: name})
	switch {
	case err == nil:
		err = d.move(name, doneFolder, "")
	case intake.Unusable(err), errors.Is(err, errCoversNothing):
		log.Error("ALARM: a statement can't be taken", "error", err)
		err = d.move(name, failedFolder, err.Error())
	case ctx.Err() != nil:
		return false
	default:
		log.Warn("a statement could not be reconciled; it is tried again", "error", err)
		return false
	}
	if err != nil {
		log.Error("ALARM: a statement was dealt with and can't be moved away; it will be taken again", "error", err)
	}
	return true
}

// move puts a file into a folder below, with what there is to say of it.
func (d *Daily) move(name, to, say string) error {
	dir := filepath.Join(d.cfg.Folder, to)
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return err
	}
	at := filepath.Join(dir, name)
	if _, err := os.Lstat(at); !errors.Is(err, fs.ErrNotExist) { // one of that name was there before
		at = filepath.Join(dir, d.cfg.Now().UTC().Format("20060102T150405.000Z-")+name)
	}
	err := os.Rename(filepath.Join(d.cfg.Folder, name), at)
	if say != "" {
		err = errors.Join(err, os.WriteFile(at+problemSuffix, []byte(say+"\n"), 0o644))
	}
	return err
}
