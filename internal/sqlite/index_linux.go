package sqlite

import (
	"strings"
	"sync"
	"time"
	"unsafe"

	"golang.org/x/sys/unix"
	"modernc.org/libc"
	lib "modernc.org/sqlite/lib"
)

// SQLite keeps the index of the -wal file in the -shm file, which every process that has the file open maps into memory. A
// store into such a page waits in the kernel while the file system is frozen, as it is for a snapshot, or the disk hangs; and
// a goroutine that waits in a store keeps its processor, so that with the next garbage collection the whole process stands
// still, health and all. Two file systems for SQLite (VFS), made of the default one, see to it that none does:
//
//   - Before the writer's connection stores into the index, which it does after it locked a part of it or synced a file, the
//     pages are made writable by a system call, which waits without harm.
//   - The readers' connections store nothing. They would, to mark how far they read; that they are refused, and use a mark that
//     the writer made when it began a group, which holds back a checkpoint by as much.
const (
	writerVFS = "postrider-writer"
	readerVFS = "postrider-reader"

	firstMark = 4 // the lock of the first mark that can be set: WAL_READ_LOCK(1)

	mayRefuse = 40 // marks in a row: SQLite asks for one of four, and goes on without; where there is none to use, it needs one

	atOnce = 50 * time.Microsecond // less tells that nothing was waited for
	looks  = 50
)

// index is the memory that the -shm file of a path is mapped to.
type index struct {
	mu      sync.Mutex
	users   map[uintptr]struct{} // files that use it
	regions map[int32]region
}

type region struct{ at, size uintptr }

// vfs is what SQLite is given, and what that is made of.
type vfs struct {
	base *lib.Tsqlite3_vfs

	mu      sync.Mutex
	indexes map[string]*index
	files   map[uintptr]*opened // by the address of the open file
	methods map[variant]uintptr
}

// opened is a file of SQLite's, the database or its -wal file.
type opened struct {
	*index
	base    *lib.Tsqlite3_io_methods // what the default file system does with it
	refused int                      // marks in a row, for lack of which SQLite tries again
}

// variant is of what methods there is a copy, and for whom.
type variant struct {
	from   uintptr
	reader bool
}

var (
	vfsOnce sync.Once
	theVFS  *vfs // nil: there is none
)

// indexVFS is the name of the file system for a connection, "" for the default one if they can't be made.
func indexVFS(readOnly bool) string {
	vfsOnce.Do(func() { theVFS = newVFS() })
	switch {
	case theVFS == nil:
		return ""
	case readOnly:
		return readerVFS
	}
	return writerVFS
}

func newVFS() *vfs {
	tls := libc.NewTLS()
	defer tls.Close()
	base := lib.Xsqlite3_vfs_find(tls, 0)
	if base == 0 {
		return nil
	}
	v := &vfs{base: at[lib.Tsqlite3_vfs](base), indexes: map[string]*index{}, files: map[uintptr]*opened{}, methods: map[variant]uintptr{}}
	for name, open := range map[string]uintptr{writerVFS: pointer(openWriter), readerVFS: pointer(openReader)} {
		made := libc.Xmalloc(tls, lib.Tsize_t(unsafe.Sizeof(*v.base)))
		zName, err := libc.CString(name)
		if made == 0 || err != nil {
			return nil
		}
		its := at[lib.Tsqlite3_vfs](made)
		*its = *v.base
		its.FzName, its.FxOpen, its.FpNext = zName, open, 0
		if lib.Xsqlite3_vfs_register(tls, made, 0) != lib.SQLITE_OK {
			return nil
		}
	}
	return v
}

func openWriter(tls *libc.TLS, vfs, name, file uintptr, flags int32, out uintptr) int32 {
	return theVFS.open(tls, vfs, name, file, flags, out, false)
}

func openReader(tls *libc.TLS, vfs, name, file uintptr, flags int32, out uintptr) int32 {
	return theVFS.open(tls, vfs, name, file, flags, out, true)
}

func (v *vfs) open(tls *libc.TLS, its, name, file uintptr, flags int32, out uintptr, reader bool) int32 {
	rc := function[func(*libc.TLS, uintptr, uintptr, uintptr, int32, uintptr) int32](v.base.FxOpen)(tls, its, name, file, flags, out)
	if rc != lib.SQLITE_OK || name == 0 || flags&(lib.SQLITE_OPEN_MAIN_DB|lib.SQLITE_OPEN_WAL) == 0 {
		return rc
	}
	v.mu.Lock()
	defer v.mu.Unlock()
	methods := &at[lib.Tsqlite3_file](file).FpMethods
	copied := v.copyOf(tls, variant{*methods, reader})
	if copied == 0 {
		return rc
	}
	path := strings.TrimSuffix(libc.GoString(name), "-wal")
	if v.indexes[path] == nil {
		v.indexes[path] = &index{users: map[uintptr]struct{}{}, regions: map[int32]region{}}
	}
	v.files[file] = &opened{index: v.indexes[path], base: at[lib.Tsqlite3_io_methods](*methods)}
	*methods = copied
	return rc
}

