// Package httpapi is the front door: the shopper API and the operations API.
//
// It says who asks, refuses what is malformed or too large, hands the rest to
// the rooms behind it through Seller, Operator and ClusterView, and puts what
// they answer into words and statuses. It decides nothing about stock.
//
// What holds here:
//   - Nothing of a request's buffers outlives its handler: what is kept is
//     copied first.
//   - A grab that is refused costs no allocation in this package.
//   - Whatever a shopper was turned away for at the door (rates, a bad ticket,
//     risk, quota, depth, overload, a fault), the answer "missed" is the same, byte for byte.
//   - Everything that comes in has a bound: time, connections, headers, bodies,
//     ids, keys, pages.
//   - Each problem document and each status comes from one table (problem.go).
//
// Start reading at shopper.go (the shoppers' server), then grab.go and answer.go
// for the way of a grab, guard.go for what stands in it, events.go for streams;
// admin.go for the operators' server. The messages that shoppers read are in
// messages.go. openapi.json describes both APIs; a test keeps it and the routes
// together.
package httpapi
