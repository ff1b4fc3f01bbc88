package httpapi_test

import (
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"time"

	"doorbuster/engine"
	"doorbuster/httpapi"
	"doorbuster/httpapi/auth"
	"doorbuster/httpapi/wire"
)

// shop sells one thing to whoever asks. Only what the examples use is there.
type shop struct{ httpapi.Seller }

func (shop) Decide(*engine.Grab, engine.Asker) (engine.Answer, bool) {
	return engine.Answer{Code: engine.CodeGranted, State: engine.Held, Order: engine.OrderRef{Session: 1, Ordinal: 1},
		No: engine.OrderNo([]byte("0123456789ABCDEFGHJKMNPQ")), Listing: 1, Quantity: 1,
		Amount: 100, PayBy: engine.TimeOf(time.Date(2026, 9, 20, 2, 15, 0, 0, time.UTC))}, true
}

func (shop) Now() engine.Time {
	return engine.TimeOf(time.Date(2026, 9, 20, 2, 0, 0, 0, time.UTC))
}

func (shop) ListingOf(engine.ListingHandle) (session, sku, currency string) {
	return "fans-day-10", "mask-50", "CNY"
}

func (shop) TicketSecret() (secret [32]byte, known bool) { return secret, false }

func (shop) Messages([]byte, engine.ListingHandle) (string, uint64, []engine.Message) {
	return "", 0, nil
}

func ExampleNewShopper() {
	server, err := httpapi.NewShopper(httpapi.ShopperConfig{Seller: httpapi.Seller{Grabber: shop{},
		ShopperOrders: shop{}, Display: shop{}, Rules: shop{}}, Dev: true})
	if err != nil {
		fmt.Println(err)
		return
	}
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		fmt.Println(err)
		return
	}
	served := make(chan error, 1)
	go func() { served <- server.Serve(ln) }()

	request, _ := http.NewRequest("POST", "http://"+ln.Addr().String()+"/v1/sessions/fans-day-10/skus/mask-50/grab",
		nil)
	request.Header.Set("X-Shopper-Id", "ada")
	request.Header.Set("Idempotency-Key", "first-try")
	answer, err := http.DefaultClient.Do(request)
	if err != nil {
		fmt.Println(err)
		return
	}
	body, _ := io.ReadAll(answer.Body)
	_ = answer.Body.Close()
	fmt.Println(answer.StatusCode, string(body))

	http.DefaultClient.CloseIdleConnections()
	fmt.Println(server.Shutdown(context.Background()), <-served)
	// Output:
	// 200 {"code":"granted","message":"You got it. Pay within 15 minutes.","order":{"order_no":"0123456789ABCDEFGHJKMNPQ","session":"fans-day-10","sku":"mask-50","quantity":1,"amount":100,"currency":"CNY","state":"held","pay_by":"2026-09-20T02:15:00Z"}}
	// <nil> <nil>
}

// node is a group of one that leads. Only what the example uses is there.
type node struct{ httpapi.ClusterView }

func (node) Ready() error         { return nil }
func (node) Status() wire.Cluster { return wire.Cluster{Leader: "a1"} }

// desk counts one listing. Only what the example uses is there.
type desk struct{ httpapi.Catalogue }

func (desk) Counts(session, sku string) (engine.Counts, error) {
	return engine.Counts{Session: session, SKU: sku, Stock: 1000, Held: 990, Paid: 10, Shoppers: 1000,
		State: engine.ListingSoldOut, LogIndex: 4711}, nil
}

// trail is what has happened. The example does not ask.
type trail struct{ httpapi.Trail }

func ExampleNewAdmin() {
	secret := []byte(strings.Repeat("s", auth.MinSecretBytes))
	server, err := httpapi.NewAdmin(httpapi.AdminConfig{
		Operator: httpapi.Operator{Catalogue: desk{}}, Cluster: node{}, Trail: trail{},
		Tokens:    auth.Keys{Secret: secret},
		ParsePlan: func([]byte) (*engine.Plan, []wire.PlanProblem) { return &engine.Plan{}, nil },
	})
	if err != nil {
		fmt.Println(err)
		return
	}
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		fmt.Println(err)
		return
	}
	served := make(chan error, 1)
	go func() { served <- server.Serve(ln) }()

	token, err := auth.Claims{Audience: auth.Operators, Subject: "olga", Role: auth.Viewer, TTL: time.Hour}.Sign(secret,
		time.Now())
	if err != nil {
		fmt.Println(err)
		return
	}
	request, _ := http.NewRequest("GET", "http://"+ln.Addr().String()+"/admin/v1/sessions/fans-day-10/skus/mask-50",
		nil)
	request.Header.Set("Authorization", "Bearer "+token)
	answer, err := http.DefaultClient.Do(request)
	if err != nil {
		fmt.Println(err)
		return
	}
	body, _ := io.ReadAll(answer.Body)
	_ = answer.Body.Close()
	fmt.Print(answer.StatusCode, " ", string(body))

	http.DefaultClient.CloseIdleConnections()
	fmt.Println(server.Shutdown(context.Background()), <-served)
	// Output:
	// 200 {"session":"fans-day-10","sku":"mask-50","stock":1000,"available":0,"held":990,"paid":10,"waitlisted":0,"entrants":0,"reserved":0,"shoppers":1000,"state":"sold_out","log_index":4711}
	// <nil> <nil>
}

func ExampleLimits_Validate() {
	fmt.Println(httpapi.Limits{BodyBytes: 10, ReadTimeout: -time.Second}.Validate())
	// Output:
	// ReadTimeout is -1s; it must be 1ms to 1h
	// BodyBytes is 10; it must be 1024 to 1048576
}
