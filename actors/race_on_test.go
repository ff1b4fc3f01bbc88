//go:build race

package actors_test

// raceDetector tells that the race detector is on: it makes pools forget at
// random, so that counting allocations means nothing.
const raceDetector = true
