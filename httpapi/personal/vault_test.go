package personal

import (
	"bytes"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"doorbuster/engine"
	"doorbuster/httpapi/roster"
)

// table keeps keys as a group does.
type table struct {
	keys   map[string]engine.PersonalKey
	secret bool
}

func (t *table) PersonalKey(shopper string) (engine.PersonalKey, bool) {
	k, there := t.keys[shopper]
	return k, there
}

func (t *table) ListKey() (engine.PersonalKey, bool) { return t.PersonalKey("") }

func (t *table) PersonalSecret() (secret [32]byte, known bool) { return [32]byte{7}, t.secret }

func newTable() *table { return &table{map[string]engine.PersonalKey{}, true} }

func newKey(t *testing.T, others ...Key) Key {
	t.Helper()
	k, err := NewKey(others, time.Unix(1_000, 0))
	if err != nil {
		t.Fatal(err)
	}
	return k
}

var ann = Receiver{"Ann Example", "+86 138 0013 8000", "CN", "广东省", "深圳市", "南山区", "科技园路1号", "518000"}

func TestWhatIsSealedIsOpened(t *testing.T) {
	state, k := newTable(), newKey(t)
	v := New(state, roster.Canon{}, []Key{k})
	sealed, key, err := v.Seal("ann", ann)
	if err != nil {
		t.Fatal(err)
	}
	state.keys["ann"] = key
	for _, part := range []string{ann.Name, "8000", ann.Street, ann.City} {
		if strings.Contains(sealed.Sealed+key.Wrapped+fmt.Sprint(k), part) {
			t.Errorf("%q is in plain", part)
		}
	}
	if got, err := v.Open("ann", sealed); err != nil || got != ann {
		t.Errorf("%+v, %v", got, err)
	}
	again, same, err := v.Seal("ann", ann)
	if err != nil || same != key || again.Same != sealed.Same || again.Sealed == sealed.Sealed ||
		again.Phone != sealed.Phone || again.Address != sealed.Address {
		t.Errorf("sealed again: %+v with %v, %v; first %+v", again, same, err, sealed)
	}
	other := ann
	other.PostCode = "518001"
	if changed, _, _ := v.Seal("ann", other); changed.Same == sealed.Same {
		t.Error("another receiver counts as the same")
	}
	bob, bobs, err := v.Seal("bob", ann)
	if state.keys["bob"] = bobs; err != nil || bob.Same == sealed.Same || bob.Phone != sealed.Phone ||
		bob.Address != sealed.Address {
		t.Errorf("two shoppers at one address are not found by it: %+v, %v", bob, err)
	}
	for name, c := range map[string]struct {
		shopper string
		is      string
		want    error
	}{
		"another's":       {"bob", sealed.Sealed, ErrErased},
		"another's bytes": {"ann", sealed.Sealed[:headBytes] + bob.Sealed[headBytes:], ErrDamaged},
		"cut off":         {"ann", sealed.Sealed[:len(sealed.Sealed)-1], ErrDamaged},
		"nothing":         {"ann", "", ErrDamaged},
		"a newer format":  {"ann", "\x02" + sealed.Sealed[1:], ErrDamaged},
		"of nobody":       {"eve", sealed.Sealed, ErrErased},
	} {
		got, err := v.Open(c.shopper, engine.Receiver{Sealed: c.is})
		if !errors.Is(err, c.want) || got != (Receiver{}) {
			t.Errorf("%s: %+v, %v", name, got, err)
		}
	}
	delete(state.keys, "ann")
	_, fresh, _ := v.Seal("ann", ann)
	state.keys["ann"] = fresh
	if _, err := v.Open("ann", sealed); !errors.Is(err, ErrErased) {
		t.Errorf("what was erased is opened by the key after it: %v", err)
	}
}

