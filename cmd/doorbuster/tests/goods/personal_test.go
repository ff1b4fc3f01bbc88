package goods

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"doorbuster/cmd/doorbuster/nodetest"
	"doorbuster/httpapi/wire"
)

// people are who sets receivers; nothing of them but their ids may be found anywhere.
var people = []struct{ id, name, phone, street, city string }{
	{"known-ann", "Annabel Archer", "+8613812345671", "11 Quillfeather Lane", "Springdale"},
	{"known-bob", "Bobby Birdwhistle", "+8613812345672", "22 Umbrella Crescent", "Riverton"},
	{"known-cai", "蔡明亮先生", "+8613812345673", "紫薇大道三十三号", "云中市"},
}

// listed are phones and addresses on risk lists.
var listed = map[string]string{"phones": "+8613998877665", "addresses": "99 Marmalade Boulevard, Ghosttown"}

// needles are what must not be found in plain: every part, in the forms it may be kept in.
func needles() (all []string) {
	for _, p := range people {
		all = append(all, p.name, p.phone, strings.TrimPrefix(p.phone, "+86"), p.street, p.city,
			strings.ToLower(p.street), strings.ToLower(p.name))
	}
	for _, id := range listed {
		all = append(all, id, strings.ToLower(id), strings.TrimPrefix(id, "+86"), "Marmalade", "marmalade")
	}
	return all
}

// TestPersonalDataIsNowhereInPlain is of a node that is alone, and of a cluster: after
// orders with known receivers, lists, a settled session, snapshots and a backup, nothing
// of them is in any file, log or metric; who is erased is erased on all nodes, and
// once the key file has been rotated no copy of their key is left that anybody could open.
func TestPersonalDataIsNowhereInPlain(t *testing.T) {
	for name, nodes := range map[string][]string{"alone": {"n1:z1"}, "cluster": nodetest.Rooms3} {
		t.Run(name, func(t *testing.T) {
			f := nodetest.NewFleet(t, "prefer", nodes...)
			f.Alone = name == "alone"
			keyFile := filepath.Join(f.Dir, "n1", "personal.keys")
			if !f.Alone {
				keyFile = f.PersonalKeys()
			}
			f.Open()
			f.Plan(nodetest.DayPlan("", 10))
			orders := map[string]string{}
			for i, p := range people {
				m := f.Nodes[i%len(f.Nodes)]
				o := m.EventuallyGrants(p.id, "day/sku-1")
				orders[p.id] = o.OrderNo
				body := fmt.Sprintf(`{"name":%q,"phone":%q,"street":%q,"city":%q,"country":"CN"}`, p.name, p.phone,
					p.street, p.city)
				url := m.HTTP + "/v1/orders/" + o.OrderNo + "/receiver"
				for range 2 { // the same again changes nothing
					if a := m.Do("PUT", url, body, "X-Shopper-Id", p.id); a.Status != 200 || !strings.Contains(a.Body,
						p.street) {
						t.Fatalf("%d %s", a.Status, a.Body)
					}
				}
				for _, long := range []int{128 << 10, 1 << 20} {
					a, err := m.Request("PUT", url, strings.Replace(body, p.street, strings.Repeat("x", long), 1),
						"X-Shopper-Id", p.id)
					if err != nil && long == 1<<20 {
						continue // cut off before all was sent, which is as clear
					}
					if err != nil || a.Status != 413 {
						t.Errorf("an address of %d bytes: %d %v", long, a.Status, err)
					}
				}
				m.Pay(o, "pay-"+p.id)
			}
			for list, id := range listed {
				m := f.Nodes[len(f.Nodes)-1]
				if a := m.Do("PATCH", "http://"+m.Admin+"/admin/v1/risk/"+list, `{"id":"`+id+`"}`, "Content-Type",
					"application/x-ndjson"); a.Status != 200 {
					t.Fatalf("%d %s", a.Status, a.Body)
				}
			}
			lead := f.Nodes[0]
			if !f.Alone {
				lead = f.Leader()
			}
			lead.End("day")
			lead.Settle("day")
			backup := filepath.Join(t.TempDir(), "backup")
			lead.MustRun("backup", "--out", backup)
			for _, m := range f.Nodes {
				if a := m.Ops("POST", "/admin/v1/cluster/snapshot", "{}"); !f.Alone && a.Status != 200 {
					t.Fatalf("%d %s", a.Status, a.Body)
				}
			}
			seesAll(t, f, orders, "")
			mustNotFind(t, f, backup)

			erased := people[1]
			from := f.Nodes[len(f.Nodes)-1]
			from.MustRun("erase", "--shopper", erased.id, "--yes", "--note", "asked")
			seesAll(t, f, orders, erased.id)
			status := func() (p wire.PersonalData) {
				a := from.Ops("GET", "/admin/v1/shoppers/"+erased.id+"/personal-data", "")
				if err := json.Unmarshal([]byte(a.Body), &p); err != nil || p.Erasure == nil {
					t.Fatalf("%s %v", a.Body, err)
				}
				return p
			}
			f.Eventually(func() bool { return status().Erasure.State.Gone }, "the erasure does not reach all nodes")
			p := status()
			if p.Held || p.Erasure.Gone || p.Erasure.Backups.Gone || len(p.Erasure.Backups.Keys) != 1 {
				t.Errorf("%+v, %+v", p, p.Erasure)
			}
			old := p.Erasure.Backups.Keys[0].Number
			runTool(t, "personal-keys", "rotate", "--file", keyFile)
			f.Eventually(func() bool {
				k := status().Erasure.Backups.Keys[0]
				return k.MayBeRemoved && k.UnusedSince != "" && k.Keys == 0
			}, "keys are not wrapped by the newer key")
			runTool(t, "personal-keys", "remove", "--file", keyFile, "--number", fmt.Sprint(old))
			f.Eventually(func() bool { return status().Erasure.Gone }, "a copy of the key is left")
			seesAll(t, f, orders, erased.id)
			mustNotFind(t, f, backup)
		})
	}
}

