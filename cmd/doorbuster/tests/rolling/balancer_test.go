package rolling

import (
	"fmt"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"syscall"
	"testing"
	"time"

	"doorbuster/cmd/doorbuster/nodetest"
)

// balancers are the programs that the examples have configurations for.
var balancers = []struct {
	name, file string
	args       func(config, scratch string) []string
	few        [2]string // what bounds the connections of one address, and a small bound
}{
	{"haproxy", "haproxy.cfg", func(config, _ string) []string {
		return []string{"-db", "-f", config}
	}, [2]string{"gt 1000", "gt 3"}},
	{"nginx", "nginx.conf", func(config, scratch string) []string {
		return []string{"-e", "stderr", "-p", scratch, "-c", config, "-g", "daemon off; pid " + scratch + "/nginx.pid;"}
	}, [2]string{"addresses 1000;", "addresses 3;"}},
}

var examplesDir = filepath.Join(nodetest.Root(), "examples", "two-rooms")

// installed finds an installed program, or skips the test.
func installed(t *testing.T, name string) string {
	t.Helper()
	for _, path := range []string{name, "/usr/sbin/" + name} {
		if found, err := exec.LookPath(path); err == nil {
			return found
		}
	}
	t.Skip(name + " is not installed")
	return ""
}

// exampleServer is a server in an example's configuration: what comes before its
// address, that, and the rest.
var exampleServer = regexp.MustCompile(`(?m)^(\s*server (?:\w+ )?)(\d[\d.]+:8080)(.*)$`)

// exampleNodes are the example's nodes by their shoppers' address.
func exampleNodes(t *testing.T) map[string]string {
	t.Helper()
	nodes := map[string]string{}
	for _, id := range []string{"a1", "a2", "b1"} {
		text, err := os.ReadFile(filepath.Join(examplesDir, id+".yaml"))
		if err != nil {
			t.Fatal(err)
		}
		nodes[regexp.MustCompile(`(?m)^http: (\S+)`).FindStringSubmatch(string(text))[1]] = id
	}
	return nodes
}

// openBalancer runs a balancer with an example's configuration, but for addresses,
// what tests need to change, and how many files a test's process may open. at gives
// where a node takes shoppers, and operators. It gives the front's address.
func openBalancer(t *testing.T, which int, at func(node string) (shoppers, operators string),
	changes ...string) string {
	t.Helper()
	b := balancers[which]
	binary, scratch := installed(t, b.name), t.TempDir()
	text, err := os.ReadFile(filepath.Join(examplesDir, b.file))
	if err != nil {
		t.Fatal(err)
	}
	front := nodetest.Address(t)
	config := strings.NewReplacer(append([]string{"bind :8000", "bind " + front, "listen 8000 reuseport", "listen " +
		front, "maxconn 100000", "maxconn 1000",
		"worker_rlimit_nofile 200000;", "", "worker_connections 50000", "worker_connections 1000",
		// With --dev, operators are answered only under a loopback name; and a machine
		// that runs tests may be busy for long.
		"uri /readyz", "uri /readyz ver HTTP/1.1 hdr Host localhost", "timeout check 1s", "timeout check 10s",
		"timeout connect 500ms", "timeout connect 5s",
		"proxy_connect_timeout 500ms", "proxy_connect_timeout 5s"}, changes...)...).Replace(string(text))
	nodes := exampleNodes(t)
	config = exampleServer.ReplaceAllStringFunc(config, func(line string) string {
		part := exampleServer.FindStringSubmatch(line)
		node := nodes[part[2]]
		if node == "" {
			t.Fatalf("%s: no node of the example has the address in %q", b.file, line)
		}
		shoppers, operators := at(node)
		if b.name == "haproxy" {
			_, check, _ := net.SplitHostPort(operators)
			part[3] += " port " + check
		}
		return part[1] + shoppers + part[3]
	})
	path := filepath.Join(scratch, b.file)
	if err := os.WriteFile(path, []byte(config), 0o600); err != nil {
		t.Fatal(err)
	}
	c := exec.Command(binary, b.args(path, scratch)...)
	logs := nodetest.NewLogBook()
	c.Stdout, c.Stderr = logs, logs
	c.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	if err := c.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		c.Process.Signal(syscall.SIGTERM) // nginx ends its workers by it
		ended := time.AfterFunc(nodetest.Patience, func() { c.Process.Kill() })
		c.Wait()
		ended.Stop()
		if t.Failed() {
			t.Logf("%s said:\n%s", b.name, nodetest.TailOf(logs.String(), 8000))
		}
	})
	for deadline := time.Now().Add(nodetest.Patience); ; time.Sleep(10 * time.Millisecond) {
		if conn, err := net.Dial("tcp", front); err == nil {
			conn.Close()
			return front
		} else if time.Now().After(deadline) {
			t.Fatalf("%s does not listen: %v", b.name, err)
		}
	}
}

