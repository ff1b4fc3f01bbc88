// Package console is the operators' page: sessions with live counts, orders and
// their money, statements, rules, and the nodes. It is a few files, embedded as
// they are, without a build step and without anything from elsewhere; all that it
// knows it asks the operations API for, with the token that the operator gives it.
// The token stays in the tab's session storage: no address, cookie or download has
// it.
//
// The page puts text into the document as text, never as markup, and Policy
// forbids the browser everything that it does not need.
package console
