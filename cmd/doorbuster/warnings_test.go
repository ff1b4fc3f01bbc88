package main

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// TestWarningsConfig: receivers are read, and what is wrong with them is told before anything
// breaks, each with its place.
func TestWarningsConfig(t *testing.T) {
	read := func(text string) (Config, error) {
		file := filepath.Join(t.TempDir(), "node.yaml")
		if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		return load(t, "--config", file, "--data", t.TempDir(), "--dev")
	}
	c, err := read(`
warnings:
  repeat: 1m
  receivers:
  - {name: chat, url: "https://chat.example/hook?key=1", secret_file: s, body: '{"text":{{json .Text}}}',
     headers: ["X-Team: ops"]}
`)
	if err != nil || len(c.Warnings.Receivers) != 1 || c.Warnings.Receivers[0].Severity != "tell" {
		t.Fatalf("%+v, %v", c.Warnings, err)
	}
	_, err = read(`
warnings:
  repeat: 1ms
  receivers:
  - {name: chat, url: "ftp://chat.example", secret_file: s, body: '{"text":"{{.Text}}"}'}
  - {name: chat, url: "https://chat.example", severity: shout, headers: ["Webhook-Id: 1"], allow_addresses: [x],
     body: '{{range 10000000}}{{end}}'}
`)
	for _, want := range []string{"warnings.repeat: 1ms is not between", "warnings.receivers[0].url: it must be like",
		"warnings.receivers[0].body: what comes of it is no JSON", `warnings.receivers[1].name: warnings.receivers[0] is`,
		`warnings.receivers[1].severity: "shout" is none of`, "warnings.receivers[1].headers: Webhook-Id is not to be set",
		"warnings.receivers[1].secret_file:", "warnings.receivers[1].allow_addresses:",
		"warnings.receivers[1].body: it has range"} {
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("no %q in:\n%v", want, err)
		}
	}
}