// TestBalancersOfTheExamples: behind the real balancers, configured as the examples
// have it, many shoppers come over the balancer's one address, and neither its
// connections nor its shoppers count as one; who comes often is counted by their own
// address, whatever they say; and who opens too many connections is turned away.
func TestBalancersOfTheExamples(t *testing.T) {
	const shoppers = 8
	for which, b := range balancers {
		t.Run(b.name, func(t *testing.T) {
			installed(t, b.name)
			s := nodetest.Open(t, t.TempDir(), "--trusted-proxies", "127.0.0.1", "--connections-per-ip", "2",
				"--rate-limit-address-per-second", "0.01", "--rate-limit-address-burst", "1")
			s.Apply(nodetest.DayPlan("", 1000))
			front := openBalancer(t, which, func(string) (string, string) {
				return strings.TrimPrefix(s.HTTP, "http://"), s.Admin
			}, b.few[0], b.few[1])
			// Each shopper has an address, and keeps an event stream open.
			from := func(last int) *http.Client {
				dialer := &net.Dialer{LocalAddr: &net.TCPAddr{IP: net.IPv4(127, 0, 0, byte(last))}}
				return &http.Client{Timeout: nodetest.Patience,
					Transport: &http.Transport{DialContext: dialer.DialContext}}
			}
			ask := func(by *http.Client, method, path, who string) (status int, leave func()) {
				t.Helper()
				r, err := http.NewRequest(method, "http://"+front+path, nil)
				if err != nil {
					t.Fatal(err)
				}
				r.Header.Set("X-Shopper-Id", who)
				r.Header.Set("X-Forwarded-For", "203.0.113.77") // nobody believes it
				answer, err := by.Do(r)
				if err != nil {
					t.Fatal(err)
				}
				return answer.StatusCode, func() { answer.Body.Close() }
			}
			// A balancer that has just begun may not have looked at its servers yet.
			looks := from(100)
			s.Eventually(func() bool {
				status, leave := ask(looks, "GET", "/v1/time", "nobody")
				leave()
				return status == 200
			}, func() string { return "nothing is answered" })
			const grab = "/v1/sessions/day/skus/sku-1/grab"
			for i := range shoppers {
				client, who := from(2+i), fmt.Sprint("s", i)
				status, leave := ask(client, "GET", "/v1/events", who)
				defer leave()
				if status != 200 {
					t.Errorf("stream %d: %d", i, status)
				}
				if status, leave := ask(client, "POST", grab, who); status != 200 {
					t.Errorf("the first grab of %s: %d", who, status)
				} else {
					leave()
				}
			}
			if granted := s.Metric(`doorbuster_grabs_total{code="granted"}`); granted != fmt.Sprint(shoppers) {
				t.Errorf("%s of %d were granted: an address is another's", granted, shoppers)
			}
			_, leave := ask(from(2), "POST", grab, "another")
			leave()
			if limited := s.Metric(`doorbuster_rate_limited_total{by="address"}`); limited != "1" {
				t.Errorf("the second grab of an address: %s limited", limited)
			}
			// One address, each request over a connection of its own that stays open.
			statuses := map[int]int{}
			for i := range 6 {
				status, leave := ask(from(200), "GET", "/v1/events", fmt.Sprint("t", i))
				defer leave()
				statuses[status]++
			}
			if statuses[200] != 3 || statuses[429] != 3 {
				t.Errorf("six connections of one address, three allowed: %v", statuses)
			}
		})
	}
}
