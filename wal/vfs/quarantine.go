package vfs

import (
	"errors"
	"fmt"
	"io/fs"
	"path/filepath"
	"slices"
	"strings"
)

// QuarantineSuffix ends the names of files that Quarantine has put out of the way.
const QuarantineSuffix = ".damaged"

// quarantined is how many of them a directory keeps, for whoever wants to look.
const quarantined = 2

// Quarantine renames a file of dir that can't be used to NUMBER-name.damaged, and
// removes all but the newest two such files. A file that is gone is no error.
func Quarantine(fsys FS, dir, name string) error {
	names, err := fsys.List(dir)
	if err != nil {
		return err
	}
	names = slices.DeleteFunc(names, func(name string) bool { return !strings.HasSuffix(name, QuarantineSuffix) })
	slices.Sort(names)
	number := 0
	if len(names) > 0 {
		_, _ = fmt.Sscanf(names[len(names)-1], "%d", &number) // of another form: begin again
	}
	to := fmt.Sprintf("%06d-%s%s", number+1, name, QuarantineSuffix)
	if err := fsys.Rename(filepath.Join(dir, name), filepath.Join(dir, to)); err != nil {
		return IgnoreGone(err)
	}
	names = append(names, to)
	for _, old := range names[:max(len(names)-quarantined, 0)] {
		if err := IgnoreGone(fsys.Remove(filepath.Join(dir, old))); err != nil {
			return err
		}
	}
	return fsys.SyncDir(dir)
}

// IgnoreGone gives err unless it is that a file is not there.
func IgnoreGone(err error) error {
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	return err
}
