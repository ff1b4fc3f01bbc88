package sqlsink

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"net/url"
	"strings"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
	"github.com/jackc/pgx/v5/stdlib"
	"github.com/pressly/goose/v3"
)

type postgres struct{}

func (postgres) goose() goose.Dialect { return goose.DialectPostgres }

func (postgres) checkURL(u *url.URL) error {
	if _, err := pgx.ParseConfig(u.String()); err != nil {
		return errors.New(strings.TrimPrefix(err.Error(), "cannot parse `"+u.String()+"`: "))
	}
	return nil
}

func (postgres) secured(u *url.URL) (said bool, hosts []string) {
	config, err := pgx.ParseConfig(u.String())
	if err != nil {
		return false, nil // checkURL has told
	}
	hosts = []string{config.Host}
	for _, f := range config.Fallbacks {
		hosts = append(hosts, f.Host)
	}
	return u.Query().Get("sslmode") != "", hosts
}

// lockPatience is how long a statement waits for another node's transaction.
const lockPatience = 10 * time.Second

// connect sets per connection what keeps a node that has gone from locking the position: its
// transaction ends by itself, also if the network never told that it went.
func (postgres) connect(c *Config) (*sql.DB, error) {
	config, err := pgx.ParseConfig(c.URL)
	if err != nil {
		return nil, err
	}
	config.ConnectTimeout = c.timeout()
	set := fmt.Sprintf("SET TimeZone = 'UTC'; SET client_encoding = 'UTF8'; SET standard_conforming_strings = on; "+
		"SET lock_timeout = %d; SET statement_timeout = %d; SET idle_in_transaction_session_timeout = %d; "+
		"SET tcp_keepalives_idle = 15; SET tcp_keepalives_interval = 5; SET tcp_keepalives_count = 3; "+
		"SET tcp_user_timeout = %[3]d", lockPatience.Milliseconds(), c.timeout().Milliseconds(),
		(2 * c.timeout()).Milliseconds())
	return stdlib.OpenDB(*config,
		stdlib.OptionBeforeConnect(func(_ context.Context, to *pgx.ConnConfig) error {
			password, err := c.password()
			if password != "" {
				to.Password = password
			}
			return err
		}),
		stdlib.OptionAfterConnect(func(ctx context.Context, conn *pgx.Conn) error {
			_, err := conn.PgConn().Exec(ctx, set).ReadAll()
			return err
		})), nil
}

func (postgres) quote(name string) string { return quoted(name, `"`) }

func (postgres) param(n int) string { return fmt.Sprint("$", n) }

func (postgres) typeOf(k columnKind, _ bool) string {
	return map[columnKind]string{word: "text", text: "text", integer: "bigint", moment: "timestamptz(3)"}[k]
}

func (postgres) created() string { return "" }

func (p postgres) index(table, column string) (within, behind string) {
	_, name := apart(table)
	return "", fmt.Sprintf("CREATE INDEX IF NOT EXISTS %s ON %s (%s)", p.quote(name+"_"+column), p.quote(table),
		p.quote(column))
}

// upsert hands over each column as an array: one short statement, prepared once, whatever
// number of rows there are.
func (p postgres) upsert(ctx context.Context, tx *sql.Tx, t table, r rows) error {
	var arrays, set []string
	var args []any
	for i, c := range t.columns {
		arrays = append(arrays, fmt.Sprintf("$%d::%s[]", i+1, strings.TrimSuffix(p.typeOf(c.kind, false), "(3)")))
		args = append(args, typed(c.kind, r[i]))
		switch called := p.quote(t.names[i]); {
		case i < t.keys:
		case t.names[i] == t.greatest:
			set = append(set, fmt.Sprintf("%s = greatest(own.%[1]s, excluded.%[1]s)", called))
		default:
			set = append(set, fmt.Sprintf("%s = excluded.%[1]s", called))
		}
	}
	do := "NOTHING"
	if len(set) > 0 {
		do = "UPDATE SET " + strings.Join(set, ", ")
	}
	names := quotedAll(p, t.names)
	_, err := tx.ExecContext(ctx, fmt.Sprintf("INSERT INTO %s AS own (%s) SELECT * FROM unnest(%s) "+
		"ON CONFLICT (%s) DO %s", p.quote(t.name), strings.Join(names, ", "), strings.Join(arrays, ", "),
		strings.Join(names[:t.keys], ", "), do), args...)
	return err
}

func quotedAll(d dialect, names []string) []string {
	all := make([]string, len(names))
	for i, n := range names {
		all[i] = d.quote(n)
	}
	return all
}

func (postgres) lock(ctx context.Context, conn *sql.Conn, name string) (func(context.Context), error) {
	const of = "(hashtextextended('doorbuster ' || $1, 0))"
	if _, err := conn.ExecContext(ctx, "SELECT pg_advisory_lock"+of, name); err != nil {
		return nil, err
	}
	return func(ctx context.Context) { _, _ = conn.ExecContext(ctx, "SELECT pg_advisory_unlock"+of, name) }, nil
}

func (p postgres) columnsOf(ctx context.Context, db *sql.DB, t table) (map[string]bool, string, error) {
	columns, err := columnSet(ctx, db, `SELECT attname FROM pg_attribute
		WHERE attrelid = to_regclass($1) AND attnum > 0 AND NOT attisdropped`, p.quote(t.name))
	if err != nil || len(columns) == 0 {
		return nil, "", err
	}
	var unique bool
	err = db.QueryRowContext(ctx, `SELECT EXISTS (SELECT 1 FROM pg_index i
		WHERE i.indrelid = to_regclass($1) AND i.indisunique AND i.indpred IS NULL AND i.indexprs IS NULL
		AND (SELECT array_agg(a.attname::text ORDER BY a.attname) FROM pg_attribute a
			WHERE a.attrelid = i.indrelid AND a.attnum = ANY(i.indkey)) = $2::text[])`,
		p.quote(t.name), sorted(t.names[:t.keys])).Scan(&unique)
	if err != nil || unique {
		return columns, "", err
	}
	return columns, lacksUnique(t), nil
}

func lacksUnique(t table) string {
	return fmt.Sprintf("table %s has no unique index on (%s), by which rows are known", t.name,
		strings.Join(t.names[:t.keys], ", "))
}

// whatIs goes by SQLSTATE.
func (postgres) whatIs(err error) string {
	var e *pgconn.PgError
	if !errors.As(err, &e) {
		return ""
	}
	switch e.Code {
	case "25006":
		return "the database is read-only: it may be a standby; point url to where it is written"
	case "42501":
		return "the database's user lacks rights: it needs SELECT, INSERT, UPDATE and DELETE on the tables, " +
			"and CREATE on the schema to make them"
	case "42P01", "42703", "42P10", "42704":
		return "wrong schema: the tables are not as they should be"
	case "42804", "22P02", "22003", "22001", "23502", "23514", "23503", "23505":
		return "wrong schema: a table does not take a value"
	case "28P01", "28000":
		return "the database does not let the user in"
	case "3D000":
		return "there is no such database"
	case "53100":
		return "the database's disk is full"
	case "53300", "53200", "53000":
		return "the database is overloaded"
	case "55P03":
		return "slow: another node's transaction is in the way"
	case "57014", "25P03":
		return "the database is slow: a statement took longer than the timeout"
	case "57P01", "57P02", "57P03", "57P05":
		return "the database is down, or about to be"
	}
	switch e.Code[:min(2, len(e.Code))] {
	case "08":
		return "the database is down"
	case "40":
		return "the database undid the transaction, as it may"
	case "58", "XX":
		return "the database is damaged, or its disk is"
	}
	return ""
}
