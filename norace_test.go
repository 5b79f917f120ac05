//go:build !race

package dbslm_test

const raceDetector = false
