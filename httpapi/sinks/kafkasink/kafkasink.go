// Package kafkasink has changes flow into a topic of Kafka, as CloudEvents: each once, each
// order's in order, whoever leads and whatever is killed.
//
// The topic is the sink's own. A batch is a transaction: all of it is in the topic, over all
// partitions, or nothing. Each record says in a header where its writer goes on behind the
// batch, so the last committed records tell the next writer where to begin, without a second
// place to keep it in. The transactional id, one for the topic, has the cluster turn away
// whoever wrote before: of two nodes that both believe to lead, the one that opened last
// writes. Records are acknowledged by all replicas in sync.
//
// Readers with isolation.level=read_committed see each change once. Others may see a batch
// that was given up, too, and drop by the event's id what they have seen.
//
// Start reading at Sink.Open.
package kafkasink

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net"
	"strconv"
	"strings"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/sasl"
	"github.com/twmb/franz-go/pkg/sasl/plain"
	"github.com/twmb/franz-go/pkg/sasl/scram"

	"doorbuster/engine"
	"doorbuster/httpapi/sinks"
	"doorbuster/httpapi/sinks/cloudevents"
	"doorbuster/httpapi/sinks/secure"
)

// Headers of a record.
const (
	HeaderContentType = "content-type" // as CloudEvents' binding to Kafka has it
	// HeaderPosition is where the writer goes on behind the record's batch: "4711.1".
	HeaderPosition = "doorbuster-position"
	// HeaderRun counts how often an operator has had changes sent again; missing before
	// the first time.
	HeaderRun = "doorbuster-run"
)

// KeyOfNone is the key of records about neither an order nor a session.
const KeyOfNone = "group"

// Config says where the topic is.
type Config struct {
	Brokers []string // HOST:PORT, some of one cluster
	Topic   string   // must exist, and keep what is in it (cleanup.policy=delete)
	Format  cloudevents.Format
	TLS     secure.TLS

	Mechanism          string // of SASL: plain, scram-sha-256 or scram-sha-512; "" is none
	User, PasswordFile string // of SASL

	// Timeout of a connection, and of a batch until it is in the topic for good; 0 is
	// DefaultTimeout.
	Timeout time.Duration
}

// DefaultTimeout leaves a cluster the time to elect leaders.
const DefaultTimeout = 20 * time.Second

// transactionTimeout is after how long a cluster gives up a batch whose writer is gone,
// if no other writer comes before: until then readers wait behind it.
const transactionTimeout = time.Minute

// Validate reports every field that is missing or invalid, behind the key of its setting.
func (c *Config) Validate() error {
	var problems []error
	say := func(format string, args ...any) { problems = append(problems, fmt.Errorf(format, args...)) }
	if len(c.Brokers) == 0 {
		say("brokers: at least one is needed, such as 127.0.0.1:9092")
	}
	for _, b := range c.Brokers {
		host, port, err := net.SplitHostPort(b)
		if n, bad := strconv.ParseUint(port, 10, 16); err != nil || bad != nil || n == 0 || host == "" ||
			strings.ContainsAny(host, "/@") {
			say("brokers: %q must be HOST:PORT", b)
		}
	}
	if c.Topic == "" || len(c.Topic) > 249 || c.Topic == "." || c.Topic == ".." ||
		strings.ContainsFunc(c.Topic, func(r rune) bool {
			return r != '.' && r != '-' && r != '_' && (r < '0' || r > '9') && (r < 'a' || r > 'z') && (r < 'A' ||
				r > 'Z')
		}) {
		say("topic: %q must be 1 to 249 letters, digits, dots, dashes and underscores", c.Topic)
	}
	if _, err := c.mechanism(""); err != nil {
		problems = append(problems, err)
	}
	if c.Mechanism == "" && (c.User != "" || c.PasswordFile != "") {
		say("user and password_file: sasl must say by which mechanism")
	}
	if c.Mechanism != "" && (c.User == "" || c.PasswordFile == "") {
		say("sasl: user and password_file are needed")
	}
	if c.Mechanism == "plain" && !c.TLS.On {
		say("sasl: plain sends the password as it is, and needs tls")
	}
	if c.Timeout < 0 {
		say("timeout: %v is negative", c.Timeout)
	}
	return errors.Join(append(problems, c.TLS.Validate(), c.Format.Validate())...)
}

