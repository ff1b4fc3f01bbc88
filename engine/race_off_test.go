//go:build !race

package engine

// raceDetector tells that the race detector is on. It makes the models several times
// slower and has nothing to find here, where no goroutine is started.
const raceDetector = false
