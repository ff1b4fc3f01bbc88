package sqlsink

import (
	"cmp"
	"errors"
	"fmt"
	"net"
	"net/url"
	"regexp"
	"slices"
	"strings"
	"time"

	"doorbuster/engine"
	"doorbuster/httpapi/personal"
)

// Kind says what database it is.
type Kind string

// The kinds. MySQL is MariaDB, too.
const (
	Postgres Kind = "postgres"
	MySQL    Kind = "mysql"
)

// Receivers says how much of a receiver goes out.
type Receivers string

// What goes out of receivers. With NoReceivers the columns are there, and NULL.
const (
	NoReceivers     Receivers = "none"
	MaskedReceivers Receivers = "masked"
	PlainReceivers  Receivers = "plain"
)

// Tables are the names of the tables, each "table" or "schema.table" ("database.table" with
// MySQL): letters, digits and underscores; Schema, which goose keeps its notes in, in lower
// case.
type Tables struct{ Orders, Changes, Position, Schema string }

// DefaultTables are the names of tables without others given.
func DefaultTables() Tables {
	return Tables{Orders: "doorbuster_orders", Changes: "doorbuster_changes", Position: "doorbuster_position",
		Schema: "doorbuster_schema"}
}

// Config is how a sink reaches its database, and what it writes there.
type Config struct {
	// Name of the sink: the tables are its own, and another's are refused.
	Name string
	Kind Kind
	// URL of the database, without a password: postgres://user@host:5432/shop?sslmode=verify-full
	// as libpq takes it, mysql://user@host:3306/shop?tls=true with the parameters tls (true, false,
	// preferred, skip-verify) and socket (a path, instead of a host). Where it names a host other
	// than this machine, it must say sslmode or tls, whatever its value: passwords and orders would
	// go there in plain text otherwise, and nobody would have said so.
	URL string
	// Dev: it need not say so.
	Dev bool
	// Password is read for each connection, so that it may change while the node runs. nil for none.
	Password func() (string, error)
	Tables   Tables // "" for a name of DefaultTables
	// Columns are the columns of the order table that are written, and what they are called
	// there: Columns["order_no"] = "sn". Empty: all of them, by their own names.
	Columns map[string]string
	// Receivers: default NoReceivers. More needs Open.
	Receivers Receivers
	// Open gives the receiver of an order in plain, as personal.Vault does. Any error but
	// personal.ErrErased keeps the sink from writing, until it is over.
	Open func(shopper string, sealed engine.Receiver) (personal.Receiver, error)
	// Timeout of a batch or a connection attempt: default 30 s, at most 10 min. A database
	// that takes longer counts as down, and the batch is tried again.
	Timeout time.Duration
}

// mostTimeout is more than any batch takes on a database that is of use.
const mostTimeout = 10 * time.Minute

var (
	anyName   = regexp.MustCompile(`^[A-Za-z_][A-Za-z0-9_]{0,62}(\.[A-Za-z_][A-Za-z0-9_]{0,62})?$`)
	lowerName = regexp.MustCompile(`^[a-z_][a-z0-9_]{0,62}(\.[a-z_][a-z0-9_]{0,62})?$`)
)

// Validate reports every problem, behind the key of the setting it is about.
func (c *Config) Validate() error {
	var errs []error
	bad := func(is bool, format string, args ...any) {
		if is {
			errs = append(errs, fmt.Errorf(format, args...))
		}
	}
	bad(c.Name == "", "name: a sink needs one")
	if c.Kind != Postgres && c.Kind != MySQL {
		bad(true, "kind: %q is none of %s, %s", c.Kind, Postgres, MySQL)
	} else if err := c.checkURL(); err != nil {
		errs = append(errs, fmt.Errorf("url: %w", err))
	}
	t := c.tables()
	names := map[string]string{}
	for _, table := range []struct {
		key, name string
		form      *regexp.Regexp
	}{
		{"orders", t.Orders, anyName}, {"changes", t.Changes, anyName}, {"position", t.Position, anyName},
		{"schema", t.Schema, lowerName},
	} {
		form := "letters, digits and underscores, with a schema before a dot if need be"
		if table.form == lowerName {
			form = "lower case " + form
		}
		bad(!table.form.MatchString(table.name), "tables.%s: %q must be %s", table.key, table.name, form)
		other := names[table.name]
		bad(other != "", "tables.%s: %q is the name of tables.%s, too", table.key, table.name, other)
		names[table.name] = table.key
	}
	errs = append(errs, c.checkColumns()...)
	switch c.receivers() {
	case NoReceivers:
	case MaskedReceivers, PlainReceivers:
		bad(len(c.Columns) > 0 && c.Columns["shopper"] == "",
			"receivers: %s needs columns.shopper, by which an erased shopper's rows are found", c.Receivers)
	default:
		bad(true, "receivers: %q is none of %s, %s, %s", c.Receivers, NoReceivers, MaskedReceivers, PlainReceivers)
	}
	bad(c.Timeout < 0 || c.Timeout > mostTimeout, "timeout: %s is not between 0s and %s", c.Timeout, mostTimeout)
	return errors.Join(errs...)
}