func (c *Config) mechanism(password string) (sasl.Mechanism, error) {
	switch c.Mechanism {
	case "":
		return nil, nil
	case "plain":
		return plain.Auth{User: c.User, Pass: password}.AsMechanism(), nil
	case "scram-sha-256":
		return scram.Auth{User: c.User, Pass: password}.AsSha256Mechanism(), nil
	case "scram-sha-512":
		return scram.Auth{User: c.User, Pass: password}.AsSha512Mechanism(), nil
	}
	return nil, fmt.Errorf("sasl: %q must be plain, scram-sha-256 or scram-sha-512", c.Mechanism)
}

// Sink is a sinks.Sink and a sinks.Rewinder. One goroutine may call it.
type Sink struct {
	config Config
	writer *kgo.Client
	run    uint64 // of HeaderRun
	broken error  // why nothing may be written any more
}

var (
	_ sinks.Sink     = (*Sink)(nil)
	_ sinks.Rewinder = (*Sink)(nil)
)

// New makes a sink, or reports what Validate does; it connects with Open.
func New(config Config) (*Sink, error) {
	if err := config.Validate(); err != nil {
		return nil, err
	}
	if config.Timeout == 0 {
		config.Timeout = DefaultTimeout
	}
	return &Sink{config: config}, nil
}

// client makes one of the cluster's clients.
func (s *Sink) client(more ...kgo.Opt) (*kgo.Client, error) {
	c := &s.config
	options := []kgo.Opt{kgo.SeedBrokers(c.Brokers...), kgo.ClientID("doorbuster"), kgo.DialTimeout(c.Timeout),
		kgo.RetryTimeout(c.Timeout)}
	var over *tls.Config
	var password string
	var err error
	if over, err = c.TLS.Config(); err != nil {
		return nil, err
	}
	if over != nil {
		options = append(options, kgo.DialTLSConfig(over))
	}
	if c.Mechanism != "" {
		if password, err = secure.Secret(c.PasswordFile); err != nil {
			return nil, err
		}
		mechanism, err := c.mechanism(password)
		if err != nil {
			return nil, err
		}
		options = append(options, kgo.SASL(mechanism))
	}
	return kgo.NewClient(append(options, more...)...)
}

// Open connects, turns away whoever wrote before, and reads from the last committed records
// where to go on. A topic all of whose records have been dropped does not know: the group's
// note counts.
func (s *Sink) Open(ctx context.Context) (at engine.TrailPosition, known bool, err error) {
	ctx, cancel := context.WithTimeout(ctx, 2*s.config.Timeout)
	defer cancel()
	s.broken, s.run = nil, 0
	s.writer, err = s.client(kgo.TransactionalID("doorbuster-"+s.config.Topic),
		kgo.TransactionTimeout(transactionTimeout), kgo.DefaultProduceTopic(s.config.Topic),
		kgo.RequiredAcks(kgo.AllISRAcks()), kgo.RecordPartitioner(kgo.StickyKeyPartitioner(nil)))
	if err != nil {
		return at, false, err
	}
	if err := s.writer.Ping(ctx); err != nil {
		return at, false, s.plain("connecting to Kafka at "+strings.Join(s.config.Brokers, ", "), err)
	}
	admin := kadm.NewClient(s.writer)
	topics, err := admin.ListTopics(ctx, s.config.Topic)
	if err == nil {
		err = topics[s.config.Topic].Err
	}
	if errors.Is(err, kerr.UnknownTopicOrPartition) {
		return at, false, fmt.Errorf("there is no topic %s: make it, with as many partitions as its readers want",
			s.config.Topic)
	}
	if err != nil {
		return at, false, s.plain("topic "+s.config.Topic, err)
	}
	// From here on nobody else's batch can be committed, and what was under way is either in
	// the topic or given up.
	if _, _, err := s.writer.ProducerID(ctx); err != nil {
		return at, false, s.plain("beginning to write to topic "+s.config.Topic, err)
	}
	return s.position(ctx, admin)
}

