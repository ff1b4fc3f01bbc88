package bench_test

import (
	"context"
	"fmt"
	"os"

	"doorbuster/bench"
)

func ExampleParseListing() {
	l, err := bench.ParseListing("fans-day-10/mask-50=3")
	fmt.Println(l, l.Weight, err)
	_, err = bench.ParseListing("mask-50")
	fmt.Println(err)
	// Output:
	// fans-day-10/mask-50 3 <nil>
	// listing "mask-50": want SESSION/SKU
}

func ExampleRushConfig_Validate() {
	c := bench.DefaultRushConfig()
	c.Addrs = []string{"127.0.0.1:8080"}
	c.PayShare = 1.2
	fmt.Println(c.Validate())
	// Output:
	// admin "": want HOST:PORT; without the shop's own counts there is no verdict
	// listing: at least one SESSION/SKU
	// pay share 1.2: want 0 to 1
	// pay share 1.2 and cancel share 0.1: together over 1
}

func ExampleRush() {
	c := bench.DefaultRushConfig()
	c.Addrs, c.Admin = []string{"127.0.0.1:8080"}, "127.0.0.1:8081"
	c.Listings = []bench.Listing{{Session: "fans-day-10", SKU: "mask-50"}}
	c.Rate, c.Seed, c.Progress = 5000, 1, os.Stderr

	report, err := bench.Rush(context.Background(), c)
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		return
	}
	_ = bench.WriteTable(os.Stdout, report)
	if !report.OK() {
		os.Exit(1)
	}
}
