// Package client asks a node's operators' API, as the commands do, and integrators may. A
// change is asked for with one Idempotency-Key until its outcome is heard, a few times:
// it is made once. Tokens are sent to the node that is named and to nobody else: there
// are no proxies and no redirects.
//
// Start with New; Do asks for anything, and the methods in routes.go for one thing each.
// What a node refused is a *Refused; after an error that Is ErrUnheard a change may be
// made or not.
package client
