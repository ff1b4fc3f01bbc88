// Package archive keeps the reports of reconciliations in a directory of each node's
// data, copies those of the other nodes, and knows what the reports have left open.
//
//   - A report has two files: what it says as a whole, and its findings, a line each.
//     Where the first one is, both are whole.
//   - What is open follows from the reports alone, in whatever order they come, so that
//     all nodes with the same reports know the same.
//   - All nodes drop the same reports, the oldest, when there are too many.
//
// See docs/design/0035-report-copies.md. Start reading at Archive and difference.
package archive
