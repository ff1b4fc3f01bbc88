package sqlsink

import (
	"errors"
	"fmt"
	"strings"
	"testing"

	driver "github.com/go-sql-driver/mysql"
	"github.com/jackc/pgx/v5/pgconn"
)

// TestFaultsQuoteNoValues: of the database's own words only numbers and names are told.
func TestFaultsQuoteNoValues(t *testing.T) {
	mysql := func(number uint16, message string) error {
		return &driver.MySQLError{Number: number, SQLState: [5]byte([]byte("HY000")), Message: message}
	}
	const phone = "+8613800000001"
	for _, c := range []struct {
		err  error
		says string
	}{
		{mysql(1366, "Incorrect integer value: '"+phone+"' for column `shop`.`o`.`receiver_phone` at row 1"),
			"1366 (HY000), of shop.o.receiver_phone"},
		{mysql(1366, "Incorrect integer value: '"+phone+" for column `13800`' for column 'phone' at row 3"),
			"1366 (HY000), of phone"},
		{mysql(1062, "Duplicate entry '"+phone+"' for key 'by_phone'"), "1062 (HY000), of by_phone"},
		{mysql(1048, "Column 'city' cannot be null"), "1048 (HY000), of city"},
		{mysql(1146, "Table 'shop.gone' doesn't exist"), "1146 (HY000), of shop.gone"},
		{mysql(1064, "You have an error in your SQL syntax near ''"+phone+"'' at line 1"), "1064 (HY000)"},
		{&pgconn.PgError{Code: "22P02", Message: `invalid input syntax for type bigint: "` + phone + `"`}, "22P02"},
		{&pgconn.PgError{Code: "23514", Message: "new row violates", Detail: "Failing row contains (" + phone + ")",
			ConstraintName: "short"}, "23514, constraint short"},
		{&pgconn.PgError{Code: "42804", Message: `column "receiver_phone" is of type bigint but expression is of ` +
			`type text`}, "42804, of receiver_phone"},
		{errors.Join(mysql(1366, phone), mysql(1406, phone)), "1366 (HY000)\n"},
	} {
		err := withoutValues(fmt.Errorf("table o: %w", c.err))
		got := err.Error()
		if !strings.HasPrefix(got, "table o: ") || !strings.Contains(got, c.says) || strings.Contains(got, "138") ||
			!errors.Is(err, c.err) {
			t.Errorf("%v: %q, want %q", c.err, got, c.says)
		}
	}
	if plain := errors.New("slow"); !errors.Is(withoutValues(plain), plain) {
		t.Error("another error is not what it was")
	}
}
