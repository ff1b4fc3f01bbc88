package risk_test

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"time"

	"doorbuster/httpapi/risk"
)

func ExampleClient_Judge() {
	service := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		_, _ = io.WriteString(w, `{"level":"challenge"}`)
	}))
	defer service.Close()
	client, err := risk.New(risk.Config{URL: service.URL, Timeout: 5 * time.Second, WhenDown: risk.Allow})
	if err != nil {
		fmt.Println(err)
		return
	}
	defer client.Close()
	question := risk.Question{Shopper: "ada", Address: netip.MustParseAddr("203.0.113.5"), Session: "fans-day-10",
		SKU: "mask-50"}
	for range 2 {
		verdict := client.Judge(context.Background(), question)
		fmt.Println(verdict.Level, "from", verdict.Source)
	}
	// Output:
	// challenge from service
	// challenge from memory
}

func ExampleConfig_Validate() {
	fmt.Println(risk.Config{URL: "risk.example", Timeout: time.Minute}.Validate())
	// Output:
	// URL is "(an address that can't be read)"; it must be like https://risk.example/judge, without user and fragment
	// Timeout is 1m0s; it must be 10ms to 5s
}
