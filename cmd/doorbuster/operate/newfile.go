package operate

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
)

// intoNewFile has write write into a new file, which is there only once it is whole; or
// to out where file is "". One that is there already stays as it is.
func intoNewFile(file string, out io.Writer, write func(io.Writer) error) (err error) {
	if file == "" {
		return write(out)
	}
	if _, err := os.Lstat(file); err == nil {
		return errThere(file)
	}
	part := file + ".part"
	f, err := os.OpenFile(part, os.O_WRONLY|os.O_CREATE|os.O_TRUNC, 0o600) // of one that was killed, half is left
	if err != nil {
		return fmt.Errorf("write %s: %w", file, err)
	}
	defer os.Remove(part)
	if err := errors.Join(write(f), f.Close()); err != nil {
		return err
	}
	switch err := os.Link(part, file); { // unlike Rename, it replaces nothing
	case errors.Is(err, fs.ErrExist):
		return errThere(file)
	case err != nil: // a file system without links
		return os.Rename(part, file)
	}
	return nil
}

func errThere(file string) error {
	return fmt.Errorf("%s is there already; name another, or move it away", file)
}
