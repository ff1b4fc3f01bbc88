package main

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"doorbuster/actors/backoffice"
	"doorbuster/cluster"
	"doorbuster/cmd/doorbuster/cli"
	"doorbuster/cmd/doorbuster/operate"
	"doorbuster/engine"
	"doorbuster/httpapi/auth"
	"doorbuster/httpapi/personal"
)

// ownKeyFile is the key file that a node makes that is alone and is given none.
const ownKeyFile = "personal.keys"

// personalKeyFile gives the path of the key file, and whether it is the node's own; "" of
// a node of a cluster that is given none.
func (c Config) personalKeyFile() (path string, own bool) {
	if c.Personal.Keys != "" || c.Cluster.ID != "" {
		return c.Personal.Keys, false
	}
	return filepath.Join(c.Data, ownKeyFile), true
}

// readPersonalKeys reads the key file. Without one, and before a node has made its own,
// there are none; whether the node may use its data directory is said when it is opened.
func (c Config) readPersonalKeys() ([]personal.Key, error) {
	path, own := c.personalKeyFile()
	if path == "" {
		return nil, nil
	}
	keys, err := readKeyFile(path)
	if own && (errors.Is(err, fs.ErrNotExist) || errors.Is(err, fs.ErrPermission)) {
		return nil, nil
	}
	if err != nil {
		return nil, fmt.Errorf("the keys of personal data: %w", err)
	}
	return keys, nil
}

// makePersonalKeys makes the key file of a node that is alone, unless it is there, and
// has the node go by it. The data directory must be the node's already.
func (n *node) makePersonalKeys(now *keys) error {
	path, own := n.cfg.personalKeyFile()
	if !own || len(now.personal) > 0 {
		return nil
	}
	key, err := personal.NewKey(nil, time.Now())
	if err != nil {
		return err
	}
	if err := newKeyFile(path, key); err != nil {
		return fmt.Errorf("the keys of personal data: %w", err)
	}
	n.logger.Info("a key file for personal data was made: keep a copy of it, but not beside backups, which are of no "+
		"use to read personal data without it", "file", path)
	now.personal = []personal.Key{key}
	return n.vault.Replace(now.personal)
}

// newKeyFile writes a key file where there is none, whole or not at all, for nobody else to
// read.
func newKeyFile(path string, key personal.Key) error {
	if _, err := os.Lstat(path); err == nil {
		return &fs.PathError{Op: "create", Path: path, Err: fs.ErrExist}
	}
	f, err := os.OpenFile(path+".new", os.O_CREATE|os.O_TRUNC|os.O_WRONLY, 0o600)
	if err != nil {
		return err
	}
	return writeKeyFile(path, f, []personal.Key{key})
}

// changeKeyFile has a key file have other keys, whole or not at all. Of several at once one
// changes it: a key that another had put in meanwhile may wrap something already. It stays
// where a link leads, whose it was and for whom to read: its node may be another user.
func changeKeyFile(path string, change func([]personal.Key) ([]personal.Key, error)) error {
	path, err := filepath.EvalSymlinks(path)
	if err != nil {
		return err
	}
	f, err := os.OpenFile(path+".new", os.O_CREATE|os.O_EXCL|os.O_WRONLY, 0o600)
	if errors.Is(err, fs.ErrExist) {
		return fmt.Errorf("%s.new is there: another command is changing the key file, or one broke off; if none is, "+
			"delete it", path)
	}
	if err != nil {
		return err
	}
	keys, err := readKeyFile(path)
	if err == nil {
		keys, err = change(keys)
	}
	if err == nil {
		err = likeBefore(f, path)
	}
	if err != nil {
		return errors.Join(err, f.Close(), os.Remove(f.Name()))
	}
	return writeKeyFile(path, f, keys)
}

// likeBefore gives a file the rights and the owner of the one at path.
func likeBefore(f *os.File, path string) error {
	before, err := os.Stat(path)
	if err != nil {
		return err
	}
	now, err := f.Stat()
	if err != nil {
		return err
	}
	uid, gid, known := ownerOf(before)
	if u, g, _ := ownerOf(now); known && (u != uid || g != gid) {
		if err := f.Chown(uid, gid); err != nil {
			return fmt.Errorf("the key file could not stay its owner's: %w", err)
		}
	}
	return f.Chmod(before.Mode().Perm())
}

// writeKeyFile writes keys into a new file, and that in place of path.
func writeKeyFile(path string, f *os.File, keys []personal.Key) error {
	_, err := f.Write(personal.FormatKeys(keys))
	if err == nil {
		err = f.Sync()
	}
	if err = errors.Join(err, f.Close()); err == nil {
		err = os.Rename(f.Name(), path)
	}
	if err != nil {
		return errors.Join(err, os.Remove(f.Name()))
	}
	dir, err := os.Open(filepath.Dir(path))
	if err != nil {
		return err
	}
	return errors.Join(dir.Sync(), dir.Close())
}

// keepPersonalKeys has keys wrapped by newer ones, and old ones destroyed, while this node
// leads.
func (n *node) keepPersonalKeys(ctx context.Context) {
	n.office.KeepKeys(ctx, backoffice.KeyKeeping{Rewrap: n.vault.Rewrap, EraseAfter: n.cfg.Personal.EraseAfter,
		Newest: func() uint32 {
			if numbers := n.vault.Numbers(); len(numbers) > 0 {
				return numbers[len(numbers)-1]
			}
			return 0
		}})
}

