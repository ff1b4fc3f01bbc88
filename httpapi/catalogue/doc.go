// Package catalogue reads what suppliers have: products as CSV, NDJSON or JSON, and as the
// CSV that common shop systems export, recognised by their headers.
//
//   - A catalogue is read to its end and checked before anything of it counts; each bad row
//     is told by its line.
//   - A row says all of its product, or nothing but how much there is of it.
//   - What is kept of a row is as large as what it says, so that a million of them fit.
//
// Start reading at Read.
package catalogue
