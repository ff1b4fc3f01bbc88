package main

import (
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/spf13/pflag"
	yamlnode "go.yaml.in/yaml/v3"
)

const twoRoomsDir = "../../examples/two-rooms"

// twoRoomsConfigs are the example's nodes, as the program reads them.
func twoRoomsConfigs(t *testing.T) []Config {
	t.Helper()
	var all []Config
	for _, id := range []string{"a1", "a2", "b1"} {
		flags := pflag.NewFlagSet("serve", pflag.ContinueOnError)
		addConfigFlags(flags)
		if err := flags.Parse([]string{"--config", filepath.Join(twoRoomsDir, id+".yaml")}); err != nil {
			t.Fatal(err)
		}
		cfg, err := loadConfig(flags)
		if err != nil {
			t.Fatalf("%s: %v", id, err)
		}
		if cfg.Node != id {
			t.Errorf("%s.yaml is of %s", id, cfg.Node)
		}
		all = append(all, cfg)
	}
	return all
}

// TestTwoRoomsConfigs: the configs pass the program's own checks, and agree.
func TestTwoRoomsConfigs(t *testing.T) {
	all := twoRoomsConfigs(t)
	for _, cfg := range all {
		if !slices.Equal(cfg.Cluster.Nodes, all[0].Cluster.Nodes) || cfg.Cluster.ID != all[0].Cluster.ID ||
			cfg.Cluster.ZoneAck != all[0].Cluster.ZoneAck {
			t.Errorf("%s begins another cluster than %s", cfg.Node, all[0].Node)
		}
		i := slices.IndexFunc(cfg.Cluster.Nodes, func(n NodeConfig) bool { return n.ID == cfg.Node })
		if i < 0 || cfg.Cluster.Nodes[i].Peer != cfg.Peer || cfg.Cluster.Nodes[i].Zone != cfg.Zone {
			t.Errorf("%s is not in its own list as it is: %+v", cfg.Node, cfg.Cluster.Nodes)
		}
		if !strings.HasSuffix(cfg.Cluster.Cert, "/"+cfg.Node+".crt") ||
			!strings.HasSuffix(cfg.Cluster.Key, "/"+cfg.Node+".key") {
			t.Errorf("%s proves itself with %s and %s", cfg.Node, cfg.Cluster.Cert, cfg.Cluster.Key)
		}
	}
}

// TestTwoRoomsTrustTheBalancer: every node believes the load balancer that the compose
// file begins, and nobody else.
func TestTwoRoomsTrustTheBalancer(t *testing.T) {
	text, err := os.ReadFile(filepath.Join(twoRoomsDir, "compose.yaml"))
	if err != nil {
		t.Fatal(err)
	}
	_, balancer, _ := strings.Cut(string(text), "\n  balancer:")
	at := regexp.MustCompile(`ipv4_address: ([\d.]+)`).FindStringSubmatch(balancer)
	if at == nil {
		t.Fatal("the balancer has no address of its own")
	}
	for _, cfg := range twoRoomsConfigs(t) {
		if !slices.Equal(cfg.TrustedProxies, at[1:]) {
			t.Errorf("%s trusts %v; the balancer is %s", cfg.Node, cfg.TrustedProxies, at[1])
		}
	}
}

// TestTwoRoomsBalancers: the load balancers' servers are the nodes, 70 to 30.
func TestTwoRoomsBalancers(t *testing.T) {
	server := regexp.MustCompile(`(?m)^\s*server (?:\w+ )?(\d[\d.]+:\d+) .*?weight[ =](\d+)`)
	for _, file := range []string{"haproxy.cfg", "nginx.conf"} {
		text, err := os.ReadFile(filepath.Join(twoRoomsDir, file))
		if err != nil {
			t.Fatal(err)
		}
		weights := map[string]string{}
		for _, m := range server.FindAllStringSubmatch(string(text), -1) {
			weights[m[1]] = m[2]
		}
		if len(weights) != 3 {
			t.Errorf("%s: servers %v", file, weights)
		}
		for _, cfg := range twoRoomsConfigs(t) {
			if want := map[string]string{"a": "35", "b": "30"}[cfg.Zone]; weights[cfg.HTTP] != want {
				t.Errorf("%s: %s has weight %q, want %s", file, cfg.HTTP, weights[cfg.HTTP], want)
			}
		}
	}
}

