package ticket_test

import (
	"bytes"
	"fmt"
	"time"

	"doorbuster/httpapi/ticket"
)

func ExampleKeys() {
	keys, err := ticket.New(bytes.Repeat([]byte("s"), ticket.SecretBytes))
	if err != nil {
		fmt.Println(err)
		return
	}
	now := time.Date(2026, 9, 20, 2, 0, 0, 0, time.UTC)
	listing := []byte("fans-day-10/skus/mask-50")
	issued := keys.Issue(nil, []byte("ada"), listing, 42, now.Add(time.Minute))

	fmt.Println(keys.Check(issued, []byte("ada"), listing, now))
	fmt.Println(keys.Check(issued, []byte("bob"), listing, now))
	fmt.Println(keys.Check(issued, []byte("ada"), listing, now.Add(time.Hour)))
	// Output:
	// 42 <nil>
	// 0 the ticket is forged, or of another shopper or listing
	// 0 the ticket has expired
}
