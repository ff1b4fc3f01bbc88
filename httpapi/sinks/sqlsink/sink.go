package sqlsink

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"net"
	"strings"
	"time"

	"doorbuster/engine"
	"doorbuster/httpapi/sinks"
)

// ErrFenced is the error for a batch that does not begin where the tables end: another node
// leads by now, and has written. Nothing was changed.
var ErrFenced = errors.New("another node has written to the tables since: this one does not lead any more, " +
	"or another group writes to the same tables")

// Sink is a sinks.Sink and a sinks.Rewinder into a database. One goroutine may call it.
type Sink struct {
	config  Config
	dialect dialect
	layouts []layout
	tables  Tables

	orders   table
	orderOf  []func(*orderRow) any
	changes  table
	changeOf []func(*sinks.Change) any

	db *sql.DB
	at engine.TrailPosition // where the tables end, as far as this node knows
	// high is where they ended at most: below it, rows of before a replay may be there.
	high engine.TrailPosition
}

var (
	_ sinks.Sink     = (*Sink)(nil)
	_ sinks.Rewinder = (*Sink)(nil)
)

// New makes a sink of a valid configuration. Nobody is asked until Open.
func New(c Config) (*Sink, error) {
	if err := c.Validate(); err != nil {
		return nil, err
	}
	if c.receivers() != NoReceivers && c.Open == nil {
		return nil, errors.New("receivers: there is nothing to open them with")
	}
	s := &Sink{config: c, dialect: dialects[c.Kind], layouts: layouts, tables: c.tables()}
	s.orders, s.orderOf = c.ordersTable()
	s.changes, s.changeOf = c.changesTable()
	return s, nil
}

// Open connects, brings the tables to the newest layout, and reads where they end.
func (s *Sink) Open(ctx context.Context) (at engine.TrailPosition, known bool, err error) {
	ctx, cancel := context.WithTimeout(ctx, s.config.timeout())
	defer cancel()
	if s.db, err = s.dialect.connect(&s.config); err != nil {
		return at, false, err
	}
	s.db.SetMaxOpenConns(2) // one keeps the lock while the other migrates
	s.db.SetMaxIdleConns(1)
	s.db.SetConnMaxIdleTime(s.config.timeout()) // before the server ends it
	for _, step := range []func(context.Context) error{s.db.PingContext, s.migrate, s.checkTables, s.readPosition} {
		if err := step(ctx); err != nil {
			return at, false, s.told(err)
		}
	}
	return s.at, true, nil
}

// readPosition reads where the tables end, and claims them for this sink if they are nobody's.
func (s *Sink) readPosition(ctx context.Context) error {
	of := s.dialect.quote(s.tables.Position)
	columns := strings.Join(quotedAll(s.dialect, []string{"id", "sink", "log_index", "log_n", "high_index", "high_n"}),
		", ")
	read := func() error { return s.scanPosition(s.db.QueryRowContext(ctx, s.selectPosition())) }
	if err := read(); !errors.Is(err, sql.ErrNoRows) {
		return err
	}
	// Of two nodes that come here at once, one is told that the row is there, and reads it.
	_, err := s.db.ExecContext(ctx, fmt.Sprintf("INSERT INTO %s (%s) VALUES (1, %s, 0, 0, 0, 0)", of, columns,
		s.dialect.param(1)), s.config.Name)
	if again := read(); !errors.Is(again, sql.ErrNoRows) {
		return again
	}
	return errors.Join(err, fmt.Errorf("wrong schema: table %s has no row", s.tables.Position))
}

func (s *Sink) selectPosition() string {
	return fmt.Sprintf("SELECT %s FROM %s WHERE id = 1", strings.Join(quotedAll(s.dialect, []string{"sink", "log_index",
		"log_n", "high_index", "high_n"}), ", "), s.dialect.quote(s.tables.Position))
}

func (s *Sink) scanPosition(row *sql.Row) error {
	var of string
	var at, high engine.TrailPosition
	if err := row.Scan(&of, &at.Index, &at.N, &high.Index, &high.N); err != nil {
		return err
	}
	if of != s.config.Name {
		return fmt.Errorf("the tables are of sink %q, and this is %q: use other tables; or, if it was renamed, "+
			"set column sink of table %s", of, s.config.Name, s.tables.Position)
	}
	s.at, s.high = at, high
	return nil
}

// Write writes a batch in one transaction. Error: ErrFenced; whatever is wrong with the
// database, in plain words, with its error's number behind them.
func (s *Sink) Write(ctx context.Context, changes []sinks.Change, next engine.TrailPosition) error {
	orders, err := s.config.orderRows(changes, s.orderOf)
	if err != nil {
		return err
	}
	return s.move(ctx, next, func(ctx context.Context, tx *sql.Tx) error {
		if s.at.Before(s.high) && s.at.Before(next) {
			if err := s.clear(ctx, tx, s.at, next); err != nil {
				return err
			}
		}
		if err := s.forget(ctx, tx, changes); err != nil {
			return fmt.Errorf("table %s: %w", s.orders.name, err)
		}
		if orders.count() > 0 {
			if err := s.dialect.upsert(ctx, tx, s.orders, orders); err != nil {
				return fmt.Errorf("table %s: %w", s.orders.name, err)
			}
		}
		if rows := changeRows(changes, s.changeOf); rows.count() > 0 {
			if err := s.dialect.upsert(ctx, tx, s.changes, rows); err != nil {
				return fmt.Errorf("table %s: %w", s.changes.name, err)
			}
		}
		return nil
	})
}

