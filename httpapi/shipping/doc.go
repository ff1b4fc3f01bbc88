// Package shipping is what happens to paid orders after a session: a second look at
// each, an export of those that pass for the warehouse, and the carriers' tracking
// numbers that come back.
//
// A second look goes by the risk lists as they are now and by the receivers, which
// nobody knew during the rush: what a list blocks is rejected, and its money goes
// back; orders of several shoppers that go to one place, and what the outside service
// has doubts about, are held until somebody decides by hand. Nothing of it stands in
// the way of a grab.
//
// Files are read to their end before anything is made of them: a bad row leaves
// everything as it was, and all bad rows are told. What is written out can be had
// again by its number.
//
// Start reading at Desk.
package shipping
