// Package statement reads the cashier's statements: what it took and paid back, a
// line each, as CSV or NDJSON of our own, or as a provider writes it. They may be long,
// cut off or not be statements at all, so they are read as streams in bounded memory.
//
// A provider's format is a Layout, a declaration that one reader follows; formats.go has
// those that are known, and a user may write another. A statement whose totals are not
// those of its rows is rejected.
//
// Check reads a statement whole and tells everything that is wrong with it, each
// with its line; only then is it worth to Open it again and take row after row. Rows
// that can't be about orders of ours, of another channel of the shop for instance, are
// counted and passed over. If one row that could be ours is malformed, the whole
// statement is rejected: nobody knows what else is wrong with it. A line that is there
// twice is no bad line; Check names it, and it counts once.
//
//	payment_id,order_no,amount,currency,kind,at,transaction_id
//	p-1001,0123456789ABCDEFGHJKMNPQ,4900,CNY,payment,2026-09-20T02:14:59Z,
//	p-1001,0123456789ABCDEFGHJKMNPQ,4900,CNY,refund,2026-09-20T02:20:00Z,
package statement