// TestTwoRoomsCompose: each service has its node's address and files.
func TestTwoRoomsCompose(t *testing.T) {
	text, err := os.ReadFile(filepath.Join(twoRoomsDir, "compose.yaml"))
	if err != nil {
		t.Fatal(err)
	}
	var compose struct {
		Services map[string]struct {
			Image    string        `yaml:"image"`
			Networks yamlnode.Node `yaml:"networks"`
			Volumes  []string      `yaml:"volumes"`
		} `yaml:"services"`
		Volumes map[string]any `yaml:"volumes"`
	}
	if err := yamlnode.Unmarshal(text, &compose); err != nil {
		t.Fatal(err)
	}
	for _, cfg := range twoRoomsConfigs(t) {
		s := compose.Services[cfg.Node]
		var networks map[string]struct {
			Address string `yaml:"ipv4_address"`
		}
		if err := s.Networks.Decode(&networks); err != nil {
			t.Fatalf("%s: %v", cfg.Node, err)
		}
		if host, _, _ := strings.Cut(cfg.Peer, ":"); networks["rooms"].Address != host || s.Image != "doorbuster" {
			t.Errorf("%s: address %q, image %q; its config says %s", cfg.Node, networks["rooms"].Address, s.Image, host)
		}
		for _, want := range []string{"./" + cfg.Node + ".yaml:/etc/doorbuster/doorbuster.yaml:ro", cfg.Node + ":" +
			cfg.Data} {
			if !slices.Contains(s.Volumes, want) {
				t.Errorf("%s: no %s in %v", cfg.Node, want, s.Volumes)
			}
		}
	}
	for name, s := range compose.Services {
		for _, v := range s.Volumes {
			from, _, _ := strings.Cut(v, ":")
			if _, named := compose.Volumes[from]; !named {
				if _, err := os.Stat(filepath.Join(twoRoomsDir, from)); err != nil {
					t.Errorf("%s: volume %s: %v", name, v, err)
				}
			}
		}
	}
}

// TestTwoRoomsFilesByTheirOwnPrograms asks each file's own program, where it is
// installed.
func TestTwoRoomsFilesByTheirOwnPrograms(t *testing.T) {
	dir, err := filepath.Abs(twoRoomsDir)
	if err != nil {
		t.Fatal(err)
	}
	scratch := t.TempDir()
	for _, c := range []struct {
		args  []string
		known string // what it may complain of here
	}{
		{[]string{"haproxy", "-c", "-f", filepath.Join(dir, "haproxy.cfg")}, ""},
		{[]string{"nginx", "-t", "-e", "stderr", "-p", scratch, "-c", filepath.Join(dir, "nginx.conf"), "-g", "pid " +
			scratch + "/nginx.pid;"}, ""},
		{[]string{"systemd-analyze", "verify", filepath.Join(dir, "doorbuster.service")},
			"Command /usr/local/bin/doorbuster is not executable"},
	} {
		t.Run(c.args[0], func(t *testing.T) {
			program, err := exec.LookPath(c.args[0])
			if err != nil {
				t.Skipf("%s is not installed", c.args[0])
			}
			said, err := exec.Command(program, c.args[1:]...).CombinedOutput()
			complaints := slices.DeleteFunc(strings.Split(strings.TrimSpace(string(said)), "\n"),
				func(line string) bool {
					return c.known != "" && strings.Contains(line, c.known)
				})
			if err != nil && strings.Join(complaints, "") != "" {
				t.Errorf("%v\n%s", err, said)
			}
		})
	}
}
