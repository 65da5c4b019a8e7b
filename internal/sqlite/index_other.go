//go:build !linux

package sqlite

// indexVFS is the name of the file system for a connection: the default one.
func indexVFS(bool) string { return "" }
