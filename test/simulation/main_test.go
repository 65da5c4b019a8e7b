package simulation

import "testing"

// TestMain puts the disks that can fail under SQLite before anything opens a file: the engine keeps to the file system that it found.
func TestMain(m *testing.M) {
	failing()
	m.Run()
}
