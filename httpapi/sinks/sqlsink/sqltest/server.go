package sqltest

import (
	"bytes"
	"context"
	"database/sql"
	"errors"
	"fmt"
	"math/rand/v2"
	"net"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	mysql "github.com/go-sql-driver/mysql"
	_ "github.com/jackc/pgx/v5/stdlib" // database/sql's driver "pgx"
)

// Kind is a server's: the names of the kinds of sinks.
type Kind string

// The kinds of servers.
const (
	Postgres Kind = "postgres"
	MySQL    Kind = "mysql"
)

// Password is that of User, who may do anything, and of whoever else a test makes.
const (
	User     = "shop"
	Password = "open sesame"
)

// patience is how long a server may take for what it does at once on a quiet machine.
const patience = 2 * time.Minute

// Server is a database server, running or not.
type Server struct {
	Kind Kind
	Addr string // host and port
	tb   testing.TB
	dir  string
	own  *syscall.SysProcAttr // whose processes its are

	mu   sync.Mutex
	proc *exec.Cmd
	said *bytes.Buffer
	done chan struct{}
}

// Start makes a server and waits until it serves. The test is skipped where there is none.
func Start(tb testing.TB, kind Kind) *Server {
	tb.Helper()
	Require(tb, kind)
	dir, err := os.MkdirTemp("", "sql") // short: a socket's path has 107 bytes
	if err != nil {
		tb.Fatal(err)
	}
	tb.Cleanup(func() { _ = os.RemoveAll(dir) })
	s := &Server{Kind: kind, tb: tb, dir: dir, Addr: freeAddress(tb)}
	if s.own, err = unprivileged(dir); err != nil {
		tb.Skipf("no user to run a server as: %v", err)
	}
	switch kind {
	case Postgres:
		s.makePostgres()
	case MySQL:
		s.makeMariaDB()
	default:
		tb.Fatalf("no such kind: %s", kind)
	}
	tb.Cleanup(s.Kill)
	s.Start()
	return s
}

// freeAddress finds a port on loopback that nobody listens at, and that the kernel gives
// nobody who asks for any: the server is to have it again after it was killed.
func freeAddress(tb testing.TB) string {
	tb.Helper()
	for range 1000 {
		addr := fmt.Sprintf("127.0.0.1:%d", 15_000+rand.IntN(15_000))
		if ln, err := net.Listen("tcp", addr); err == nil {
			_ = ln.Close()
			return addr
		}
	}
	tb.Fatal("no free port")
	return ""
}

// programs are what a server takes: each by one of its names.
var programs = map[Kind][][]string{
	Postgres: {{"initdb"}, {"postgres"}},
	MySQL:    {{"mariadb-install-db", "mysql_install_db"}, {"mariadbd", "mysqld"}},
}

// find gives the path of a program; "" if it is not installed.
func find(names []string) string {
	for _, name := range names {
		if path, err := exec.LookPath(name); err == nil {
			return path
		}
		for _, pattern := range []string{"/usr/lib/postgresql/*/bin/", "/usr/sbin/", "/usr/local/pgsql/bin/"} {
			if found, _ := filepath.Glob(pattern + name); len(found) > 0 {
				return found[len(found)-1]
			}
		}
	}
	return ""
}

// Has reports whether servers of a kind can be started here.
func Has(kind Kind) bool {
	for _, names := range programs[kind] {
		if find(names) == "" {
			return false
		}
	}
	return true
}

// Require skips a test where servers of a kind can't be had.
func Require(tb testing.TB, kind Kind) {
	tb.Helper()
	if !Has(kind) {
		tb.Skipf("no %s is installed: 'make tools' installs it", programs[kind][1][0])
	}
}

func (s *Server) run(path string, args ...string) {
	s.tb.Helper()
	c := exec.Command(path, args...)
	c.Dir, c.SysProcAttr = s.dir, s.own
	c.Env = append(os.Environ(), "HOME="+s.dir, "LC_ALL=C")
	if out, err := c.CombinedOutput(); err != nil {
		s.tb.Fatalf("%s: %v\n%s", path, err, out)
	}
}

