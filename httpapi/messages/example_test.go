package messages_test

import (
	"fmt"

	"doorbuster/httpapi/messages"
)

// A sale's own words are held against what the message can have filled in.
func ExampleParse() {
	pieces, err := messages.Parse(messages.Granted, "It is yours! Pay within {pay_within}.")
	fmt.Println(len(pieces), pieces[0].Then, err)

	_, err = messages.Parse(messages.Missed, "Try again at {start}.")
	fmt.Println(err)
	// Output:
	// 2 pay_within <nil>
	// {start} is no placeholder of missed; here there are none
}
