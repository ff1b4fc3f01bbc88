// Package roster reads lists of people, phones and addresses as operators send
// them: plain lines, CSV or newline-delimited JSON. A list is read to its end
// before anything is made of it, so a bad line leaves everything as it was; the
// lines that are wrong are told by their numbers. Memory is bounded by what the
// caller lets be read: an id is kept once, in a few bytes more than its own.
//
// Start reading at Read.
package roster
