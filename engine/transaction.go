package engine

import "fmt"

// Transaction is an id that goes from a shopper's first look to his payment: a
// UUID. Zero is none.
type Transaction [16]byte

// May tells whether money that came in t may be for an order of transaction o: the
// cashier need not say which it was, and old orders have none.
func (t Transaction) May(o Transaction) bool {
	return t == o || t == (Transaction{}) || o == (Transaction{})
}

// String gives the transaction as a UUID, "" for none.
func (t Transaction) String() string {
	if t == (Transaction{}) {
		return ""
	}
	return fmt.Sprintf("%x-%x-%x-%x-%x", t[:4], t[4:6], t[6:8], t[8:10], t[10:])
}
