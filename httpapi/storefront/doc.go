// Package storefront is the shoppers' page: what is on sale with a countdown on the
// shop's own time, reservations, grabs with their tickets and challenges, places in line,
// draws with their proof, bargains, payment at the cashier's page, orders and deliveries.
// It is the reference of how a client behaves towards the shoppers' API, of which it uses
// nothing that is not public; docs/storefront.md says how and why.
//
// It is a few files, embedded as they are, without a build step and without anything from
// elsewhere, under 60 KB in all as they are sent. The page puts text into the document as text, never as markup,
// and Policy forbids the browser everything that it does not need. A theme is a style
// sheet of the shop's own, loaded after that of the page.
//
// Start reading at Open; of the page at app.js, and at intents.js for how it asks.
package storefront
