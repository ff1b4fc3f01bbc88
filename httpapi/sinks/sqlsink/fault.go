package sqlsink

import (
	"database/sql/driver"
	"errors"
	"fmt"
	"io"
	"regexp"
	"strings"

	mysqldriver "github.com/go-sql-driver/mysql"
	"github.com/jackc/pgx/v5/pgconn"
)

// broken reports whether an error is of a connection that broke.
func broken(err error) bool {
	var connect *pgconn.ConnectError
	return errors.Is(err, driver.ErrBadConn) || errors.Is(err, mysqldriver.ErrInvalidConn) ||
		errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) || errors.As(err, &connect)
}

// fault is an error of the database, without the database's own words: they may quote what was
// to be written, a receiver's phone, say, and faults are logged and shown to whoever may look.
type fault struct {
	text string
	err  error
}

func (f *fault) Error() string { return f.text }
func (f *fault) Unwrap() error { return f.err }

// withoutValues has an error tell the database's by number, and by the column, table or
// constraint that it names.
func withoutValues(err error) error {
	text := err.Error()
	found := false
	var walk func(error)
	walk = func(err error) {
		plain := ""
		switch e := err.(type) { //nolint:errorlint // each error of the tree is looked at
		case *mysqldriver.MySQLError:
			plain = ofMySQL(e)
		case *pgconn.PgError:
			plain = ofPostgres(e)
		case interface{ Unwrap() []error }:
			for _, one := range e.Unwrap() {
				walk(one)
			}
		case interface{ Unwrap() error }:
			walk(e.Unwrap())
		}
		if plain == "" {
			return
		}
		found = true
		if own := err.Error(); strings.Contains(text, own) {
			text = strings.ReplaceAll(text, own, plain)
		} else { // whoever wrapped it may have quoted another part of it
			text = plain
		}
	}
	if walk(err); !found {
		return err
	}
	return &fault{text, err}
}

// Where the servers' messages name things, and values can't.
var (
	mysqlNames = regexp.MustCompile("(?:^(?:Unknown column|Column|Field|Table|Unknown database) |" +
		" for (?:column|key) )['`]([\\w.`]+)['`](?: at row \\d+$| cannot be null$| doesn't | in |$)")
	postgresNames = regexp.MustCompile(`^(?:null value in )?(?:column|relation) "?([\w.]+)"? (?:of|is|does|in) `)
)

func ofMySQL(e *mysqldriver.MySQLError) string {
	text := fmt.Sprintf("the database's error %d (%s)", e.Number, e.SQLState[:])
	if names := mysqlNames.FindAllStringSubmatch(e.Message, -1); len(names) > 0 {
		text += ", of " + strings.ReplaceAll(names[len(names)-1][1], "`", "")
	}
	return text
}

func ofPostgres(e *pgconn.PgError) string {
	text := "the database's error " + e.Code
	for _, name := range []struct{ is, name string }{{"column", e.ColumnName}, {"constraint", e.ConstraintName}} {
		if name.name != "" {
			text += fmt.Sprintf(", %s %s", name.is, name.name)
		}
	}
	if names := postgresNames.FindStringSubmatch(e.Message); e.ColumnName == "" && names != nil {
		text += ", of " + names[1]
	}
	return text
}