// TestKeysAreRotated: what an older key wraps is opened as long as that is there, and
// wrapped by the newest on the way.
func TestKeysAreRotated(t *testing.T) {
	state, first := newTable(), newKey(t)
	second := newKey(t, first)
	v := New(state, roster.Canon{}, []Key{first})
	sealed, key, err := v.Seal("ann", ann)
	if err != nil || key.KEK != first.Number {
		t.Fatal(key.KEK, err)
	}
	state.keys["ann"] = key
	if _, changed, err := v.Rewrap("ann", key); changed || err != nil {
		t.Error("wrapped anew by the same key", err)
	}
	_ = v.Replace([]Key{first, second})
	to, changed, err := v.Rewrap("ann", key)
	if err != nil || !changed || to.KEK != second.Number {
		t.Fatal(to.KEK, changed, err)
	}
	if _, _, err := v.Rewrap("bob", key); err == nil {
		t.Error("a key is wrapped for somebody else")
	}
	_ = v.Replace([]Key{second})
	var missing *MissingKeyError
	if _, err := v.Open("ann", sealed); !errors.As(err, &missing) || missing.Number != first.Number {
		t.Error("without the key that wraps it:", err)
	}
	if _, _, err := v.Seal("ann", ann); !errors.As(err, &missing) {
		t.Error("sealed with a key that can't be opened:", err)
	}
	state.keys["ann"] = to
	if got, err := v.Open("ann", sealed); err != nil || got != ann {
		t.Errorf("%+v, %v", got, err)
	}
	_ = v.Replace(nil)
	if _, err := v.Open("ann", sealed); !errors.Is(err, ErrNoKeys) {
		t.Error(err)
	}
	if _, _, err := Closed().Seal("ann", ann); !errors.Is(err, ErrNoKeys) {
		t.Error(err)
	}
	state.secret = false
	if _, _, err := New(state, roster.Canon{}, []Key{second}).Seal("ann", ann); !errors.Is(err, ErrNoSecret) {
		t.Error(err)
	}
}

func TestRowsOfLists(t *testing.T) {
	state := newTable()
	v := New(state, roster.Canon{}, []Key{newKey(t)})
	if _, err := v.Rows(); !errors.Is(err, ErrNoListKey) {
		t.Fatal(err)
	}
	key, err := v.NewListKey()
	if state.keys[""] = key; err != nil {
		t.Fatal(err)
	}
	rows, err := v.Rows()
	if err != nil {
		t.Fatal(err)
	}
	const phone = "+8613800138000"
	row := rows.Seal(engine.RosterRiskPhone, engine.RosterEntry{ID: []byte(phone), Level: engine.LevelBlock})
	again := rows.Seal(engine.RosterRiskPhone, engine.RosterEntry{ID: []byte(phone), Level: engine.LevelBlock})
	if !bytes.Equal(row.ID, again.ID) || !bytes.Equal(row.Sealed, again.Sealed) ||
		bytes.Contains(row.Sealed, []byte("8000")) {
		t.Errorf("%q %q", row, again)
	}
	hash, _ := v.PhoneBlind("+86 138-0013-8000")
	if !bytes.Equal(hash[:], row.ID) {
		t.Error("a receiver's phone is not found by its hash")
	}
	kept := engine.RosterRow{ID: string(row.ID), Sealed: string(row.Sealed)}
	if id, err := rows.Open(engine.RosterRiskPhone, &kept); id != phone || err != nil {
		t.Error(id, err)
	}
	if id, err := rows.Open(engine.RosterRiskAddress, &kept); err == nil {
		t.Error("a phone is opened as an address:", id)
	}
	if off := rows.Seal(engine.RosterRiskPhone, engine.RosterEntry{ID: []byte(phone)}); off.Sealed != nil ||
		!bytes.Equal(off.ID, row.ID) {
		t.Errorf("a row that takes off: %q", off)
	}
}

