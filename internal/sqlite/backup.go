package sqlite

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"

	"github.com/postrider/postrider"
)

// Backup copies the file of a data folder, which a process may be using, to a new file: all of it as it was at one moment, without
// free pages, of mode 0600. Everything that was acknowledged before the call is in it. The file is there under its name
// only once it is complete and on the disk.
//
// It fails with CodeConflict if the file exists, with CodeNotFound if the folder has none, and with CodeUnavailable if the disk
// does not let it. Reading lasts as long as the copy; the -wal file of a live folder grows meanwhile.
func Backup(ctx context.Context, dir, file string) error {
	if _, err := os.Lstat(file); !errors.Is(err, fs.ErrNotExist) {
		return postrider.Errorf(postrider.CodeConflict, "%s exists: a backup makes a new file", file)
	}
	db, err := openForReading(ctx, dir)
	if err != nil {
		return err
	}
	defer func() { _ = db.Close() }()                                      // the copy has been told of by then
	if _, err := db.ExecContext(ctx, "PRAGMA query_only(0)"); err != nil { // VACUUM INTO counts as writing
		return fault("back up", err)
	}
	partial, err := os.OpenFile(file+".partial", os.O_CREATE|os.O_TRUNC|os.O_RDWR, 0o600) // VACUUM INTO takes an empty file
	if err != nil {
		return postrider.Errorf(postrider.CodeUnavailable, "the copy can't be made: %w", err)
	}
	defer partial.Close()
	if _, err = db.ExecContext(ctx, "VACUUM INTO ?", partial.Name()); err == nil {
		err = settled(partial, file)
	}
	if err != nil {
		_ = os.Remove(partial.Name()) // it may be gone
		var of *fs.PathError
		if errors.As(err, &of) {
			return postrider.Errorf(postrider.CodeUnavailable, "the copy can't be written: %w", err)
		}
		return fault("back up", err)
	}
	return nil
}

// settled brings a copy to the disk, then gives it its name.
func settled(partial *os.File, file string) error {
	if err := partial.Sync(); err != nil {
		return err
	}
	if err := os.Rename(partial.Name(), file); err != nil {
		return err
	}
	dir, err := os.Open(filepath.Dir(file))
	if err != nil {
		return err
	}
	defer dir.Close()
	if err := dir.Sync(); err != nil {
		return fmt.Errorf("sync the folder: %w", err)
	}
	return nil
}