// position reads where the last batch in the topic ended.
func (s *Sink) position(ctx context.Context, admin *kadm.Client) (at engine.TrailPosition, known bool, err error) {
	starts, err := admin.ListStartOffsets(ctx, s.config.Topic)
	if err == nil {
		err = starts.Error()
	}
	var ends kadm.ListedOffsets
	if err == nil {
		if ends, err = admin.ListCommittedOffsets(ctx, s.config.Topic); err == nil {
			err = ends.Error()
		}
	}
	if err != nil {
		return at, false, s.plain("where topic "+s.config.Topic+" ends", err)
	}
	dropped := false
	looked := make(map[int32]span)
	ends.Each(func(o kadm.ListedOffset) {
		start, _ := starts.Lookup(o.Topic, o.Partition)
		dropped = dropped || start.Offset > 0
		if start.Offset < o.Offset {
			looked[o.Partition] = span{start.Offset, o.Offset}
		}
	})
	last, err := s.lastRecords(ctx, looked)
	if err != nil {
		return at, false, err
	}
	known = !dropped // what is without records, and was never more than given up, is at the beginning
	for _, r := range last {
		behind, run, err := positionOf(r)
		if err != nil {
			return at, false, fmt.Errorf("record %d of partition %d of topic %s, its last, is not this sink's: "+
				"nothing "+
				"else may write there", r.Offset, r.Partition, s.config.Topic)
		}
		if known = true; run > s.run || run == s.run && at.Before(behind) {
			at, s.run = behind, run
		}
	}
	return at, known, nil
}

// positionOf reads a record's headers.
func positionOf(r *kgo.Record) (at engine.TrailPosition, run uint64, err error) {
	err = errors.New("no position")
	for _, h := range r.Headers {
		switch h.Key {
		case HeaderPosition:
			if at, err = cloudevents.ParsePosition(string(h.Value)); err != nil {
				return at, 0, err
			}
		case HeaderRun:
			if run, err = strconv.ParseUint(string(h.Value), 10, 64); err != nil {
				return at, 0, err
			}
		}
	}
	return at, run, err
}

// span is what of a partition is there: offsets from, up to end.
type span struct{ from, end int64 }

// lastRecords gives the last committed record of each partition that has one. Behind it
// stand the cluster's own marks, and batches that were given up: it looks back further and
// further.
func (s *Sink) lastRecords(ctx context.Context, partitions map[int32]span) ([]*kgo.Record, error) {
	var last []*kgo.Record
	for back := int64(2); len(partitions) > 0; back *= 16 {
		from := make(map[int32]kgo.Offset)
		for p, s := range partitions {
			from[p] = kgo.NewOffset().At(max(s.from, s.end-back))
		}
		found, err := s.lastFrom(ctx, from, partitions)
		if err != nil {
			return nil, err
		}
		for p, s := range partitions {
			if r := found[p]; r != nil {
				last = append(last, r)
			} else if s.end-back > s.from {
				continue
			}
			delete(partitions, p)
		}
	}
	return last, nil
}

// lastFrom reads partitions from offsets to their ends, and gives the last record of each
// that is none of the cluster's marks.
func (s *Sink) lastFrom(ctx context.Context, from map[int32]kgo.Offset, ends map[int32]span) (map[int32]*kgo.Record,
	error) {
	reader, err := s.client(kgo.ConsumePartitions(map[string]map[int32]kgo.Offset{s.config.Topic: from}),
		kgo.FetchIsolationLevel(kgo.ReadCommitted()), kgo.KeepControlRecords(), kgo.FetchMaxWait(time.Second))
	if err != nil {
		return nil, err
	}
	defer reader.Close()
	last := make(map[int32]*kgo.Record)
	left := make(map[int32]bool)
	for p := range from {
		left[p] = true
	}
	for len(left) > 0 {
		fetches := reader.PollFetches(ctx)
		for _, e := range fetches.Errors() {
			if lost := new(kgo.ErrDataLoss); !errors.As(e.Err, &lost) { // a new leader has less: it is read from there
				return nil, s.plain("the last records of topic "+s.config.Topic, e.Err)
			}
		}
		fetches.EachRecord(func(r *kgo.Record) {
			if !r.Attrs.IsControl() {
				last[r.Partition] = r
			}
			if r.Offset >= ends[r.Partition].end-1 {
				delete(left, r.Partition)
			}
		})
	}
	return last, nil
}

