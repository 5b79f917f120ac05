//go:build race

package dbslm_test

// raceDetector tells that the tests run under the race detector, where work on long texts is twenty times slower and has
// nothing for it to find.
const raceDetector = true
