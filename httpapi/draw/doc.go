// Package draw writes a listing's draw into a file that anybody can check, and
// checks it: that the seed is the one that was committed to before anybody
// entered, that everybody's rank follows from it, and that the units went by rank.
//
// A file is lines of JSON: a Header, an Entry for each entrant in the order of
// their arrival, and a Trailer.
//
// Start reading at Verify.
package draw
