// Package auth says who asks and what they may do: the tokens of shoppers and of
// operators, operators' roles, and the keys that both are checked with.
//
//   - A token is read here to the letter, and its signature is checked by the library
//     or, with a secret, by crypto/hmac (docs/design/0024-tokens.md). A key serves for
//     its own algorithm alone.
//   - Authority is held, not checked once: when a token expires or its key is
//     withdrawn, what was begun with it ends (docs/design/0023-authority.md).
//   - Signatures are compared in constant time, by crypto/hmac.
//
// Start reading at Authorize.
package auth