func TestKeyFiles(t *testing.T) {
	first := newKey(t)
	second := newKey(t, first)
	if second.Number <= first.Number {
		t.Error("not newer")
	}
	keys, err := ParseKeys(FormatKeys([]Key{second, first}))
	if err != nil || len(keys) != 2 || keys[0] != first || keys[1] != second {
		t.Errorf("%v, %v", keys, err)
	}
	if said := fmt.Sprintf("%v %+v %#v", keys, keys[0], keys); strings.ContainsAny(said, "{[") &&
		strings.Contains(said, fmt.Sprint(first.Secret[0], " ", first.Secret[1])) {
		t.Error("a key is told:", said)
	}
	good := `{"number":1,"key":"` + strings.Repeat("A", 42) + `E="}`
	for name, c := range map[string][2]string{
		"no JSON":     {`keys`, "JSON"},
		"no keys":     {`{"keys":[]}`, "0 keys"},
		"zero":        {`{"keys":[{"number":0,"key":"` + strings.Repeat("A", 42) + `E="}]}`, "number 0"},
		"too short":   {`{"keys":[{"number":1,"key":"AAAA"}]}`, "3 bytes"},
		"all zeros":   {`{"keys":[{"number":1,"key":"` + strings.Repeat("A", 43) + `="}]}`, "zeros"},
		"twice":       {`{"keys":[` + good + "," + good + `]}`, "twice"},
		"no base64":   {`{"keys":[{"number":1,"key":"%%"}]}`, "fit"},
		"more to it":  {`{"keys":[` + good + `],"more":1}`, "more"},
		"a number -1": {`{"keys":[{"number":-1,"key":"AAAA"}]}`, "number"},
	} {
		if keys, err := ParseKeys([]byte(c[0])); err == nil || !strings.Contains(err.Error(), c[1]) || keys != nil {
			t.Errorf("%s: %v, %v", name, keys, err)
		}
	}
}

func TestChecksAndMasks(t *testing.T) {
	if wrong := ann.Check(); wrong != "" {
		t.Error(wrong)
	}
	for says, change := range map[string]func(*Receiver){
		"name is missing":     func(r *Receiver) { r.Name = "" },
		"phone has 65 bytes":  func(r *Receiver) { r.Phone = strings.Repeat("1", 65) },
		"country must be":     func(r *Receiver) { r.Country = "cn" },
		"street has 513":      func(r *Receiver) { r.Street = strings.Repeat("x", 513) },
		"street is missing":   func(r *Receiver) { r.Street = "" },
		"city must be text":   func(r *Receiver) { r.City = "a\nb" },
		"district must be":    func(r *Receiver) { r.District = "\xff" },
		"post_code has 33":    func(r *Receiver) { r.PostCode = strings.Repeat("1", 33) },
		"province must be te": func(r *Receiver) { r.Province = "a\u202eb" },
	} {
		r := ann
		change(&r)
		if wrong := r.Check(); !strings.Contains(wrong, says) {
			t.Errorf("%s: %s", says, wrong)
		}
	}
	got := Mask(ann)
	want := Receiver{"A***", "***8000", "CN", "广东省", "深圳市", "***", "***", "***"}
	if got != want || Mask(Receiver{}) != (Receiver{}) || MaskPhone("123") != "***" {
		t.Errorf("%+v", got)
	}
	if lines := ann.Lines(); len(lines) != 2 || lines[0] != "广东省深圳市南山区科技园路1号" {
		t.Errorf("%q", lines)
	}
	west := Receiver{Street: "12 Long Lane", City: "Springfield"}
	if lines := west.Lines(); len(lines) != 2 || lines[0] != "12 Long Lane, Springfield" {
		t.Errorf("%q", lines)
	}
}

func FuzzDecoded(f *testing.F) {
	f.Add(ann.encoded())
	f.Fuzz(func(t *testing.T, b []byte) {
		if r, err := decoded(b); err == nil && r != (Receiver{}) {
			if again, err := decoded(r.encoded()); err != nil || again != r {
				t.Errorf("%+v, %v", again, err)
			}
		}
	})
}
