// Package ratelimit slows down who asks too often: by shopper, and by address.
//
// Each node counts for itself. The limit of an address holds for all nodes that Tell
// each other how much is asked; every other limit holds for each node.
//
// What holds here:
//   - Memory is bounded: of the keys that share a place with a new one, and which
//     those are nobody can know, whoever has not asked for the longest time is
//     forgotten, and begins anew with a full burst. It takes a crowd as large as the
//     table to push out somebody who asks.
//   - An IPv6 address counts as its /64, which is what a single machine gets.
//   - A proxy's header is believed only from a proxy that is trusted, and only
//     as far as trusted proxies wrote it.
//   - Who asks again costs no allocation.
//
// Start reading at Limiter, and at Trusted for whose address it is.
package ratelimit
