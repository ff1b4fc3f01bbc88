package sqlsink

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"net"
	"net/url"
	"slices"
	"strings"
	"time"

	driver "github.com/go-sql-driver/mysql"
	"github.com/pressly/goose/v3"
)

type mysql struct{}

func (mysql) goose() goose.Dialect { return goose.DialectMySQL }

func (mysql) checkURL(u *url.URL) error {
	for key, values := range u.Query() {
		switch key {
		case "tls":
			if v := values[0]; !slices.Contains([]string{"true", "false", "preferred", "skip-verify"}, v) {
				return fmt.Errorf("tls is %q, which is none of true, false, preferred, skip-verify", v)
			}
		case "socket":
			if u.Host != "" {
				return errors.New("it has a host and a socket: one of them")
			}
		default:
			return fmt.Errorf("unknown parameter %q; there are tls and socket", key)
		}
	}
	if u.Host == "" && !u.Query().Has("socket") {
		return errors.New("it names neither a host nor a socket")
	}
	return nil
}

func (mysql) secured(u *url.URL) (said bool, hosts []string) {
	return u.Query().Get("tls") != "", []string{u.Hostname()}
}

// connect sets per connection what keeps the tables exact (strict mode: no value is cut
// short in silence), and a node that has gone from locking the position for long.
func (mysql) connect(c *Config) (*sql.DB, error) {
	u, err := url.Parse(c.URL)
	if err != nil {
		return nil, err
	}
	config := driver.NewConfig()
	config.User, config.DBName = u.User.Username(), strings.Trim(u.Path, "/")
	config.Net, config.Addr = "tcp", u.Host
	if socket := u.Query().Get("socket"); socket != "" {
		config.Net, config.Addr = "unix", socket
	} else if u.Port() == "" {
		config.Addr = net.JoinHostPort(u.Hostname(), "3306")
	}
	config.TLSConfig = u.Query().Get("tls")
	// The contexts' deadlines come first: the driver does not say of its own that they passed.
	config.Timeout, config.ReadTimeout, config.WriteTimeout = 2*c.timeout(), 2*c.timeout(), 2*c.timeout()
	config.Loc, config.ParseTime = time.UTC, true
	config.InterpolateParams = true // else each batch would be prepared first, for its number of rows
	config.ClientFoundRows = true
	config.Collation = "utf8mb4_bin"
	config.Params = map[string]string{
		"time_zone": "'+00:00'", "sql_mode": "'STRICT_ALL_TABLES,NO_ENGINE_SUBSTITUTION,ERROR_FOR_DIVISION_BY_ZERO'",
		"innodb_lock_wait_timeout": fmt.Sprint(int(lockPatience.Seconds())),
		"wait_timeout":             fmt.Sprint(int((2 * c.timeout()).Seconds()) + 1),
	}
	config.Logger = &driver.NopLogger{} // its errors come back, and are told then
	if err := config.Apply(driver.BeforeConnect(func(_ context.Context, to *driver.Config) error {
		password, err := c.password()
		to.Passwd = password
		return err
	})); err != nil {
		return nil, err
	}
	connector, err := driver.NewConnector(config)
	if err != nil {
		return nil, err
	}
	return sql.OpenDB(connector), nil
}

func (mysql) quote(name string) string { return quoted(name, "`") }

func (mysql) param(int) string { return "?" }

// typeOf: an index of old versions has no room for 255 characters.
func (mysql) typeOf(k columnKind, key bool) string {
	if k == word && key {
		return "varchar(64)"
	}
	return map[columnKind]string{word: "varchar(255)", text: "text", integer: "bigint", moment: "datetime(3)"}[k]
}

// created: names differ by case and accents, as they do for the ledger.
func (mysql) created() string {
	return " ENGINE=InnoDB DEFAULT CHARACTER SET utf8mb4 COLLATE utf8mb4_bin"
}

func (m mysql) index(_, column string) (within, behind string) {
	return fmt.Sprintf(", KEY %s (%[1]s)", m.quote(column)), ""
}

