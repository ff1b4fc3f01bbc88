//go:build !race

package payment

const raceDetector = false
