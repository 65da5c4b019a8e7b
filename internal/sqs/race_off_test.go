//go:build !race

package sqs_test

// raceEnabled says that the race detector is on, which takes memory.
const raceEnabled = false
