package words_test

import (
	"fmt"

	"doorbuster/httpapi/words"
)

// A sale's own words are held against what the message can have filled in.
func ExampleParse() {
	pieces, err := words.Parse(words.Granted, "It is yours! Pay within {pay_within}.")
	fmt.Println(len(pieces), pieces[0].Then, err)

	_, err = words.Parse(words.Missed, "Try again at {start}.")
	fmt.Println(err)
	// Output:
	// 2 pay_within <nil>
	// {start} is no placeholder of missed; here there are none
}
