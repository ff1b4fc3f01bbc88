package personal

import (
	"encoding/hex"
	"errors"

	"doorbuster/engine"
)

// ErrNoListKey: nothing has been sealed on a risk list yet, so there is no key for it.
var ErrNoListKey = errors.New("there is no key for risk lists yet")

// listOwner owns the key of risk lists; it is nobody's id.
const listOwner = ""

// NewListKey makes a key for risk lists, for a group that has none.
func (v *Vault) NewListKey() (engine.PersonalKey, error) {
	return v.wrap(listOwner, dataKey{random[[idBytes]byte](), random[[KeyBytes]byte]()})
}

// Rows seals and opens what risk lists have of phone numbers and addresses. It is made
// for one import or one look, and safe for concurrent use.
type Rows struct {
	vault *Vault
	key   dataKey
}

// Rows gives what seals and opens rows by the key that there is. Errors: ErrNoListKey,
// ErrNoKeys, ErrNoSecret, *MissingKeyError, ErrDamaged.
func (v *Vault) Rows() (*Rows, error) {
	key, there := v.table.ListKey()
	if !there {
		return nil, ErrNoListKey
	}
	d, err := v.unwrap(listOwner, key)
	if err == nil {
		_, err = v.hash("", "") // from now on no hash fails
	}
	if err != nil {
		return nil, err
	}
	return &Rows{v, d}, nil
}

// RowHash gives the hash by which a list of a kind (engine.RosterKind.Hashed) has an id
// that is in its canonical form. Error: ErrNoSecret.
func (v *Vault) RowHash(kind engine.RosterKind, id string) (engine.Blind, error) {
	return v.hash(purposes[kind], id)
}

var purposes = map[engine.RosterKind]string{
	engine.RosterRiskPhone: phonePurpose, engine.RosterRiskAddress: addressPurpose,
}

const (
	phonePurpose   = "phone"
	addressPurpose = "address"
)

// Seal gives a row in plain as a list has it.
func (r *Rows) Seal(kind engine.RosterKind, row engine.RosterEntry) engine.RosterEntry {
	hash, _ := r.vault.RowHash(kind, string(row.ID)) // the secret is known
	sealed := engine.RosterEntry{ID: hash[:], Level: row.Level}
	if row.Level != engine.LevelNone {
		b := append(append(make([]byte, 0, headBytes+len(row.ID)+tagBytes), version), r.key.id[:]...)
		sealed.Sealed = gcm(r.key.secret).Seal(b, hash[:nonceBytes], row.ID, rowContext(kind))
	}
	return sealed
}

func rowContext(kind engine.RosterKind) []byte {
	return []byte("doorbuster list row\x00" + kind.String())
}

// Open gives a row's id in plain. Errors: ErrErased, ErrDamaged.
func (r *Rows) Open(kind engine.RosterKind, row *engine.RosterRow) (string, error) {
	b := []byte(row.Sealed)
	switch {
	case len(b) < headBytes+tagBytes || b[0] != version || len(row.ID) < nonceBytes:
		return "", ErrDamaged
	case string(b[1:headBytes]) != string(r.key.id[:]):
		return "", ErrErased
	}
	plain, err := gcm(r.key.secret).Open(nil, []byte(row.ID[:nonceBytes]), b[headBytes:], rowContext(kind))
	if err != nil {
		return "", ErrDamaged
	}
	return string(plain), nil
}

// HashText writes a hash as people see it, in the audit trail, too.
func HashText[T string | []byte](hash T) string { return "#" + hex.EncodeToString([]byte(hash)) }

// MaskRow gives a row's id, in plain, as who may not see it sees it.
func MaskRow(kind engine.RosterKind, id string) string {
	if kind == engine.RosterRiskPhone {
		return MaskPhone(id)
	}
	return MaskAddress(id)
}

// Digest is a hash of a file's SHA-256 that nobody makes without the group's secret: a
// file with one phone number is found by trying all. Error: ErrNoSecret.
func (v *Vault) Digest(sum []byte) (string, error) {
	hash, err := v.hash("digest", string(sum))
	return hex.EncodeToString(hash[:]), err
}

// Rewrap gives a key as the newest key of the file wraps it; changed is false for one that
// is so already. owner is a shopper, or "" for risk lists. Errors: ErrNoKeys,
// *MissingKeyError, ErrDamaged.
func (v *Vault) Rewrap(owner string, key engine.PersonalKey) (to engine.PersonalKey, changed bool, err error) {
	if keys := *v.keys.Load(); len(keys) > 0 && keys[len(keys)-1].Number == key.KEK {
		return key, false, nil
	}
	d, err := v.unwrap(owner, key)
	if err == nil {
		to, err = v.wrap(owner, d)
	}
	return to, err == nil, err
}