// personalAlarms says whether personal data can't be sealed or opened here.
func (n *node) personalAlarms() []engine.Alarm {
	numbers := n.vault.Numbers()
	if n.cfg.kind() == cluster.KindWitness { // it has no door that would need them
		return nil
	}
	if len(numbers) == 0 {
		return []engine.Alarm{{Name: engine.AlarmPersonalKeys,
			Detail: "This node has no key file for personal data: it takes no receivers, and shows none.",
			Advice: "Make one ('doorbuster personal-keys new'), give it to all nodes, and name it in personal_keys."}}
	}
	var missing []string
	for _, u := range n.office.KeyUses() {
		if u.Keys > 0 && !slices.Contains(numbers, u.KEK) {
			missing = append(missing, fmt.Sprintf("%d (wraps %d)", u.KEK, u.Keys))
		}
	}
	if len(missing) == 0 {
		return nil
	}
	return []engine.Alarm{{Name: engine.AlarmPersonalKeys,
		Detail: "The key file for personal data lacks keys that are in use: " + strings.Join(missing, ", ") + ".",
		Advice: "Put them back from a copy of the file: what they wrap can't be read without them."}}
}

// takePersonalKeys has the node go by other keys. None in place of some is a mistake: what
// they have sealed could not be read any more.
func (n *node) takePersonalKeys(k keys) error {
	if len(k.personal) == 0 && len(n.vault.Numbers()) > 0 {
		path, _ := n.cfg.personalKeyFile()
		return fmt.Errorf("the keys of personal data: %s is gone", path)
	}
	return n.vault.Replace(k.personal)
}

// newPersonalKeysCommand has what operators do to key files; nodes read them again by
// themselves.
func newPersonalKeysCommand() *cobra.Command {
	return cli.Group(&cobra.Command{
		Use:   "personal-keys",
		Short: "Make, rotate and look at the keys that protect personal data",
		Long: `The key file (personal_keys) has the keys that shoppers' own keys are wrapped with; the
newest one wraps what is new. All nodes have the same file. To rotate, put a newer key
into it (rotate), give the file to all nodes, wait until the older key wraps nothing
(status), and take that out (remove): then no backup from before can be opened any more.`,
	}, operate.PersonalKeysStatus(),
		keyFileCommand("new", "Write a key file with one new key, where there is none", nil,
			func(file string, _ uint32, now time.Time) (string, error) {
				key, err := personal.NewKey(nil, now)
				if err != nil {
					return "", err
				}
				return fmt.Sprintf("%s has key %d.", file, key.Number), newKeyFile(file, key)
			}),
		keyFileCommand("rotate", "Put a newer key into a key file: it wraps all from then on", nil,
			func(file string, _ uint32, now time.Time) (string, error) {
				var key personal.Key
				err := changeKeyFile(file, func(keys []personal.Key) ([]personal.Key, error) {
					var err error
					if len(keys) >= personal.MaxKeys {
						return nil, fmt.Errorf("%s has %d keys, and may have no more: remove those that wrap nothing "+
							"(personal-keys status)", file, len(keys))
					}
					key, err = personal.NewKey(keys, now)
					return append(keys, key), err
				})
				return fmt.Sprintf("%s has key %d besides older ones. Give the file to all nodes; they take it up by "+
					"themselves.", file, key.Number), err
			}),
		keyFileCommand("remove", "Take a key out of a key file: what only it wraps can't be opened any more",
			func(number uint32) error {
				if number == 0 {
					return errors.New("--number says which key, as 'personal-keys status' shows them")
				}
				return nil
			},
			func(file string, number uint32, _ time.Time) (string, error) {
				err := changeKeyFile(file, func(keys []personal.Key) ([]personal.Key, error) {
					at := slices.IndexFunc(keys, func(k personal.Key) bool { return k.Number == number })
					switch {
					case at < 0:
						return nil, fmt.Errorf("%s has no key %d", file, number)
					case at == len(keys)-1:
						return nil, fmt.Errorf("key %d is the newest of %s: it wraps what is new; rotate first",
							number, file)
					}
					return slices.Delete(keys, at, at+1), nil
				})
				return fmt.Sprintf("%s has no key %d any more. Give the file to all nodes.", file, number), err
			}))
}

// keyFileCommand is a command on a key file.
func keyFileCommand(use, short string, check func(number uint32) error,
	do func(file string, number uint32, now time.Time) (says string, err error)) *cobra.Command {
	var file string
	var number uint32
	c := &cobra.Command{Use: use + " --file FILE", Short: short, Args: cli.NoArguments}
	c.RunE = func(c *cobra.Command, _ []string) error {
		var errs []error
		if file == "" {
			errs = append(errs, errors.New("no key file: name it with --file FILE"))
		}
		if check != nil {
			errs = append(errs, check(number))
		}
		if err := errors.Join(errs...); err != nil {
			return cli.Usage(err)
		}
		says, err := do(file, number, time.Now())
		if err == nil {
			_, err = fmt.Fprintln(c.OutOrStdout(), says)
		}
		return err
	}
	c.Flags().StringVar(&file, "file", "", "the key `file`")
	if check != nil {
		c.Use = use + " --file FILE --number N"
		c.Flags().Uint32Var(&number, "number", 0, "the key's `number`")
	}
	return c
}

func readKeyFile(path string) ([]personal.Key, error) {
	text, err := auth.ReadFile(path)
	if err != nil {
		return nil, err
	}
	keys, err := personal.ParseKeys(text)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", path, err)
	}
	return keys, nil
}