// seesAll looks at all orders through all nodes, as their shoppers and as operators: whoever is
// not erased is seen in plain, and lists are looked up in whatever way a number is written.
func seesAll(t *testing.T, f *nodetest.Fleet, orders map[string]string, erased string) {
	t.Helper()
	for _, m := range f.Nodes {
		for _, p := range people {
			own := m.Order(p.id, orders[p.id])
			ops := m.Ops("GET", "/admin/v1/orders/"+orders[p.id], "")
			if p.id == erased {
				if strings.Contains(own.Body+ops.Body, p.street) || strings.Contains(own.Body, "receiver") ||
					!strings.Contains(ops.Body, `"receiver_state":"erased"`) {
					t.Errorf("%s is erased, and %s tells %s and %s", p.id, m.ID, own.Body, ops.Body)
				}
				continue
			}
			for _, want := range []string{p.name, p.phone, p.street, p.city} {
				if !strings.Contains(own.Body, want) || !strings.Contains(ops.Body, want) {
					t.Errorf("%s lacks %s: %s, %s", m.ID, want, own.Body, ops.Body)
				}
			}
		}
		if a := m.Ops("GET", "/admin/v1/risk/phones/+86%20139-9887-7665", ""); a.Status != 200 ||
			!strings.Contains(a.Body, `"id":"`+listed["phones"]+`"`) {
			t.Errorf("%s: %d %s", m.ID, a.Status, a.Body)
		}
		if a := m.Ops("GET", "/admin/v1/risk/addresses?format=csv", ""); !strings.Contains(a.Body,
			strings.ToLower(listed["addresses"])) {
			t.Errorf("%s: %d %s", m.ID, a.Status, a.Body)
		}
	}
}

// mustNotFind searches every file of the nodes, their logs and metrics, their audit
// trails, and a backup. That ids of shoppers are found there shows that it searches.
func mustNotFind(t *testing.T, f *nodetest.Fleet, backup string) {
	t.Helper()
	found := map[string]bool{} // ids, by kind of place
	search := func(kind, where string, text []byte) {
		for _, needle := range needles() {
			if bytes.Contains(text, []byte(needle)) {
				t.Errorf("%s has %q in plain", where, needle)
			}
		}
		found[kind] = found[kind] || bytes.Contains(text, []byte(people[0].id))
	}
	err := filepath.WalkDir(f.Dir, func(path string, d fs.DirEntry, err error) error {
		if err != nil || !d.Type().IsRegular() {
			return nil // it went while we looked
		}
		text, err := os.ReadFile(path)
		if err == nil {
			search("files", path, text)
		}
		return nil
	})
	text, readErr := os.ReadFile(backup)
	if err != nil || readErr != nil {
		t.Fatal(err, readErr)
	}
	search("backup", "the backup", text)
	for _, m := range f.Nodes {
		search("log", "the log of "+m.ID, []byte(m.Logs.String()))
		search("metrics", "the metrics of "+m.ID, []byte(m.Ops("GET", "/metrics", "").Body))
		search("audit", "the audit trail of "+m.ID, []byte(m.Ops("GET", "/admin/v1/audit?limit=1000", "").Body))
	}
	for _, kind := range []string{"files", "backup", "audit"} {
		if !found[kind] {
			t.Errorf("not even a shopper's id is found in %s: the search finds nothing", kind)
		}
	}
}

// runTool runs a command that asks no node.
func runTool(t *testing.T, args ...string) {
	t.Helper()
	if status, _, errs := nodetest.Tool(t, "", args...); status != 0 {
		t.Fatalf("%v: %s", args, errs)
	}
}
