package main

import (
	"cmp"
	"encoding/json"
	"time"

	"doorbuster/cmd/doorbuster/settings"
	"doorbuster/httpapi"
	"doorbuster/httpapi/sinks"
	"doorbuster/httpapi/sinks/cloudevents"
	"doorbuster/httpapi/sinks/kafkasink"
	"doorbuster/httpapi/sinks/natssink"
	"doorbuster/httpapi/sinks/secure"
)

// natsConfig is a sink of kind nats.
type natsConfig struct{ natssink.Config }

func (c *natsConfig) add(t *settings.Table) {
	settings.Add(t, &c.Servers, "servers", nil, "`addresses` of servers of one cluster: nats://HOST:PORT, or "+
		"tls://HOST:PORT with tls (required)")
	settings.Add(t, &c.Stream, "stream", "", "`name` of the stream, which must exist and be this sink's alone "+
		"(required)")
	settings.Add(t, &c.Subject, "subject", "doorbuster", "what messages' `subject` begins with, before .SESSION.KIND")
	settings.Add(t, &c.Format.Source, "source", "", "the events' source, a `URI` reference; /doorbuster/ and the "+
		"cluster's id (of a lone node, the node's) without")
	settings.Add(t, &c.User, "user", "", "`name` to log in with, where the servers ask for one")
	settings.Add(t, &c.PasswordFile, "password_file", "", "`file` with the user's password, read at each connection")
	settings.Add(t, &c.TokenFile, "token_file", "", "`file` with a token, instead of a user")
	settings.Add(t, &c.CredentialsFile, "credentials_file", "", "`file` .creds with a JWT and its key, instead of "+
		"a user")
	settings.Add(t, &c.NKeyFile, "nkey_file", "", "`file` with the seed of an nkey, instead of a user")
	addSinkTLS(t, &c.TLS)
	settings.Add(t, &c.Timeout, "timeout", natssink.DefaultTimeout, "how long a connection or an answer may take",
		settings.Between(time.Second, 10*time.Minute))
}

func (c *natsConfig) agree(of *Config) error {
	c.Format = of.eventFormat(c.Format.Source)
	return c.Validate()
}

func (c *natsConfig) open(*node, sinks.Means) (sinks.Sink, error) { return natssink.New(c.Config) }

// kafkaConfig is a sink of kind kafka.
type kafkaConfig struct{ kafkasink.Config }

func (c *kafkaConfig) add(t *settings.Table) {
	settings.Add(t, &c.Brokers, "brokers", nil, "`addresses` of brokers of one cluster, HOST:PORT (required)")
	settings.Add(t, &c.Topic, "topic", "", "`name` of the topic, which must exist and be this sink's alone (required)")
	settings.Add(t, &c.Format.Source, "source", "", "the events' source, a `URI` reference; /doorbuster/ and the "+
		"cluster's id (of a lone node, the node's) without")
	settings.Add(t, &c.Mechanism, "sasl", "", "`mechanism` to log in by, where the brokers ask for one",
		settings.OneOf("plain", "scram-sha-256", "scram-sha-512").Or(""))
	settings.Add(t, &c.User, "user", "", "`name` to log in with")
	settings.Add(t, &c.PasswordFile, "password_file", "", "`file` with the user's password, read at each connection")
	addSinkTLS(t, &c.TLS)
	settings.Add(t, &c.Timeout, "timeout", kafkasink.DefaultTimeout, "how long a connection may take, and a batch "+
		"until it is in the topic for good", settings.Between(time.Second, 10*time.Minute))
}

func (c *kafkaConfig) agree(of *Config) error {
	c.Format = of.eventFormat(c.Format.Source)
	return c.Validate()
}

func (c *kafkaConfig) open(*node, sinks.Means) (sinks.Sink, error) { return kafkasink.New(c.Config) }

// addSinkTLS puts the settings of a connection over TLS into a sink's.
func addSinkTLS(t *settings.Table, c *secure.TLS) {
	settings.Add(t, &c.On, "tls", false, "connect over TLS")
	settings.Add(t, &c.CA, "tls_ca_file", "", "`file` with the authorities that the other side's certificate may come "+
		"from, in PEM, read at each connection; those that the system knows without")
	settings.Add(t, &c.Cert, "tls_cert_file", "", "`file` with the certificate that we show, in PEM, read at "+
		"each connection")
	settings.Add(t, &c.Key, "tls_key_file", "", "`file` with that certificate's key, in PEM, read at each connection")
	settings.Add(t, &c.ServerName, "tls_server_name", "", "`name` that the other side's certificate must have; its "+
		"address's host without")
}

// eventFormat is how committed changes become CloudEvents.
func (c *Config) eventFormat(source string) cloudevents.Format {
	if source == "" {
		source = "/doorbuster/" + cmp.Or(c.Cluster.ID, c.Node)
	}
	return cloudevents.Format{Source: source, Data: func(c *sinks.Change) ([]byte, error) {
		return json.Marshal(httpapi.ChangeOf(&c.TrailEvent, c.Order))
	}}
}
