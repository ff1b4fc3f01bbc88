package sqlsink

import (
	"context"
	"database/sql"
	"net/url"
	"strings"

	"github.com/pressly/goose/v3"
)

// notation is how databases differ in what they are told.
type notation interface {
	goose() goose.Dialect
	// quote gives a name, of a table or a column, as a statement has it.
	quote(name string) string
	// typeOf gives a column's type; key: rows are known by it.
	typeOf(kind columnKind, key bool) string
	// created is what ends CREATE TABLE.
	created() string
	// index has a column of a table found by: within CREATE TABLE, or by a statement behind it.
	index(table, column string) (within, behind string)
	// param gives the n-th parameter of a statement, from 1.
	param(n int) string
}

// dialect is what differs between databases.
type dialect interface {
	notation
	checkURL(*url.URL) error
	// secured reports whether a URL says if the way is encrypted, and which hosts it names.
	secured(*url.URL) (said bool, hosts []string)
	// connect gives a pool; nobody is asked yet.
	connect(*Config) (*sql.DB, error)
	upsert(ctx context.Context, tx *sql.Tx, t table, r rows) error
	// lock keeps other nodes from migrating until unlock, or until the connection ends.
	lock(ctx context.Context, conn *sql.Conn, name string) (unlock func(context.Context), err error)
	// columnsOf gives the columns that a table has, in lower case; none if there is no such table.
	// lacks says what else the table lacks for upserts by its key; "" if nothing.
	columnsOf(ctx context.Context, db *sql.DB, t table) (columns map[string]bool, lacks string, err error)
	// whatIs says in plain words what an error of the database means; "" if nothing is known of it.
	whatIs(error) string
}

var dialects = map[Kind]dialect{Postgres: postgres{}, MySQL: mysql{}}

// quoted quotes each part of a name.
func quoted(name, mark string) string {
	parts := strings.Split(name, ".")
	for i, p := range parts {
		parts[i] = mark + p + mark
	}
	return strings.Join(parts, ".")
}

// apart parts a table's name from its schema; "" if it has none.
func apart(name string) (schema, table string) {
	if schema, table, ok := strings.Cut(name, "."); ok {
		return schema, table
	}
	return "", name
}
