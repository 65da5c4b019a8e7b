package simulation

import (
	"database/sql"
	"math/rand/v2"
	"path/filepath"
	"sync"
	"testing"
	"testing/synctest"
	"time"
	"unsafe"

	"modernc.org/libc"
	sqlite "modernc.org/sqlite/lib"
)

// ailment is what a disk suffers from.
type ailment int

const (
	sound    ailment = iota
	full             // a write ends half-way, and says so
	broken           // nothing is written
	unsynced         // writes go through, syncs fail
	flaky            // now and then a write or a sync fails
	slow             // a sync takes its time
	ailments
)

func (a ailment) String() string {
	return [...]string{"sound", "full", "broken", "unsynced", "flaky", "slow"}[a]
}

// disk is what holds the files of one process. Its faults are those that SQLite gets from its operating system, so that all of
// the engine that deals with them is tested.
type disk struct {
	mu     sync.Mutex
	random *rand.Rand
	ails   ailment
}

func (d *disk) set(a ailment) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.ails = a
}

// now draws what becomes of one write or sync.
func (d *disk) now() ailment {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.ails == flaky && d.random.IntN(4) > 0 {
		return sound
	}
	return d.ails
}

func (d *disk) latency() time.Duration {
	d.mu.Lock()
	defer d.mu.Unlock()
	return time.Duration(d.random.Int64N(int64(2 * time.Second)))
}

// disks are those under SQLite's file system: by folder, and by open file.
var disks struct {
	sync.Mutex
	byFolder map[string]*disk
	byFile   map[uintptr]opened
	methods  map[uintptr]uintptr // of files, as SQLite made them: those that may fail
	open     uintptr             // of the file system that is underneath
}

// opened is an open file: what it lies on, and the methods underneath.
type opened struct {
	*disk
	below *sqlite.Tsqlite3_io_methods
}

// newDisk puts a disk under a folder until forget.
func newDisk(dir string, random *rand.Rand) (d *disk, forget func()) {
	disks.Lock()
	defer disks.Unlock()
	d = &disk{random: random}
	disks.byFolder[dir] = d
	return d, func() {
		disks.Lock()
		defer disks.Unlock()
		delete(disks.byFolder, dir)
	}
}

// failing makes the file system that can fail SQLite's default: a copy of the one that was, with files of which writing, syncing
// and truncating are looked at first.
func failing() {
	tls := libc.NewTLS()
	below := at[sqlite.Tsqlite3_vfs](sqlite.Xsqlite3_vfs_find(tls, 0))
	disks.byFolder, disks.byFile, disks.methods = map[string]*disk{}, map[uintptr]opened{}, map[uintptr]uintptr{}
	disks.open = below.FxOpen
	vfs, p := allocated[sqlite.Tsqlite3_vfs](tls)
	*vfs = *below
	name, err := libc.CString("failing")
	if err != nil {
		panic(err)
	}
	vfs.FzName, vfs.FpNext = name, 0
	vfs.FxOpen = pointer(openFile)
	if rc := sqlite.Xsqlite3_vfs_register(tls, p, 1); rc != sqlite.SQLITE_OK {
		panic("simulation: SQLite does not take the file system")
	}
}

func openFile(tls *libc.TLS, vfs, name, file uintptr, flags int32, out uintptr) int32 {
	rc := function[func(*libc.TLS, uintptr, uintptr, uintptr, int32, uintptr) int32](disks.open)(tls, vfs, name, file, flags, out)
	f := at[sqlite.Tsqlite3_file](file)
	if rc != sqlite.SQLITE_OK || name == 0 || f.FpMethods == 0 {
		return rc
	}
	disks.Lock()
	defer disks.Unlock()
	if d := disks.byFolder[filepath.Dir(libc.GoString(name))]; d != nil {
		disks.byFile[file] = opened{d, at[sqlite.Tsqlite3_io_methods](f.FpMethods)}
		f.FpMethods = ailing(tls, f.FpMethods)
	}
	return rc
}

// ailing returns the methods of a file that may fail, for those of one that does not.
func ailing(tls *libc.TLS, methods uintptr) uintptr {
	if p, ok := disks.methods[methods]; ok {
		return p
	}
	m, p := allocated[sqlite.Tsqlite3_io_methods](tls)
	*m = *at[sqlite.Tsqlite3_io_methods](methods)
	m.FxClose, m.FxWrite, m.FxTruncate, m.FxSync = pointer(closeFile), pointer(writeFile), pointer(truncateFile), pointer(syncFile)
	disks.methods[methods] = p
	return p
}

