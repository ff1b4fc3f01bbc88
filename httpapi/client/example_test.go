package client_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"

	"doorbuster/httpapi/client"
)

// A node is asked, turned a switch of, and asked for what it refuses.
func Example() {
	node := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		switch r.Method {
		case http.MethodGet:
			_, _ = io.WriteString(w, `{"session":"day","sku":"mask","stock":100,"available":40,"held":10,"paid":50}`)
		case http.MethodPatch:
			_, _ = io.WriteString(w, `{"switches":[{"name":"rate_limits","value":50,"normal":100}]}`)
		default:
			w.WriteHeader(http.StatusConflict)
			_, _ = io.WriteString(w, `{"title":"It can't be done now","status":409,"detail":"The session has ended."}`)
		}
	}))
	defer node.Close()

	ctx := context.Background()
	c, err := client.New(client.Config{Addr: node.URL, Token: "an operator's"})
	if err != nil {
		fmt.Println(err)
		return
	}
	counts, err := c.Counts(ctx, "day", "mask")
	if err != nil {
		fmt.Println(err)
		return
	}
	fmt.Println(counts.Available, "of", counts.Stock, "are free")
	board, err := c.SetSwitches(ctx, client.Settings{"rate_limits": "50"}, "bots")
	if err != nil {
		fmt.Println(err)
		return
	}
	fmt.Println(board.Switches[0].Name, "is", board.Switches[0].Value)

	_, err = c.AddStock(ctx, "day", "mask", 10, "")
	var refused *client.Refused
	fmt.Println(errors.As(err, &refused), refused.Status, refused.Problem.Detail)
	// Output:
	// 40 of 100 are free
	// rate_limits is 50
	// true 409 The session has ended.
}
