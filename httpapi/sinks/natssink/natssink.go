// Package natssink has changes flow into a stream of NATS JetStream, as CloudEvents: each
// once, in order, whoever leads and whatever is killed.
//
// The stream is the sink's own: nothing else may publish to its subjects. Each message says
// in a header where its writer goes on, so the last one of the stream is where the next
// writer begins; and each is published on condition that the stream still ends where its
// writer believes it to end. So of two nodes that both believe to lead one writes on, and
// the other is refused; and what a server loses that it had acknowledged is sent again.
// The id for JetStream's own deduplication is the change's, too, but nothing depends on the
// width of its window.
//
// Start reading at Sink.Open.
package natssink

import (
	"context"
	"errors"
	"fmt"
	"net"
	"strconv"
	"strings"
	"sync/atomic"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"doorbuster/engine"
	"doorbuster/httpapi/sinks"
	"doorbuster/httpapi/sinks/cloudevents"
	"doorbuster/httpapi/sinks/secure"
)

// Headers of a message, besides those of NATS.
const (
	// HeaderPosition is where the writer goes on behind the message: "4711.1".
	HeaderPosition = "Doorbuster-Position"
	// HeaderRun counts how often an operator has had changes sent again; missing before
	// the first time.
	HeaderRun = "Doorbuster-Run"
)

// Config says where the stream is.
type Config struct {
	Servers []string // nats://HOST:PORT or tls://HOST:PORT, of one cluster
	Stream  string   // must exist
	// Subject begins each message's: SUBJECT.SESSION.KIND, with _ for no session and for
	// the dots in a session's id. The stream must take SUBJECT.>.
	Subject string
	Format  cloudevents.Format
	TLS     secure.TLS

	// At most one of these four says who we are.
	User, PasswordFile string
	TokenFile          string
	CredentialsFile    string // .creds, of a JWT and its key
	NKeyFile           string // the seed of an nkey

	Timeout time.Duration // of a connection, and of an answer; 0 is DefaultTimeout
}

// DefaultTimeout leaves a cluster the time to elect a leader.
const DefaultTimeout = 10 * time.Second

// Validate reports every field that is missing or invalid, behind the key of its setting.
func (c *Config) Validate() error {
	var problems []error
	say := func(format string, args ...any) { problems = append(problems, fmt.Errorf(format, args...)) }
	if len(c.Servers) == 0 {
		say("servers: at least one is needed, such as nats://127.0.0.1:4222")
	}
	for _, s := range c.Servers {
		rest, plain := strings.CutPrefix(s, "nats://")
		if !plain {
			var over bool
			if rest, over = strings.CutPrefix(s, "tls://"); !over {
				say("servers: %q must begin with nats:// or tls://", s)
				continue
			}
			if !c.TLS.On {
				say("servers: %q is over TLS, and tls is off", s)
			}
		}
		if strings.Contains(rest, "@") {
			say("servers: an address must not hold a password; there are files for it")
		} else if host, port, err := net.SplitHostPort(rest); err != nil || host == "" || !isPort(port) {
			say("servers: %q must name a host and a port", s)
		}
	}
	if c.Stream == "" || strings.ContainsAny(c.Stream, " \t\r\n.*>/\\") {
		say("stream: %q can't name a stream", c.Stream)
	}
	if !validSubject(c.Subject) {
		say("subject: %q must be words of letters, digits, dash and underscore, with dots between them", c.Subject)
	}
	ways := 0
	for _, way := range []string{c.User, c.TokenFile, c.CredentialsFile, c.NKeyFile} {
		if way != "" {
			ways++
		}
	}
	if ways > 1 {
		say("user, token_file, credentials_file and nkey_file: only one of them can say who we are")
	}
	if (c.User == "") != (c.PasswordFile == "") {
		say("user and password_file come together")
	}
	if c.Timeout < 0 {
		say("timeout: %v is negative", c.Timeout)
	}
	return errors.Join(append(problems, c.TLS.Validate(), c.Format.Validate())...)
}

func isPort(s string) bool {
	n, err := strconv.ParseUint(s, 10, 16)
	return err == nil && n > 0
}

func validSubject(s string) bool {
	for _, word := range strings.Split(s, ".") {
		if word == "" || strings.ContainsFunc(word, func(r rune) bool {
			return r != '-' && r != '_' && (r < '0' || r > '9') && (r < 'a' || r > 'z') && (r < 'A' || r > 'Z')
		}) {
			return false
		}
	}
	return true
}

