package sqlite

import (
	"errors"
	"os"
	"path/filepath"

	"golang.org/x/sys/unix"

	"github.com/postrider/postrider"
)

// lockDir takes the folder for this process, until the function that it returns is called or the process ends.
func lockDir(dir string) (func(), error) {
	f, err := os.OpenFile(filepath.Join(dir, "lock"), os.O_CREATE|os.O_RDWR, 0o600)
	if err != nil {
		return nil, folderError("written", err)
	}
	if err := unix.Flock(int(f.Fd()), unix.LOCK_EX|unix.LOCK_NB); err != nil {
		f.Close()
		if errors.Is(err, unix.EWOULDBLOCK) {
			return nil, postrider.Errorf(postrider.CodeConflict, "another process uses the data folder %s: stop it, or give this one a folder of its own", dir)
		}
		return nil, postrider.Errorf(postrider.CodeUnavailable, "the data folder can't be locked: %w", err)
	}
	return func() { f.Close() }, nil
}
