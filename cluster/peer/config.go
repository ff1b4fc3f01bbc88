package peer

import (
	"errors"
	"fmt"
	"log/slog"
	"net"
	"strconv"
	"strings"

	"doorbuster/engine"
)

// Hello is what a node says of itself when it meets another.
type Hello struct {
	Cluster string `json:"cluster,omitempty"`
	Node    string `json:"node,omitempty"`
	// Generation of the cluster that the node belongs to: how often a surviving zone was
	// promoted, and 1. 0: it is fresh and has none yet, and so is neither older nor newer
	// than anybody.
	Generation uint64 `json:"generation,omitempty"`
	Past
	// To is whom the caller wants to reach, if it knows.
	To string `json:"to,omitempty"`
}

// Past is by which nodes tell a data directory from others, and from older copies of
// itself.
type Past struct {
	// Incarnation is random and made with the directory: the same node with another
	// one is another node, that knows nothing of what this one acknowledged.
	Incarnation string `json:"incarnation,omitempty"`
	// Life is random and made at each start of the node. Starts counts the starts of
	// its directory, and Lives are the last of them, this one at the end.
	Life   string  `json:"life,omitempty"`
	Starts uint64  `json:"starts,omitempty"`
	Lives  []Start `json:"lives,omitempty"`
}

// Start is a start of a node's directory: which, and where its log ended then.
type Start struct {
	Count uint64 `json:"n"`
	Term  uint64 `json:"term"`
	Index uint64 `json:"index"`
}

// maxIncarnationBytes bounds an incarnation, and a life.
const maxIncarnationBytes = 128

// CheckID tells what is wrong with an id, which the error calls what.
func CheckID(what, id string) error {
	if engine.ValidID(id) {
		return nil
	}
	return fmt.Errorf("%s %q is not 1 to %d letters, digits, dots, dashes or underscores", what, id, engine.MaxIDBytes)
}

// check tells what no Hello may have.
func (h Hello) check() error {
	errs := []error{CheckID("cluster id", h.Cluster), CheckID("node id", h.Node)}
	if h.To != "" {
		errs = append(errs, CheckID("the node id wanted", h.To))
	}
	for what, value := range map[string]string{"incarnation": h.Incarnation, "life": h.Life} {
		if len(value) > maxIncarnationBytes || strings.ContainsFunc(value, unprintable) {
			errs = append(errs, fmt.Errorf("the %s is not at most %d printable characters", what, maxIncarnationBytes))
		}
	}
	return errors.Join(errs...)
}

// unprintable reports whether r is not of printable ASCII.
func unprintable(r rune) bool { return r < ' ' || r > '~' }

// Config of a Port. Identity and Logger are required.
type Config struct {
	// Listen is the host:port to listen on; port 0 takes any.
	Listen string
	// Advertise is the host:port that other nodes reach this one at. Default:
	// what is listened on.
	Advertise string
	// Identity tells who this node is. It is asked at each handshake, so that a
	// new generation counts at once; follow a change with DropConnections. It
	// must not block, nor call the Port.
	Identity func() Hello
	// Admit is asked about a peer on both sides, after this package's own checks.
	// A *Refusal is told to the peer as it is, any other error as code "other".
	// Nil admits whom this package admits.
	Admit func(peer Hello) error
	// Whom tells which node id an address should be of, "" if that is not known.
	// A node that answers there under another id is refused. May be nil.
	Whom func(addr string) string
	// Refused is told, before the dial returns, when a peer turned this node
	// away. The codes CodeGeneration and CodeSuperseded mean that this node is
	// the old one and has to stop: under TLS they are only passed on from a peer
	// whose certificate proves who says so. It must not block, nor call Close.
	// May be nil.
	Refused func(addr string, why *Refusal)
	// TLS names the certificates. Nil: connections are neither encrypted nor
	// authenticated, which is for trying out on one machine only.
	TLS    *Files
	Logger *slog.Logger
}

// Files are the PEM files of a node's certificate and key, and of the CAs whose
// certificates it takes from others.
type Files struct{ CA, Cert, Key string }

// validate tells everything that is missing or out of bounds.
func (c Config) validate() error {
	var errs []error
	if c.Identity == nil {
		errs = append(errs, errors.New("no identity"))
	} else if err := c.Identity().check(); err != nil {
		errs = append(errs, err)
	}
	if c.Logger == nil {
		errs = append(errs, errors.New("no logger"))
	}
	if err := checkAddress(c.Listen, false); err != nil {
		errs = append(errs, fmt.Errorf("listen: %w", err))
	}
	if c.Advertise != "" {
		if err := checkAddress(c.Advertise, true); err != nil {
			errs = append(errs, fmt.Errorf("advertise: %w", err))
		}
	}
	if c.TLS != nil && (c.TLS.CA == "" || c.TLS.Cert == "" || c.TLS.Key == "") {
		errs = append(errs, errors.New("TLS needs all of a CA, a certificate and a key file"))
	}
	return errors.Join(errs...)
}

// checkAddress wants host:port; one to dial must name both.
func checkAddress(addr string, dialled bool) error {
	host, port, err := net.SplitHostPort(addr)
	if err != nil {
		return fmt.Errorf("%q is not host:port", addr)
	}
	number, err := strconv.ParseUint(port, 10, 16)
	if err != nil {
		return fmt.Errorf("%q: the port is not a number up to 65535", addr)
	}
	if !dialled {
		return nil
	}
	if ip := net.ParseIP(host); host == "" || ip != nil && ip.IsUnspecified() {
		return fmt.Errorf("%q names no host that others could reach; advertise one", addr)
	}
	if number == 0 {
		return fmt.Errorf("%q names no port", addr)
	}
	return nil
}