// copyOf is a copy of methods, with ours in it.
func (v *vfs) copyOf(tls *libc.TLS, of variant) uintptr {
	if made := v.methods[of]; made != 0 {
		return made
	}
	made := libc.Xmalloc(tls, lib.Tsize_t(unsafe.Sizeof(lib.Tsqlite3_io_methods{})))
	if made == 0 {
		return 0
	}
	m := at[lib.Tsqlite3_io_methods](made)
	*m = *at[lib.Tsqlite3_io_methods](of.from)
	m.FxClose, m.FxSync = pointer(closeFile), pointer(syncFile)
	if m.FxShmMap != 0 { // which the -wal file has not
		m.FxShmMap, m.FxShmUnmap, m.FxShmLock = pointer(mapIndex), pointer(unmapIndex), pointer(lockIndex)
		if of.reader {
			m.FxShmLock = pointer(lockIndexToRead)
		}
	}
	v.methods[of] = made
	return made
}

func (v *vfs) of(file uintptr) *opened {
	v.mu.Lock()
	defer v.mu.Unlock()
	return v.files[file]
}

func closeFile(tls *libc.TLS, file uintptr) int32 {
	v := theVFS
	f := v.of(file)
	v.mu.Lock()
	delete(v.files, file)
	v.mu.Unlock()
	return function[func(*libc.TLS, uintptr) int32](f.base.FxClose)(tls, file)
}

func mapIndex(tls *libc.TLS, file uintptr, n, size, extend int32, out uintptr) int32 {
	f := theVFS.of(file)
	rc := function[func(*libc.TLS, uintptr, int32, int32, int32, uintptr) int32](f.base.FxShmMap)(tls, file, n, size, extend, out)
	if mapped := *at[uintptr](out); rc == lib.SQLITE_OK && mapped != 0 {
		f.mu.Lock()
		defer f.mu.Unlock()
		f.users[file] = struct{}{}
		f.regions[n] = region{mapped, uintptr(size)}
	}
	return rc
}

func unmapIndex(tls *libc.TLS, file uintptr, remove int32) int32 {
	f := theVFS.of(file)
	f.mu.Lock()
	if delete(f.users, file); len(f.users) == 0 {
		clear(f.regions)
	}
	f.mu.Unlock()
	return function[func(*libc.TLS, uintptr, int32) int32](f.base.FxShmUnmap)(tls, file, remove)
}

func syncFile(tls *libc.TLS, file uintptr, flags int32) int32 {
	f := theVFS.of(file)
	rc := function[func(*libc.TLS, uintptr, int32) int32](f.base.FxSync)(tls, file, flags)
	f.makeWritable()
	return rc
}

func lockIndex(tls *libc.TLS, file uintptr, first, n, flags int32) int32 {
	f := theVFS.of(file)
	if flags == lib.SQLITE_SHM_LOCK|lib.SQLITE_SHM_EXCLUSIVE {
		f.makeWritable() // before the lock, which must not be held while this waits
	}
	return function[func(*libc.TLS, uintptr, int32, int32, int32) int32](f.base.FxShmLock)(tls, file, first, n, flags)
}

func lockIndexToRead(tls *libc.TLS, file uintptr, first, n, flags int32) int32 {
	f := theVFS.of(file)
	if flags == lib.SQLITE_SHM_LOCK|lib.SQLITE_SHM_EXCLUSIVE && first >= firstMark && f.refused < mayRefuse {
		f.refused++
		return lib.SQLITE_BUSY
	}
	rc := lockIndex(tls, file, first, n, flags)
	if rc == lib.SQLITE_OK {
		f.refused = 0
	}
	return rc
}

// makeWritable waits until the pages can be stored to. Where the kernel can't say (before Linux 5.14) it does nothing. If it had to wait
// it looks again: a freeze may have begun right behind.
func (ix *index) makeWritable() {
	ix.mu.Lock()
	regions := make([]region, 0, 8)
	for _, r := range ix.regions {
		regions = append(regions, r)
	}
	ix.mu.Unlock()
	for range looks {
		start := time.Now()
		for _, r := range regions {
			_, _, _ = unix.Syscall(unix.SYS_MADVISE, r.at, r.size, unix.MADV_POPULATE_WRITE) // what can't be stored to, SQLite will tell of
		}
		if time.Since(start) < atOnce {
			return
		}
	}
}

// at is what stands at an address of SQLite's memory.
func at[T any](address uintptr) *T { return *(**T)(unsafe.Pointer(&address)) }

// function is the function that a pointer of SQLite's stands for, pointer the opposite.
func function[F any](p uintptr) F { return *(*F)(unsafe.Pointer(&p)) }

func pointer(f any) uintptr { return (*[2]uintptr)(unsafe.Pointer(&f))[1] }
