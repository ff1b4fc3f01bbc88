package sqlsink

import (
	"context"
	"database/sql"
	"fmt"
	"slices"
	"strings"

	"github.com/pressly/goose/v3"
)

// layout is one version of the tables: what makes it of the one before. It is done again if
// it was cut short, so each step asks first: MySQL has no transactions for CREATE.
type layout func(*Sink) (statements []string)

// layouts are all versions, from 1. What has been released is never changed: a change is one
// more.
var layouts = []layout{
	func(s *Sink) []string {
		return s.create(table{name: s.tables.Position, keys: 1, columns: []column{
			{"id", integer}, {"sink", word}, {"log_index", integer}, {"log_n", integer}, {"high_index", integer},
			{"high_n", integer}, {"written_at", moment}}})
	},
	func(s *Sink) []string { return s.create(s.orders) },
	func(s *Sink) []string { return s.create(s.changes) },
}

// create gives the statements that make a table if it is not there.
func (s *Sink) create(t table) []string {
	var b strings.Builder
	fmt.Fprintf(&b, "CREATE TABLE IF NOT EXISTS %s (", s.dialect.quote(t.name))
	called := t.names
	if called == nil {
		for _, c := range t.columns {
			called = append(called, c.key)
		}
	}
	for i, c := range t.columns {
		if i < t.keys {
			fmt.Fprintf(&b, "%s %s NOT NULL, ", s.dialect.quote(called[i]), s.dialect.typeOf(c.kind, true))
			continue
		}
		fmt.Fprintf(&b, "%s %s NULL, ", s.dialect.quote(called[i]), s.dialect.typeOf(c.kind, false))
	}
	within, behind := "", ""
	if t.index != "" {
		within, behind = s.dialect.index(t.name, t.index)
	}
	fmt.Fprintf(&b, "PRIMARY KEY (%s)%s)%s", strings.Join(quotedAll(s.dialect, called[:t.keys]), ", "), within,
		s.dialect.created())
	if behind == "" {
		return []string{b.String()}
	}
	return []string{b.String(), behind}
}

// migrate brings the tables to the newest layout, one node at a time, and refuses a newer one.
func (s *Sink) migrate(ctx context.Context) error {
	conn, err := s.db.Conn(ctx)
	if err != nil {
		return err
	}
	defer conn.Close()
	unlock, err := s.dialect.lock(ctx, conn, s.tables.Schema)
	if err != nil {
		return err
	}
	defer unlock(ctx)
	// Whether the user may make tables is found out here: goose tries again for a while first.
	if has, _, err := s.dialect.columnsOf(ctx, s.db, table{name: s.tables.Schema}); err != nil {
		return err
	} else if has == nil {
		for _, statement := range s.layouts[0](s) {
			if _, err := conn.ExecContext(ctx, statement); err != nil {
				return err
			}
		}
	}
	var versions []*goose.Migration
	for i, l := range s.layouts {
		versions = append(versions, goose.NewGoMigration(int64(i+1), &goose.GoFunc{
			RunTx: func(ctx context.Context, tx *sql.Tx) error {
				for _, statement := range l(s) {
					if _, err := tx.ExecContext(ctx, statement); err != nil {
						return err
					}
				}
				return nil
			}}, nil))
	}
	provider, err := goose.NewProvider(s.dialect.goose(), s.db, nil, goose.WithGoMigrations(versions...),
		goose.WithTableName(s.tables.Schema), goose.WithDisableGlobalRegistry(true),
		goose.WithLogger(goose.NopLogger()))
	if err != nil {
		return err
	}
	at, err := provider.GetDBVersion(ctx)
	if err != nil {
		return err
	}
	newest := int64(len(s.layouts))
	if at > newest {
		return fmt.Errorf("wrong schema: table %s says that the tables are of version %d; this build of doorbuster "+
			"knows versions up to %d: use a newer one, or other tables", s.tables.Schema, at, newest)
	}
	if at < newest {
		_, err = provider.Up(ctx)
	}
	return err
}

// checkTables makes sure that the tables have what is written: they may be the shop's own.
func (s *Sink) checkTables(ctx context.Context) error {
	for _, t := range []table{s.orders, s.changes} {
		has, lacks, err := s.dialect.columnsOf(ctx, s.db, t)
		switch {
		case err != nil:
			return err
		case has == nil:
			return fmt.Errorf("wrong schema: there is no table %s, although table %s says that it was made", t.name,
				s.tables.Schema)
		}
		var add []string
		for i, called := range t.names {
			if !has[strings.ToLower(called)] {
				add = append(add, "ADD COLUMN "+s.dialect.quote(called)+" "+s.dialect.typeOf(t.columns[i].kind, false))
			}
		}
		if len(add) > 0 {
			return fmt.Errorf("wrong schema: a table lacks columns; leave them out of the sink's columns, or: "+
				"ALTER TABLE %s %s", s.dialect.quote(t.name), strings.Join(add, ", "))
		}
		if lacks != "" {
			return fmt.Errorf("wrong schema: %s", lacks)
		}
	}
	return nil
}

// columnSet gives the first column of what a query finds, in lower case.
func columnSet(ctx context.Context, db *sql.DB, query string, args ...any) (map[string]bool, error) {
	found, err := db.QueryContext(ctx, query, args...)
	if err != nil {
		return nil, err
	}
	defer found.Close()
	set := map[string]bool{}
	for found.Next() {
		var s string
		if err := found.Scan(&s); err != nil {
			return nil, err
		}
		set[strings.ToLower(s)] = true
	}
	return set, found.Err()
}

func sorted(names []string) []string { return slices.Sorted(slices.Values(names)) }