// Sink is a sinks.Sink and a sinks.Rewinder. One goroutine may call it.
type Sink struct {
	config Config

	conn   *nats.Conn
	js     jetstream.JetStream
	closed chan struct{}         // the connection is gone
	told   atomic.Pointer[error] // what the server said of it
	last   uint64                // sequence of the stream's last message
	at     engine.TrailPosition  // behind the last change that is in the stream
	run    uint64                // of HeaderRun
	broken error                 // why nothing may be written any more
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

// dialer ends a dial with the context.
type dialer struct {
	ctx     context.Context
	timeout time.Duration
}

func (d dialer) Dial(network, address string) (net.Conn, error) {
	return (&net.Dialer{Timeout: d.timeout}).DialContext(d.ctx, network, address)
}

// Open connects, and reads from the last message of the stream where to go on. A stream
// whose last message has been dropped (by its max_age) does not know: the group's note
// counts.
func (s *Sink) Open(ctx context.Context) (at engine.TrailPosition, known bool, err error) {
	ctx, cancel := context.WithTimeout(ctx, 2*s.config.Timeout)
	defer cancel()
	if err := s.connect(ctx); err != nil {
		return at, false, err
	}
	stream, err := s.js.Stream(ctx, s.config.Stream)
	if errors.Is(err, jetstream.ErrStreamNotFound) {
		return at, false, fmt.Errorf("there is no stream %s: make it, with the subject %s.>", s.config.Stream,
			s.config.Subject)
	}
	if err != nil {
		return at, false, s.plain("stream "+s.config.Stream, err)
	}
	info := stream.CachedInfo()
	if err := s.fits(&info.Config); err != nil {
		return at, false, err
	}
	s.last, s.at, s.run = info.State.LastSeq, engine.TrailPosition{}, 0
	if s.last == 0 {
		return at, true, nil
	}
	message, err := stream.GetMsg(ctx, s.last)
	if errors.Is(err, jetstream.ErrMsgNotFound) {
		return at, false, nil
	}
	if err != nil {
		return at, false, s.plain("the last message of stream "+s.config.Stream, err)
	}
	if s.at, err = cloudevents.ParsePosition(message.Header.Get(HeaderPosition)); err == nil {
		if run := message.Header.Get(HeaderRun); run != "" {
			s.run, err = strconv.ParseUint(run, 10, 64)
		}
	}
	if err != nil {
		return at, false, fmt.Errorf("message %d of stream %s, its last, is not this sink's (subject %s): nothing "+
			"else may publish to %s.>", s.last, s.config.Stream, message.Subject, s.config.Subject)
	}
	return s.at, true, nil
}

func (s *Sink) connect(ctx context.Context) error {
	closed := make(chan struct{})
	s.closed, s.broken = closed, nil
	s.told.Store(nil)
	options := []nats.Option{nats.Name("doorbuster"), nats.NoReconnect(), nats.Timeout(s.config.Timeout),
		nats.SetCustomDialer(dialer{ctx, s.config.Timeout}),
		nats.ClosedHandler(func(*nats.Conn) { close(closed) }),
		nats.ErrorHandler(func(_ *nats.Conn, _ *nats.Subscription, err error) { s.told.Store(&err) })}
	who, err := s.credentials()
	if err != nil {
		return err
	}
	tls, err := s.config.TLS.Config()
	if err != nil {
		return err
	}
	if tls != nil {
		who = append(who, nats.Secure(tls))
	}
	if s.conn, err = nats.Connect(strings.Join(s.config.Servers, ","), append(options, who...)...); err != nil {
		s.conn = nil
		return fmt.Errorf("connecting to NATS at %s: %w", strings.Join(s.config.Servers, ", "), err)
	}
	s.js, err = jetstream.New(s.conn, jetstream.WithPublishAsyncTimeout(s.config.Timeout),
		jetstream.WithPublishAsyncMaxPending(sinks.MaxBatch), jetstream.WithDefaultTimeout(s.config.Timeout))
	return err
}

func (s *Sink) credentials() ([]nats.Option, error) {
	switch c := &s.config; {
	case c.User != "":
		password, err := secure.Secret(c.PasswordFile)
		return []nats.Option{nats.UserInfo(c.User, password)}, err
	case c.TokenFile != "":
		token, err := secure.Secret(c.TokenFile)
		return []nats.Option{nats.Token(token)}, err
	case c.CredentialsFile != "":
		return []nats.Option{nats.UserCredentials(c.CredentialsFile)}, nil
	case c.NKeyFile != "":
		key, err := nats.NkeyOptionFromSeed(c.NKeyFile)
		return []nats.Option{key}, err
	}
	return nil, nil
}

// fits says what of a stream would lose changes or keep them from being taken.
func (s *Sink) fits(c *jetstream.StreamConfig) error {
	covered := len(c.Subjects) == 0 && c.Mirror == nil
	for _, pattern := range c.Subjects {
		covered = covered || covers(pattern, s.config.Subject+".session.kind")
	}
	switch {
	case !covered:
		return fmt.Errorf("stream %s takes the subjects %s: add %s.>", c.Name, strings.Join(c.Subjects, ", "),
			s.config.Subject)
	case c.Retention != jetstream.LimitsPolicy:
		return fmt.Errorf("stream %s drops a message once it has been read: its last one says where to go on, so its "+
			"retention must be limits", c.Name)
	case c.NoAck:
		return fmt.Errorf("stream %s acknowledges nothing: no_ack must be off", c.Name)
	case c.Sealed:
		return fmt.Errorf("stream %s is sealed", c.Name)
	}
	return nil
}

// covers reports whether a pattern of subjects takes one.
func covers(pattern, subject string) bool {
	words := strings.Split(subject, ".")
	patterns := strings.Split(pattern, ".")
	for i, p := range patterns {
		switch {
		case i == len(words):
			return false
		case p == ">":
			return true
		case p != "*" && p != words[i]:
			return false
		}
	}
	return len(patterns) == len(words)
}

// Rewind has what is written next begin at a position: nothing is taken out of the stream,
// the changes from there on come again, in a run of their own.
func (s *Sink) Rewind(_ context.Context, to engine.TrailPosition) error {
	s.at = to
	s.run++
	return nil
}

// Write publishes changes, all on their way at once: as each names the one before it, none
// is taken unless all before it were. After an error some of the first may be in the
// stream, and Open finds out.
func (s *Sink) Write(ctx context.Context, changes []sinks.Change, next engine.TrailPosition) error {
	if s.broken != nil {
		return s.broken
	}
	if err := s.write(ctx, changes, next); err != nil {
		s.broken = fmt.Errorf("not written since: %w", err) // where the stream ends is not known any more
		return err
	}
	return nil
}

func (s *Sink) write(ctx context.Context, changes []sinks.Change, next engine.TrailPosition) error {
	again := len(changes) > 0 && changes[0].TrailPosition.Before(s.at)
	futures := make([]jetstream.PubAckFuture, len(changes))
	for i := range changes {
		message, err := s.message(&changes[i], s.last+uint64(i), again)
		if err != nil {
			return err
		}
		after := changes[i].TrailPosition.Next()
		if again || i == len(changes)-1 {
			after = next
		}
		message.Header.Set(HeaderPosition, after.String())
		futures[i], err = s.js.PublishMsgAsync(message, jetstream.WithRetryAttempts(0),
			jetstream.WithExpectStream(s.config.Stream), jetstream.WithExpectLastSequence(s.last+uint64(i)))
		if err != nil {
			return s.plain("publishing event "+changes[i].ID(), err)
		}
	}
	for i, future := range futures {
		select {
		case ack := <-future.Ok():
			if ack.Duplicate || ack.Sequence != s.last+uint64(i)+1 {
				return fmt.Errorf("event %s was in stream %s already, as message %d: another node leads by now, and "+
					"has written", changes[i].ID(), s.config.Stream, ack.Sequence)
			}
		case err := <-future.Err():
			return s.refused(&changes[i], err)
		case <-s.closed:
			return s.plain("publishing event "+changes[i].ID(), nats.ErrConnectionClosed)
		case <-ctx.Done():
			return ctx.Err()
		}
	}
	s.last += uint64(len(changes))
	s.at = next
	return nil
}

// message gives a change as it is published behind the message with a sequence.
func (s *Sink) message(c *sinks.Change, behind uint64, again bool) (*nats.Msg, error) {
	event, err := s.config.Format.Encode(c)
	if err != nil {
		return nil, err
	}
	session := strings.ReplaceAll(c.Session, ".", "_")
	if session == "" {
		session = "_"
	}
	message := nats.NewMsg(s.config.Subject + "." + session + "." + cloudevents.Kind(c))
	message.Data = event
	message.Header.Set("Content-Type", cloudevents.ContentType)
	id := c.ID()
	if s.run > 0 { // else JetStream would take what an operator has sent again for a duplicate
		message.Header.Set(HeaderRun, strconv.FormatUint(s.run, 10))
		id += "/" + strconv.FormatUint(s.run, 10)
	}
	if again {
		id += "@" + strconv.FormatUint(behind, 10)
	}
	message.Header.Set(jetstream.MsgIDHeader, id)
	return message, nil
}

// refused says why the server did not take a change.
func (s *Sink) refused(c *sinks.Change, err error) error {
	var api *jetstream.APIError
	switch {
	case errors.As(err, &api) && api.ErrorCode == jetstream.JSErrCodeStreamWrongLastSequence:
		return fmt.Errorf("stream %s does not end where this node left off (%s): another node leads by now, or "+
			"something else publishes to %s.>", s.config.Stream, api.Description, s.config.Subject)
	case errors.Is(err, nats.ErrNoResponders):
		return fmt.Errorf("publishing event %s: stream %s has no leader now, or no longer takes %s.>", c.ID(),
			s.config.Stream, s.config.Subject)
	}
	return s.plain("publishing event "+c.ID(), err)
}

// plain adds what the server has said besides: of a permission that lacks, it says so
// aside, and the answer just does not come.
func (s *Sink) plain(what string, err error) error {
	if told := s.told.Load(); told != nil {
		return fmt.Errorf("%s: %w (%w)", what, err, *told)
	}
	return fmt.Errorf("%s: %w", what, err)
}

// Close ends the connection.
func (s *Sink) Close() error {
	if s.conn != nil {
		s.conn.Close()
		s.conn = nil
	}
	return nil
}