// Rewind has what is written next begin at a position: nothing is taken out of the topic,
// the changes from there on come again, in a run of their own.
func (s *Sink) Rewind(context.Context, engine.TrailPosition) error {
	s.run++
	return nil
}

// Write puts changes into the topic, in one transaction. After an error Open finds out
// whether they are there.
func (s *Sink) Write(ctx context.Context, changes []sinks.Change, next engine.TrailPosition) error {
	if s.broken != nil {
		return s.broken
	}
	if len(changes) == 0 {
		return nil // nothing to keep the position in; who opens again reads the stretch anew
	}
	ctx, cancel := context.WithTimeout(ctx, s.config.Timeout)
	defer cancel()
	if err := s.write(ctx, changes, next); err != nil {
		s.broken = fmt.Errorf("not written since: %w", err)
		return err
	}
	return nil
}

func (s *Sink) write(ctx context.Context, changes []sinks.Change, next engine.TrailPosition) error {
	headers := []kgo.RecordHeader{{Key: HeaderContentType, Value: []byte(cloudevents.ContentType)},
		{Key: HeaderPosition, Value: []byte(next.String())}}
	if s.run > 0 {
		headers = append(headers, kgo.RecordHeader{Key: HeaderRun, Value: strconv.AppendUint(nil, s.run, 10)})
	}
	records := make([]*kgo.Record, len(changes))
	for i := range changes {
		event, err := s.config.Format.Encode(&changes[i])
		if err != nil {
			return err
		}
		records[i] = &kgo.Record{Key: []byte(key(&changes[i])), Value: event, Headers: headers}
	}
	if err := s.writer.BeginTransaction(); err != nil {
		return s.plain("beginning a batch", err)
	}
	done := make(chan error, len(records))
	for _, r := range records {
		s.writer.Produce(ctx, r, func(_ *kgo.Record, err error) { done <- err })
	}
	for range records {
		select {
		case err := <-done:
			if err != nil {
				return s.plain("writing to topic "+s.config.Topic, err)
			}
		case <-ctx.Done():
			return s.plain("writing to topic "+s.config.Topic, ctx.Err())
		}
	}
	if err := s.writer.EndTransaction(ctx, kgo.TryCommit); err != nil {
		return s.plain("committing to topic "+s.config.Topic, err)
	}
	return nil
}

// key gives what a record goes into a partition by: all of an order's go into one.
func key(c *sinks.Change) string {
	switch {
	case c.OrderNo != "":
		return c.OrderNo
	case c.Session != "":
		return c.Session
	}
	return KeyOfNone
}

// plain says what an error means to whoever operates the sink.
func (s *Sink) plain(what string, err error) error {
	switch {
	case errors.Is(err, kerr.ProducerFenced), errors.Is(err, kerr.InvalidProducerEpoch):
		return fmt.Errorf("%s: another node has opened the topic since, and leads by now (%w)", what, err)
	case errors.Is(err, kerr.TransactionalIDAuthorizationFailed):
		return fmt.Errorf("%s: this user may not write under the transactional id doorbuster-%s (%w)", what,
			s.config.Topic, err)
	case errors.Is(err, io.EOF):
		return fmt.Errorf("%s: the broker hung up, as one does that speaks TLS where we don't, or does not know "+
			"who we are "+
			"(%w)", what, err)
	case errors.Is(err, context.DeadlineExceeded):
		return fmt.Errorf("%s: no answer in time (%w)", what, err)
	}
	return fmt.Errorf("%s: %w", what, err)
}

// Close ends the connections. A batch that was under way is given up by whoever opens next,
// or after transactionTimeout.
func (s *Sink) Close() error {
	if s.writer != nil {
		s.writer.Close()
		s.writer = nil
	}
	return nil
}
