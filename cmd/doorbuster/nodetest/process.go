package nodetest

import (
	"context"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"runtime/debug"
	"strings"
	"sync"
	"syscall"
	"testing"
)

// Main is a TestMain: it runs a package's tests, and removes the program that
// was built for them.
func Main(m *testing.M) {
	status := m.Run()
	if buildDir != "" {
		_ = os.RemoveAll(buildDir)
	}
	os.Exit(status)
}

// Command is the program as a command to be started.
func Command(t *testing.T, args ...string) *exec.Cmd {
	t.Helper()
	return CommandOf(t, builtProgram(t), args...)
}

// CommandOf is another program as a command to be started.
func CommandOf(t *testing.T, path string, args ...string) *exec.Cmd {
	t.Helper()
	c := exec.Command(path, args...)
	c.Dir = t.TempDir()
	// A test binary that dies must not leave servers behind.
	c.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	return c
}

// runBuilt is the program that is built from the sources, as a function.
func runBuilt(ctx context.Context, args []string, stdin io.Reader, stdout, stderr io.Writer) int {
	path, err := build()
	if err != nil {
		fmt.Fprintln(stderr, err)
		return -1
	}
	c := exec.CommandContext(ctx, path, args...)
	c.Stdin, c.Stdout, c.Stderr = stdin, stdout, stderr
	c.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	if err := c.Run(); c.ProcessState == nil {
		fmt.Fprintln(stderr, err)
		return -1
	}
	return c.ProcessState.ExitCode()
}

// builtProgram is the path of the program, which the first who asks builds.
func builtProgram(t *testing.T) string {
	t.Helper()
	path, err := build()
	if err != nil {
		t.Fatal(err)
	}
	return path
}

// buildDir is what Main removes: where the program is.
var buildDir string

// build makes the program of the sources, with the race detector and the tags that
// the tests themselves were built with.
var build = sync.OnceValues(func() (path string, err error) {
	if buildDir, err = os.MkdirTemp("", "doorbuster"); err != nil {
		return "", err
	}
	path = filepath.Join(buildDir, "doorbuster")
	var flags []string
	info, _ := debug.ReadBuildInfo()
	for _, s := range info.Settings {
		if s.Key == "-race" || s.Key == "-tags" {
			flags = append(flags, s.Key+"="+s.Value)
		}
		if s.Key == "-race" { // slow in any case, and by the profile all it imports would be built once more
			flags = append(flags, "-pgo=off")
		}
	}
	return path, Build(path, flags...)
})

// Build makes the program at path, with further flags of "go build".
func Build(path string, flags ...string) error {
	args := append([]string{"build", "-buildvcs=false", "-o", path}, flags...)
	if _, err := goTool(append(args, programPackage)...); err != nil {
		return err
	}
	return dependOnSources(flags)
}

const programPackage = "doorbuster/cmd/doorbuster"

// dependOnSources looks at every file that the program is built from, and at their
// directories: so "go test" knows that the outcome depends on them, and runs a test
// whose program has changed instead of telling what it told of another.
func dependOnSources(flags []string) error {
	const files = `{{if not .Standard}}{{if .Module}}{{if .Module.Main}}{{$d := .Dir}}{{$d}}{{range .GoFiles}}
{{$d}}/{{.}}{{end}}{{range .EmbedFiles}}
{{$d}}/{{.}}{{end}}{{end}}{{end}}{{end}}`
	list, err := goTool(append(append([]string{"list", "-deps"}, flags...), "-f", files, programPackage)...)
	if err != nil {
		return err
	}
	for _, name := range strings.FieldsFunc(list, func(r rune) bool { return r == '\n' }) {
		if _, err := os.Stat(name); err != nil {
			return err
		}
	}
	return nil
}

func goTool(args ...string) (stdout string, err error) {
	var out, errs strings.Builder
	c := exec.Command("go", args...)
	c.Stdout, c.Stderr = &out, &errs
	if err := c.Run(); err != nil {
		return "", fmt.Errorf("%v: %w\n%s", c, err, errs.String())
	}
	return out.String(), nil
}
