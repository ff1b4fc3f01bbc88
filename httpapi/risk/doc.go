// Package risk asks an outside service what to think of a shopper.
//
// The service is not ours, so nothing is expected of it. Whatever it does
// (hangs, lies, answers garbage or without end), a question is answered in time:
// by it, by what it said a moment ago, or by what was set for when it is down.
//
// What holds here:
//   - No question waits longer than Config.Timeout, and no more than
//     Config.MaxInFlight wait for the service at once.
//   - Only a whole, known answer counts and is remembered. All else counts as
//     down, and is not.
//   - A service that fails again and again is left alone for a while.
//   - Redirects are not followed: they could lead anywhere, token and all.
//
// Start reading at Client.Judge. The answers' words are in level.go.
package risk
