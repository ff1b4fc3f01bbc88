// Package console is the operators' page: sessions with live counts, orders,
// and the nodes. It is three files, embedded as they are, without a build step
// and without anything from elsewhere; all that it knows it asks the operations
// API for, with the token that the operator gives it. The token stays in the
// tab's session storage and goes nowhere else.
//
// The page puts text into the document as text, never as markup, and Policy
// forbids the browser everything that it does not need.
package console