func (s *Server) makePostgres() {
	s.tb.Helper()
	initdb, password := find(programs[Postgres][0]), filepath.Join(s.dir, "password")
	if err := os.WriteFile(password, []byte(Password+"\n"), 0o644); err != nil {
		s.tb.Fatal(err)
	}
	s.run(initdb, "-D", filepath.Join(s.dir, "data"), "-U", User, "-A", "scram-sha-256", "--pwfile", password,
		"-E", "UTF8", "--locale=C", "-N")
}

func (s *Server) makeMariaDB() {
	s.tb.Helper()
	install := find(programs[MySQL][0])
	s.run(install, "--no-defaults", "--datadir="+filepath.Join(s.dir, "data"), "--skip-test-db",
		"--auth-root-authentication-method=normal")
	grant := fmt.Sprintf("CREATE USER IF NOT EXISTS %s@'%%' IDENTIFIED BY '%s';\nGRANT ALL ON *.* TO %[1]s@'%%' "+
		"WITH GRANT OPTION;\n", User, Password)
	if err := os.WriteFile(filepath.Join(s.dir, "init.sql"), []byte(grant), 0o644); err != nil {
		s.tb.Fatal(err)
	}
}

// command is what serves.
func (s *Server) command(more []string) *exec.Cmd {
	_, port, _ := net.SplitHostPort(s.Addr)
	data, path := filepath.Join(s.dir, "data"), find(programs[s.Kind][1])
	if s.Kind == Postgres {
		return exec.Command(path, append([]string{"-D", data, "-p", port, "-h", "127.0.0.1",
			"-c", "unix_socket_directories=", "-c", "max_connections=30"}, more...)...)
	}
	return exec.Command(path, append([]string{"--no-defaults", "--datadir=" + data,
		"--port=" + port, "--bind-address=127.0.0.1", "--socket=" + filepath.Join(s.dir, "socket"),
		"--pid-file=" + filepath.Join(s.dir, "pid"), "--init-file=" + filepath.Join(s.dir, "init.sql"),
		"--skip-name-resolve", "--innodb-buffer-pool-size=256M", "--innodb-log-file-size=256M"}, more...)...)
}

// Start starts the server, with further flags, and waits until it serves.
func (s *Server) Start(more ...string) {
	s.tb.Helper()
	deadline := time.Now().Add(patience)
	var err error
	for {
		s.launch(more)
		if err = s.awaitUp(deadline); err == nil {
			return
		}
		s.Kill()
		if time.Now().After(deadline) {
			s.tb.Fatalf("%s does not serve: %v\n%s", s.Kind, err, s.Said())
		}
	}
}

func (s *Server) launch(more []string) {
	s.tb.Helper()
	c := s.command(more)
	said, done := &bytes.Buffer{}, make(chan struct{})
	c.Dir, c.SysProcAttr = s.dir, s.own
	c.Stdout, c.Stderr = said, said
	c.Env = append(os.Environ(), "HOME="+s.dir, "LC_ALL=C")
	if err := c.Start(); err != nil {
		s.tb.Fatal(err)
	}
	s.mu.Lock()
	s.proc, s.said, s.done = c, said, done
	s.mu.Unlock()
	go func() {
		_ = c.Wait()
		close(done)
	}()
}

// awaitUp waits until the server answers; an error if it ends before, or takes too long.
func (s *Server) awaitUp(deadline time.Time) error {
	db, err := s.connect(s.anyDatabase())
	if err != nil {
		return err
	}
	defer db.Close()
	for {
		ctx, cancel := context.WithTimeout(context.Background(), 5*time.Second)
		err := db.PingContext(ctx)
		cancel()
		if err == nil {
			return nil
		}
		select {
		case <-s.done:
			return fmt.Errorf("it ended: %w", err)
		case <-time.After(20 * time.Millisecond):
		}
		if time.Now().After(deadline) {
			return err
		}
	}
}

