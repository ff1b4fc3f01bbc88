package main

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"doorbuster/engine"
	"doorbuster/httpapi/sinks"
)

// TestStreamSinksConfig: the settings of sinks that are streams are read, and what does not
// go together is told with its place.
func TestStreamSinksConfig(t *testing.T) {
	read := func(text string) (Config, error) {
		file := filepath.Join(t.TempDir(), "node.yaml")
		if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		return load(t, "--config", file, "--data", t.TempDir(), "--dev")
	}
	c, err := read(`
node: a1
sinks:
- {name: events, kind: nats, servers: ["tls://n1.example:4222"], stream: ORDERS, subject: shop.orders, tls: true,
   tls_ca_file: ca.pem, user: shop, password_file: nats.password, timeout: 5s}
- {name: lake, kind: kafka, brokers: ["k1.example:9093"], topic: shop.orders, source: "https://shop.example/sales",
   tls: true, sasl: scram-sha-256, user: shop, password_file: kafka.password}
`)
	if err != nil {
		t.Fatal(err)
	}
	nats, kafka := c.Sinks[0].Of.(*natsConfig), c.Sinks[1].Of.(*kafkaConfig)
	if nats.Stream != "ORDERS" || nats.TLS.CA != "ca.pem" || nats.Format.Source != "/doorbuster/a1" {
		t.Errorf("%+v", nats.Config)
	}
	if kafka.Mechanism != "scram-sha-256" || kafka.Format.Source != "https://shop.example/sales" {
		t.Errorf("%+v", kafka.Config)
	}
	event, err := nats.Format.Encode(&sinks.Change{TrailEvent: engine.TrailEvent{Kind: engine.OrderPaid,
		OrderNo: "7H2K", TrailPosition: engine.TrailPosition{Index: 7}},
		Order: &engine.OrderView{OrderNo: "7H2K", State: engine.Paid}})
	if err != nil || !strings.Contains(string(event), `"source":"/doorbuster/a1"`) ||
		!strings.Contains(string(event), `"order":{"order_no":"7H2K"`) {
		t.Errorf("%s, %v", event, err)
	}
	_, err = read(`
sinks:
- {name: events, kind: nats, servers: ["nats://u:secret@n1:4222"], stream: "A.B", tls_ca_file: ca.pem}
- {name: lake, kind: kafka, brokers: [k1], sasl: gssapi}
`)
	if err == nil {
		t.Fatal("nothing was found wrong")
	}
	for _, want := range []string{"sinks[0].servers: an address must not hold a password", "sinks[0].stream:",
		"sinks[0].tls: it is off", `sinks[1].brokers: "k1" must be HOST:PORT`, "sinks[1].topic:",
		`"gssapi" is none of`} {
		if !strings.Contains(err.Error(), want) {
			t.Errorf("no %q in:\n%v", want, err)
		}
	}
	if strings.Contains(err.Error(), "secret") {
		t.Errorf("a password is told: %v", err)
	}
}
