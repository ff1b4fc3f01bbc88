// Package challenge makes shoppers prove something before they get a grab
// ticket: that their machine did some work, or that somebody read an image.
//
// The work is ALTCHA's proof of work (altcha.org, first version), so its widget
// solves it in a web page as it is. The image shows digits; it is an option for
// those whom work alone does not keep out.
//
// Nothing is stored for a challenge that was given out: all there is to know is
// in it, signed or sealed with the group's secret, so any node checks what any
// other gave out.
//
// What holds here:
//   - A challenge is solved by one shopper for one listing, until its expiry.
//   - Its id follows from it alone. Solved twice, also on two nodes, it leads to
//     one id, and so to one use of a ticket with that id.
//   - What comes in has a bound before it is decoded.
//   - Wrong answers to one image are counted: at the third it is dead on this
//     node. The count is kept in bounded memory.
//
// Start reading at Challenges, then work.go and image.go.
package challenge
