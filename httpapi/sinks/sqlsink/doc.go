// Package sqlsink keeps the shop's order table in PostgreSQL, MySQL or MariaDB: what is
// committed flows into it, and the shop's own programs read it with SQL.
//
// There are three tables, and one of the migrations' own. Orders has a row for each order, as
// it is; changes has one for each committed event about an order, by its place in the log;
// position has one row, that says up to where the other two are. Each batch is a transaction that locks the position,
// compares it with where the batch begins, and moves it. So a change is there once whatever
// fails on either side, and of two nodes that both think they lead only one gets through:
// the other is told ErrFenced, and looks again.
//
// Names of tables and columns can be the shop's own. Tables are created and migrated by
// goose; one that is there already is used as it is, if it has what is needed.
//
// Start reading at Sink.Write, then table.go for what is written.
package sqlsink