// Said is what the server has said since it was started; to be asked when it has ended.
func (s *Server) Said() string {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.said == nil {
		return ""
	}
	<-s.done
	return s.said.String()
}

// Kill ends the server and all of its processes at once, as a loss of power to them does.
func (s *Server) Kill() {
	s.mu.Lock()
	proc, done := s.proc, s.done
	s.proc = nil
	s.mu.Unlock()
	if proc == nil {
		return
	}
	// Stopped first, it can't start another child while its children are looked for.
	_ = proc.Process.Signal(syscall.SIGSTOP)
	children := childrenOf(proc.Process.Pid)
	_ = proc.Process.Kill()
	<-done
	for _, pid := range children {
		_ = syscall.Kill(pid, syscall.SIGKILL)
	}
	for deadline := time.Now().Add(patience); time.Now().Before(deadline); time.Sleep(5 * time.Millisecond) {
		alive := false
		for _, pid := range children {
			alive = alive || syscall.Kill(pid, 0) == nil && !isZombie(pid)
		}
		if !alive {
			return
		}
	}
}

// Signal is for SIGSTOP and SIGCONT: a server that hangs, with all of its processes.
func (s *Server) Signal(sig syscall.Signal) {
	s.tb.Helper()
	s.mu.Lock()
	defer s.mu.Unlock()
	if err := s.proc.Process.Signal(sig); err != nil {
		s.tb.Fatal(err)
	}
	for _, pid := range childrenOf(s.proc.Process.Pid) {
		_ = syscall.Kill(pid, sig)
	}
}

// childrenOf gives the processes that a process has started, by the kernel's own list; none
// where it has none.
func childrenOf(pid int) (children []int) {
	lists, _ := filepath.Glob(fmt.Sprintf("/proc/%d/task/*/children", pid))
	for _, list := range lists {
		text, _ := os.ReadFile(list)
		for _, field := range strings.Fields(string(text)) {
			if child, err := strconv.Atoi(field); err == nil {
				children = append(children, child)
			}
		}
	}
	return children
}

func isZombie(pid int) bool {
	text, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	_, state, ok := strings.Cut(string(text), ") ")
	return err == nil && ok && strings.HasPrefix(state, "Z")
}

func (s *Server) anyDatabase() string {
	if s.Kind == Postgres {
		return "postgres"
	}
	return "mysql"
}

// URL of a database for a user, without a password, at another address than the server's own
// if at is not "".
func (s *Server) URL(user, database, at string) string {
	if at == "" {
		at = s.Addr
	}
	u := url.URL{Scheme: string(s.Kind), User: url.User(user), Host: at, Path: "/" + database}
	if s.Kind == Postgres {
		u.RawQuery = "sslmode=disable"
	}
	return u.String()
}

func (s *Server) connect(database string) (*sql.DB, error) {
	if s.Kind == Postgres {
		u, err := url.Parse(s.URL(User, database, ""))
		if err != nil {
			return nil, err
		}
		u.User = url.UserPassword(User, Password)
		return sql.Open("pgx", u.String())
	}
	c := mysql.NewConfig()
	c.User, c.Passwd, c.Net, c.Addr, c.DBName = User, Password, "tcp", s.Addr, database
	c.ParseTime, c.Loc, c.Logger = true, time.UTC, &mysql.NopLogger{}
	c.MultiStatements = true
	connector, err := mysql.NewConnector(c)
	if err != nil {
		return nil, err
	}
	return sql.OpenDB(connector), nil
}

// Database makes a database, and gives a way into it as User that ends with the test.
func (s *Server) Database(tb testing.TB, name string) *sql.DB {
	tb.Helper()
	any, err := s.connect(s.anyDatabase())
	if err != nil {
		tb.Fatal(err)
	}
	defer any.Close()
	if _, err := any.Exec("CREATE DATABASE " + name); err != nil {
		tb.Fatal(err)
	}
	db, err := s.connect(name)
	if err != nil {
		tb.Fatal(err)
	}
	tb.Cleanup(func() { _ = db.Close() })
	return db
}

var errNobody = errors.New("there is neither a user nobody nor another one")