// upsert sends all rows in one statement. VALUES() is deprecated by MySQL for an alias that
// MariaDB does not know; both take it.
func (m mysql) upsert(ctx context.Context, tx *sql.Tx, t table, r rows) error {
	var set []string
	for i := range t.columns {
		switch called := m.quote(t.names[i]); {
		case i < t.keys:
		case t.names[i] == t.greatest:
			set = append(set, fmt.Sprintf("%s = greatest(%[1]s, VALUES(%[1]s))", called))
		default:
			set = append(set, fmt.Sprintf("%s = VALUES(%[1]s)", called))
		}
	}
	if len(set) == 0 { // nothing else is written: it is as it was
		set = []string{fmt.Sprintf("%s = %[1]s", m.quote(t.names[0]))}
	}
	var b strings.Builder
	fmt.Fprintf(&b, "INSERT INTO %s (%s) VALUES ", m.quote(t.name), strings.Join(quotedAll(m, t.names), ", "))
	args := make([]any, 0, r.count()*len(t.columns))
	row := "(?" + strings.Repeat(", ?", len(t.columns)-1) + ")"
	for i := range r.count() {
		if i > 0 {
			b.WriteString(", ")
		}
		b.WriteString(row)
		for j := range t.columns {
			args = append(args, r[j][i])
		}
	}
	b.WriteString(" ON DUPLICATE KEY UPDATE " + strings.Join(set, ", "))
	_, err := tx.ExecContext(ctx, b.String(), args...)
	return err
}

func (mysql) lock(ctx context.Context, conn *sql.Conn, name string) (func(context.Context), error) {
	const of = "(left(concat('doorbuster ', sha1(concat(database(), ?))), 64)"
	var got sql.NullInt64
	err := conn.QueryRowContext(ctx, "SELECT GET_LOCK"+of+", ?)", name, int(lockPatience.Seconds())).Scan(&got)
	if err != nil {
		return nil, err
	}
	if got.Int64 != 1 {
		return nil, errors.New("slow: another node is migrating the tables")
	}
	return func(ctx context.Context) { _, _ = conn.ExecContext(ctx, "SELECT RELEASE_LOCK"+of+")", name) }, nil
}

func (m mysql) columnsOf(ctx context.Context, db *sql.DB, t table) (map[string]bool, string, error) {
	schema, table := apart(t.name)
	columns, err := columnSet(ctx, db, "SELECT column_name FROM information_schema.columns "+
		"WHERE table_schema = coalesce(nullif(?, ''), database()) AND table_name = ?", schema, table)
	if err != nil || len(columns) == 0 {
		return nil, "", err
	}
	var engine sql.NullString
	err = db.QueryRowContext(ctx, "SELECT engine FROM information_schema.tables "+
		"WHERE table_schema = coalesce(nullif(?, ''), database()) AND table_name = ?", schema, table).Scan(&engine)
	if err != nil {
		return nil, "", err
	}
	if !strings.EqualFold(engine.String, "InnoDB") {
		return columns, fmt.Sprintf("table %s is of engine %s, which has no transactions: it must be InnoDB",
			t.name, engine.String), nil
	}
	indexes, err := columnSet(ctx, db, "SELECT group_concat(column_name ORDER BY column_name) "+
		"FROM information_schema.statistics WHERE table_schema = coalesce(nullif(?, ''), database()) "+
		"AND table_name = ? AND non_unique = 0 AND sub_part IS NULL GROUP BY index_name", schema, table)
	if err != nil || indexes[strings.ToLower(strings.Join(sorted(t.names[:t.keys]), ","))] {
		return columns, "", err
	}
	return columns, lacksUnique(t), nil
}

// whatIs goes by the server's error numbers.
func (mysql) whatIs(err error) string {
	var e *driver.MySQLError
	if !errors.As(err, &e) {
		return ""
	}
	switch e.Number {
	case 1290, 1792, 1836, 3100:
		return "the database is read-only: it may be a replica; point url to where it is written"
	case 1044, 1142, 1143, 1227, 1370:
		return "the database's user lacks rights: it needs SELECT, INSERT, UPDATE and DELETE on the tables, " +
			"and CREATE and ALTER to make them"
	case 1054, 1146:
		return "wrong schema: the tables are not as they should be"
	case 1048, 1264, 1265, 1292, 1364, 1366, 1406, 1062, 1451, 1452, 3819, 4025:
		return "wrong schema: a table does not take a value"
	case 1045, 1698, 1251, 1130:
		return "the database does not let the user in"
	case 1049:
		return "there is no such database"
	case 1021, 1114, 1030, 3:
		return "the database's disk is full"
	case 1040, 1041, 1203, 1226:
		return "the database is overloaded"
	case 1205:
		return "slow: another node's transaction is in the way"
	case 1969, 3024, 1317:
		return "the database is slow: a statement took longer than the timeout"
	case 1053, 1927, 1079, 1077, 1080:
		return "the database is down, or about to be"
	case 1213:
		return "the database undid the transaction, as it may"
	case 1153:
		return "the database takes no packets as large as a batch: raise its max_allowed_packet to 16M"
	}
	return ""
}
