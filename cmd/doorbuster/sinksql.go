package main

import (
	"fmt"
	"os"
	"strings"
	"time"

	"doorbuster/cmd/doorbuster/settings"
	"doorbuster/engine"
	"doorbuster/httpapi/personal"
	"doorbuster/httpapi/sinks"
	"doorbuster/httpapi/sinks/sqlsink"
)

// sqlConfig is a sink of kind postgres or mysql.
type sqlConfig struct {
	kind              sqlsink.Kind
	url, passwordFile string
	tables            sqlsink.Tables
	columns           []string // as sqlsink.Columns has them; "" for one that is left out
	receivers         string
	timeout           time.Duration
}

func (c *sqlConfig) add(t *settings.Table) {
	like := "postgres://USER@HOST:5432/DATABASE?sslmode=verify-full"
	if c.kind == sqlsink.MySQL {
		like = "mysql://USER@HOST:3306/DATABASE?tls=true"
	}
	settings.Add(t, &c.url, "url", "", "`URL` of the database, without a password: "+like+" (required)")
	settings.Add(t, &c.passwordFile, "password_file", "",
		"`file` with the user's password, read at each connection; without it none is told")
	preset := sqlsink.DefaultTables()
	for _, of := range []struct {
		into      *string
		key, name string
		is        string
	}{
		{&c.tables.Orders, "orders", preset.Orders, "with a row for each order"},
		{&c.tables.Changes, "changes", preset.Changes, "with a row for each committed event about an order"},
		{&c.tables.Position, "position", preset.Position, "that says how far the other two have come"},
		{&c.tables.Schema, "schema", preset.Schema, "that says which layout the tables have"},
	} {
		settings.Add(t, of.into, "tables."+of.key, of.name, "`name` of the table "+of.is)
	}
	known := sqlsink.Columns()
	c.columns = make([]string, len(known))
	for i, column := range known {
		settings.Add(t, &c.columns[i], "columns."+column.Key, "", "`name` of the orders' column: "+column.Is)
	}
	settings.Add(t, &c.receivers, "receivers", string(sqlsink.NoReceivers), "how much of where goods go is written",
		settings.OneOf(string(sqlsink.NoReceivers), string(sqlsink.MaskedReceivers), string(sqlsink.PlainReceivers)))
	settings.Add(t, &c.timeout, "timeout", 30*time.Second, "how long a batch or a connection may take before the "+
		"database counts as down", settings.Between(time.Second, 10*time.Minute))
}

func (c *sqlConfig) agree(node *Config) error {
	of := c.sink("sink")
	of.Dev = node.Dev
	return of.Validate()
}

// sink gives what a sink of a name is made of.
func (c *sqlConfig) sink(name string) sqlsink.Config {
	columns := map[string]string{}
	for i, column := range sqlsink.Columns() {
		if c.columns[i] != "" {
			columns[column.Key] = c.columns[i]
		}
	}
	return sqlsink.Config{Name: name, Kind: c.kind, URL: c.url, Password: c.password, Tables: c.tables,
		Columns: columns, Receivers: sqlsink.Receivers(c.receivers), Timeout: c.timeout}
}

func (c *sqlConfig) open(n *node, m sinks.Means) (sinks.Sink, error) {
	if _, err := c.password(); err != nil {
		return nil, err
	}
	of := c.sink(m.Name)
	of.Dev = n.cfg.Dev
	of.Open = func(shopper string, sealed engine.Receiver) (personal.Receiver, error) {
		return n.vault.Open(shopper, sealed)
	}
	return sqlsink.New(of)
}

// password is read each time: it may change while the node runs.
func (c *sqlConfig) password() (string, error) {
	if c.passwordFile == "" {
		return "", nil
	}
	text, err := os.ReadFile(c.passwordFile)
	if err != nil {
		return "", fmt.Errorf("password_file: %w", err)
	}
	return strings.TrimRight(string(text), "\r\n"), nil
}