// Rewind sets where the tables end, back or forth. Rows stay until what comes again replaces
// them: the shop's programs read on meanwhile.
func (s *Sink) Rewind(ctx context.Context, to engine.TrailPosition) error {
	return s.move(ctx, to, func(context.Context, *sql.Tx) error { return nil })
}

// move does something in a transaction that takes the tables from where they end to another
// place, or does nothing: ErrFenced if they end elsewhere.
func (s *Sink) move(ctx context.Context, to engine.TrailPosition,
	do func(context.Context, *sql.Tx) error) (err error) {
	ctx, cancel := context.WithTimeout(ctx, s.config.timeout())
	defer cancel()
	defer func() { err = s.told(err) }()
	tx, err := s.db.BeginTx(ctx, &sql.TxOptions{Isolation: sql.LevelReadCommitted})
	if err != nil {
		return err
	}
	defer tx.Rollback() //nolint:errcheck // after Commit there is nothing to roll back
	known := s.at
	if err := s.scanPosition(tx.QueryRowContext(ctx, s.selectPosition()+" FOR UPDATE")); err != nil {
		return err
	}
	if s.at != known {
		return fmt.Errorf("%w: they end at %s, and a batch begins at %s", ErrFenced, s.at, known)
	}
	if err := do(ctx, tx); err != nil {
		return err
	}
	high := s.high
	for _, p := range []engine.TrailPosition{s.at, to} {
		if high.Before(p) {
			high = p
		}
	}
	set, args := []string{}, []any{}
	for i, c := range []struct {
		column string
		value  any
	}{
		{"log_index", int64(to.Index)}, {"log_n", int64(to.N)}, {"high_index", int64(high.Index)},
		{"high_n", int64(high.N)}, {"written_at", time.Now().UTC().Truncate(time.Millisecond)},
	} {
		set = append(set, s.dialect.quote(c.column)+" = "+s.dialect.param(i+1))
		args = append(args, c.value)
	}
	done, err := tx.ExecContext(ctx, fmt.Sprintf("UPDATE %s SET %s WHERE id = 1", s.dialect.quote(s.tables.Position),
		strings.Join(set, ", ")), args...)
	if err != nil {
		return err
	}
	if n, err := done.RowsAffected(); err != nil || n != 1 {
		return errors.Join(err, fmt.Errorf("wrong schema: table %s has no row any more", s.tables.Position))
	}
	if err := tx.Commit(); err != nil {
		return err
	}
	s.at, s.high = to, high
	return nil
}

// clear drops the changes in [from, to): they come again, and those that the ledger does not
// have any more (it was restored from a backup) don't.
func (s *Sink) clear(ctx context.Context, tx *sql.Tx, from, to engine.TrailPosition) error {
	var params []any
	p := func(v any) string {
		params = append(params, v)
		return s.dialect.param(len(params))
	}
	index, n := s.dialect.quote("log_index"), s.dialect.quote("n")
	before := func(q engine.TrailPosition) string {
		return "(" + index + " < " + p(int64(q.Index)) + " OR " + index + " = " + p(int64(q.Index)) + " AND " + n +
			" < " + p(int64(q.N)) + ")"
	}
	// The range of indexes is said besides, for it is what the key is searched by.
	where := index + " BETWEEN " + p(int64(from.Index)) + " AND " + p(int64(to.Index))
	where += " AND NOT " + before(from) + " AND " + before(to)
	_, err := tx.ExecContext(ctx, fmt.Sprintf("DELETE FROM %s WHERE %s", s.dialect.quote(s.tables.Changes), where),
		params...)
	return err
}

// forget blanks the receivers of shoppers whose data was erased. Rows that are written with
// this batch come after it: they have what is known now.
func (s *Sink) forget(ctx context.Context, tx *sql.Tx, changes []sinks.Change) error {
	var set, params []string
	by := ""
	for i, c := range s.orders.columns {
		switch {
		case c.key == "shopper":
			by = s.dialect.quote(s.orders.names[i])
		case strings.HasPrefix(c.key, "receiver_"):
			set = append(set, s.dialect.quote(s.orders.names[i])+" = NULL")
		}
	}
	var erased []any
	for i := range changes {
		if c := &changes[i]; c.Kind == engine.PersonalDataErased && c.Shopper != "" {
			erased = append(erased, c.Shopper)
			params = append(params, s.dialect.param(len(erased)))
		}
	}
	if len(erased) == 0 || len(set) == 0 || by == "" {
		return nil
	}
	_, err := tx.ExecContext(ctx, fmt.Sprintf("UPDATE %s SET %s WHERE %s IN (%s)", s.dialect.quote(s.orders.name),
		strings.Join(set, ", "), by, strings.Join(params, ", ")), erased...)
	return err
}

// Close ends the connections.
func (s *Sink) Close() error {
	if s.db == nil {
		return nil
	}
	err := s.db.Close()
	s.db = nil
	return err
}

// told puts plain words before an error of the database, whose own words it leaves out.
func (s *Sink) told(err error) error {
	if err == nil || errors.Is(err, ErrFenced) {
		return err
	}
	what, err := s.dialect.whatIs(err), withoutValues(err)
	var network net.Error
	var operation *net.OpError
	switch {
	case what != "":
	case errors.Is(err, context.Canceled):
		return err
	case errors.Is(err, context.DeadlineExceeded), errors.As(err, &network) && network.Timeout():
		what = fmt.Sprintf("the database is slow, or out of reach: no answer within %s", s.config.timeout())
	case errors.As(err, &operation), broken(err):
		what = "the database is down, or the connection to it was cut"
	default:
		return err
	}
	return fmt.Errorf("%s: %w", what, err)
}
