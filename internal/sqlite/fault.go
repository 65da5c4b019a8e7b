package sqlite

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"time"

	"golang.org/x/sys/unix"
	"modernc.org/sqlite"
	lib "modernc.org/sqlite/lib"

	"github.com/postrider/postrider"
)

// fault makes an error of SQLite's one of the domain. Whatever stops SQLite may pass: space is freed, a disk comes back. The
// message tells whoever is answered what is wrong, without a path.
func fault(doing string, err error) error {
	if err == nil {
		return nil
	}
	var e *postrider.Error
	if errors.As(err, &e) || errors.Is(err, context.Canceled) || errors.Is(err, context.DeadlineExceeded) {
		return err
	}
	return &postrider.Error{Code: postrider.CodeUnavailable, Message: "the data file can't be used: " + reason(err), RetryAfter: time.Second,
		Err: fmt.Errorf("%s: %w", doing, err)}
}

// folderError tells what forbids a folder from what may pass.
func folderError(done string, err error) error {
	code := postrider.CodeUnavailable
	if errors.Is(err, fs.ErrPermission) || errors.Is(err, unix.EROFS) || errors.Is(err, unix.ENOTDIR) {
		code = postrider.CodeForbidden
	}
	return postrider.Errorf(code, "the data folder can't be %s: %w", done, err)
}

// unopened makes an error of opening one that is not worth trying again, where it is not.
func unopened(err error) error {
	switch {
	case damaged(err):
		return postrider.Errorf(postrider.CodeInternal, "the data file is damaged: see what postrider check says, and restore a copy: %w", err)
	case primary(err) == lib.SQLITE_READONLY, primary(err) == lib.SQLITE_PERM:
		return postrider.Errorf(postrider.CodeForbidden, "the data file can't be written: %w", err)
	}
	return err
}

// reason is what an operator can do something about.
func reason(err error) string {
	switch primary(err) {
	case lib.SQLITE_FULL:
		return "the disk is full"
	case lib.SQLITE_READONLY, lib.SQLITE_PERM:
		return "it is read-only"
	case lib.SQLITE_CANTOPEN:
		return "it can't be opened"
	case lib.SQLITE_IOERR:
		return "the disk reports an error"
	case lib.SQLITE_CORRUPT, lib.SQLITE_NOTADB:
		return "it is damaged"
	case lib.SQLITE_BUSY, lib.SQLITE_LOCKED:
		return "another program has locked it"
	}
	return "see the log"
}

// damaged reports whether an error says that the file's pages are not what they should be.
func damaged(err error) bool {
	code := primary(err)
	return code == lib.SQLITE_CORRUPT || code == lib.SQLITE_NOTADB
}

// primary is the kind of an error of SQLite's; 0 for others.
func primary(err error) int {
	var e *sqlite.Error
	if errors.As(err, &e) {
		return e.Code() & 0xff
	}
	return 0
}
