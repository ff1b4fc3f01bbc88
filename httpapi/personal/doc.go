// Package personal protects what is known of people: the receivers of orders, and the
// phone numbers and addresses on risk lists.
//
// A receiver is sealed at the door with a key of the shopper's own, which is itself sealed
// (wrapped) under a key of the key file, the newest one, and kept in the state: so every
// node, the log, snapshots, settled sessions' files and backups hold ciphertext, and
// destroying the shopper's key makes all of it unreadable at once. What has to be found or
// compared is found by a keyed hash (engine.Blind), under a secret of the group.
//
// Formats, version 1 each, AES-256-GCM:
//
//	wrapped key      version, id of the key (8 bytes), nonce (12), ciphertext of the key (32) and tag (16)
//	sealed receiver  version, id of the key, nonce, ciphertext and tag; the fields in the order of
//	                 Receiver, each a uvarint of its bytes and these
//	sealed list row  version, id of the key, ciphertext and tag; its nonce is the beginning of its hash
//
// Start at Vault.
package personal
