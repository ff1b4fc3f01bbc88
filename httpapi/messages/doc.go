// Package messages is what shoppers are told of a grab: which messages there are and
// what they are called, the shop's own words for each in every language, and what
// each may have filled in. A sale can have words of its own for any of them; Parse
// says whether they will do.
//
// It is apart from the door that speaks the words, because the reader of plan files
// must know the same names.
package messages