// below returns a file's disk and the methods underneath.
func below(file uintptr) (*disk, *sqlite.Tsqlite3_io_methods) {
	disks.Lock()
	defer disks.Unlock()
	f := disks.byFile[file]
	return f.disk, f.below
}

func closeFile(tls *libc.TLS, file uintptr) int32 {
	_, m := below(file)
	disks.Lock()
	delete(disks.byFile, file)
	disks.Unlock()
	return function[func(*libc.TLS, uintptr) int32](m.FxClose)(tls, file)
}

func writeFile(tls *libc.TLS, file, bytes uintptr, n int32, offset int64) int32 {
	d, m := below(file)
	write := function[func(*libc.TLS, uintptr, uintptr, int32, int64) int32](m.FxWrite)
	switch d.now() {
	case full:
		write(tls, file, bytes, n/2, offset)
		return sqlite.SQLITE_FULL
	case broken, flaky:
		return sqlite.SQLITE_IOERR_WRITE
	default:
		return write(tls, file, bytes, n, offset)
	}
}

func truncateFile(tls *libc.TLS, file uintptr, size int64) int32 {
	d, m := below(file)
	if a := d.now(); a == broken || a == flaky {
		return sqlite.SQLITE_IOERR_TRUNCATE
	}
	return function[func(*libc.TLS, uintptr, int64) int32](m.FxTruncate)(tls, file, size)
}

func syncFile(tls *libc.TLS, file uintptr, flags int32) int32 {
	d, m := below(file)
	switch d.now() {
	case broken, unsynced, flaky:
		return sqlite.SQLITE_IOERR_FSYNC
	case slow:
		time.Sleep(d.latency())
	default:
	}
	return function[func(*libc.TLS, uintptr, int32) int32](m.FxSync)(tls, file, flags)
}

// at is what lies at an address of SQLite's memory, which the garbage collector does not know.
func at[T any](p uintptr) *T { return *(**T)(unsafe.Pointer(&p)) }

func allocated[T any](tls *libc.TLS) (*T, uintptr) {
	var zero T
	p := libc.Xcalloc(tls, 1, libc.Tsize_t(unsafe.Sizeof(zero)))
	return at[T](p), p
}

// function is the function that SQLite knows by a pointer, and pointer the reverse of it, for one that is no closure.
func function[F any](p uintptr) F { return *(*F)(unsafe.Pointer(&p)) }

func pointer[F any](f F) uintptr { return *(*uintptr)(unsafe.Pointer(&f)) }

// TestDisk has each ailment seen by who writes, and what was acknowledged outlive it.
func TestDisk(t *testing.T) {
	t.Parallel()
	for a := full; a < ailments; a++ {
		t.Run(a.String(), func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) { suffer(t, a) })
		})
	}
}

// suffer writes ten times to a disk that ails, and once more to it when it is well again.
func suffer(t *testing.T, a ailment) {
	t.Helper()
	dir := folder(t)
	d, forget := newDisk(dir, rand.New(rand.NewPCG(1, 1)))
	defer forget()
	db, err := sql.Open("sqlite", "file:"+filepath.Join(dir, "x.db")+"?_pragma=journal_mode(wal)&_pragma=synchronous(full)")
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close()
	insert := func() error {
		_, err := db.ExecContext(t.Context(), "INSERT INTO x VALUES (randomblob(5000))")
		return err
	}
	if _, err := db.ExecContext(t.Context(), "CREATE TABLE x (x)"); err != nil {
		t.Fatal(err)
	}
	d.set(a)
	begin, stored, failed := time.Now(), 0, 0
	for range 10 {
		if insert() == nil {
			stored++
		} else {
			failed++
		}
	}
	if a == slow && (failed > 0 || time.Since(begin) < time.Second) || a != slow && failed == 0 {
		t.Errorf("%d of 10 writes failed, within %v", failed, time.Since(begin))
	}
	d.set(sound)
	if err := insert(); err != nil {
		t.Errorf("on a disk that is well again: %v", err)
	}
	var n int
	if err := db.QueryRowContext(t.Context(), "SELECT count(*) FROM x").Scan(&n); err != nil || n != stored+1 {
		t.Errorf("%d rows, %v, of %d", n, err, stored+1)
	}
}
