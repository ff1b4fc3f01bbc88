package main

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"doorbuster/cmd/doorbuster/nodetest"
	"doorbuster/cmd/doorbuster/settings"
)

// TestBadSettingsInPlainWords: flags, files and variables that can't be read are named
// with what they should be, and not in Go's words.
func TestBadSettingsInPlainWords(t *testing.T) {
	file := filepath.Join(t.TempDir(), "node.yaml")
	if err := os.WriteFile(file, []byte("connections: many\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	for want, args := range map[string][]string{
		`--connections: "many" is not a whole number`:              {"serve", "--connections", "many"},
		`--cashier-timeout: "soon" is not a duration such as 1.5s`: {"serve", "--cashier-timeout", "soon"},
		file + `:1: connections: "many" is not a whole number`:     {"serve", "--config", file, "--data", t.TempDir()},
		`--timeout: "x" is not a duration`: {"reconcile", "-", "--admin", "127.0.0.1:1",
			"--timeout", "x"},
	} {
		status, _, errs := runTool(t, "", args...)
		if status != 2 || !strings.Contains(errs, want) || strings.Contains(errs, "strconv") ||
			strings.Contains(errs, "parsing") {
			t.Errorf("%v: status %d, %s; want %s", args, status, errs, want)
		}
	}
}

// TestSettingsAreNeverCut: a whole number takes no fraction, a duration no bare number,
// and a name stays as it is written, from a flag, a file and a variable.
func TestSettingsAreNeverCut(t *testing.T) {
	noEnvironment(t)
	settingsOf(t, func(set *settings.Setting, f *pflag.Flag) {
		bad := map[string]string{"7.9": "is not a whole number", "1.5e3": "is not a whole number",
			"true": "is not a whole number"}
		switch f.Value.Type() {
		case "duration":
			bad = map[string]string{"75": "has no unit; give one, such as 75s",
				"7.5": "has no unit; give one, such as 7.5s"}
		case "bool":
			bad = map[string]string{"2": "is not true or false"}
		case "int", "int64":
		default:
			return
		}
		for value, says := range bad {
			says = fmt.Sprintf("%q %s", value, says)
			if status, _, errs := runTool(t, "", "serve", "--"+f.Name+"="+value); status != 2 ||
				!strings.Contains(errs, "--"+f.Name+": "+says) {
				t.Errorf("flag %s: status %d, %s", f.Name, status, errs)
			}
			file, line := nodetest.TempFile(t, nested(set.Key, value)+"\n"), 1+strings.Count(set.Key, ".")
			if _, err := load(t, "--config", file); !saysLine(err,
				fmt.Sprintf("%s:%d: %s: %s", file, line, set.Key, says)) {
				t.Errorf("file: %v", err)
			}
			t.Setenv(set.Variable(envPrefix), value)
			if _, err := load(t); !saysLine(err, set.Variable(envPrefix)+": "+says) {
				t.Errorf("environment: %v", err)
			}
			t.Setenv(set.Variable(envPrefix), "")
		}
	})
	if cfg, err := load(t, "--data", "/x", "--dev", "--config",
		nodetest.TempFile(t, "node: 007\nzone: 1.10\nrisk: {list_share: 7}\n")); err != nil || cfg.Node != "007" ||
		cfg.Zone != "1.10" || cfg.Risk.ListShare != 7 {
		t.Errorf("%v %+v", err, cfg)
	}
}

// TestNoTimeBelowZero: no command takes a duration under zero, whatever else it is told.
func TestNoTimeBelowZero(t *testing.T) {
	tried := 0
	var try func(c *cobra.Command)
	try = func(c *cobra.Command) {
		for _, sub := range c.Commands() {
			try(sub)
		}
		c.Flags().VisitAll(func(f *pflag.Flag) {
			if f.Value.Type() != "duration" {
				return
			}
			for _, arguments := range [][]string{nil, {"x"}, {"x", "y"}} {
				args := append(append(strings.Fields(c.CommandPath())[1:], "--"+f.Name+"=-1s"), arguments...)
				status, _, errs := runTool(t, "", args...)
				if status != 2 {
					t.Errorf("%v: status %d, %s", args, status, errs)
				}
				if strings.Contains(errs, "--"+f.Name+": -1s is under 0s") {
					tried++
					return
				}
			}
		})
	}
	try(newRootCommand())
	if tried < 50 {
		t.Errorf("only %d flags were tried", tried)
	}
}