// checkColumns checks the names of columns.
func (c *Config) checkColumns() (errs []error) {
	if len(c.Columns) == 0 {
		return nil
	}
	var known []string
	for _, col := range orderColumns {
		known = append(known, col.key)
	}
	taken := map[string]string{}
	for _, key := range sortedKeys(c.Columns) {
		name := c.Columns[key]
		switch low := strings.ToLower(name); {
		case !slices.Contains(known, key):
			errs = append(errs, fmt.Errorf("columns.%s: there is no such column; there are %s", key,
				strings.Join(known, ", ")))
		case !anyName.MatchString(name) || strings.Contains(name, "."):
			errs = append(errs, fmt.Errorf("columns.%s: %q must be letters, digits and underscores", key, name))
		case taken[low] != "":
			errs = append(errs, fmt.Errorf("columns.%s: %q is the name of columns.%s, too", key, name, taken[low]))
		default:
			taken[low] = key
		}
	}
	if c.Columns["order_no"] == "" {
		errs = append(errs, errors.New("columns.order_no: it is what a row is known by, and must be among them"))
	}
	return errs
}

// checkURL checks the URL's form.
func (c *Config) checkURL() error {
	u, err := url.Parse(c.URL)
	if err != nil {
		// The parser's own words repeat the URL, and it may have a password in it.
		return errors.New("it is no URL")
	}
	scheme := u.Scheme
	if c.Kind == Postgres && scheme == "postgresql" {
		scheme = "postgres"
	}
	_, password := u.User.Password()
	switch {
	case scheme != string(c.Kind):
		return fmt.Errorf("it must begin with %s://", c.Kind)
	case password || u.Query().Has("password"):
		return errors.New("a password does not belong here: put it into the password file")
	case strings.Trim(u.Path, "/") == "":
		return fmt.Errorf("it names no database: %s://%s/DATABASE", c.Kind, u.Host)
	case u.User.Username() == "" && !u.Query().Has("user"):
		return fmt.Errorf("it names no user: %s://USER@%s%s", c.Kind, u.Host, u.Path)
	}
	if err := dialects[c.Kind].checkURL(u); err != nil {
		return err
	}
	if said, hosts := dialects[c.Kind].secured(u); !said && !c.Dev {
		for _, host := range hosts {
			if !here(host) {
				return fmt.Errorf("it must say whether the way to %s is encrypted, by %s", host, sayTLS[c.Kind])
			}
		}
	}
	return nil
}

// sayTLS is how a URL says whether the way is encrypted.
var sayTLS = map[Kind]string{
	Postgres: "sslmode=verify-full (or verify-ca, require, prefer, allow, disable)",
	MySQL:    "tls=true (or skip-verify, preferred, false)",
}

// here reports whether a host is this machine: a folder of sockets is, too.
func here(host string) bool {
	ip := net.ParseIP(host)
	return host == "" || host == "localhost" || host[0] == '/' || host[0] == '@' || ip != nil && ip.IsLoopback()
}

func (c *Config) tables() Tables {
	t, preset := c.Tables, DefaultTables()
	return Tables{cmp.Or(t.Orders, preset.Orders), cmp.Or(t.Changes, preset.Changes),
		cmp.Or(t.Position, preset.Position), cmp.Or(t.Schema, preset.Schema)}
}

func (c *Config) receivers() Receivers { return cmp.Or(c.Receivers, NoReceivers) }

func (c *Config) timeout() time.Duration { return cmp.Or(c.Timeout, 30*time.Second) }

func (c *Config) password() (string, error) {
	if c.Password == nil {
		return "", nil
	}
	return c.Password()
}

func sortedKeys(m map[string]string) []string {
	keys := make([]string, 0, len(m))
	for key := range m {
		keys = append(keys, key)
	}
	slices.Sort(keys)
	return keys
}
