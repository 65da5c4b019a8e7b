package disk

import (
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"golang.org/x/sys/unix"
)

// The ioctls of linux/fs.h and of ext4.
const (
	fiFreeze     = 0xc0045877
	fiThaw       = 0xc0045878
	ext4Shutdown = 0x8004587d
	noLogFlush   = 2 // as a power loss
)

// loop is a file system of its own, in an image file.
type loop struct {
	t      *testing.T
	image  string
	dir    string
	Data   string // a folder in it
	device string // such as loop3
}

// newLoop makes and mounts one, or skips the test where that can't be done.
func newLoop(t *testing.T, bytes int64) *loop {
	t.Helper()
	if os.Geteuid() != 0 {
		t.Skip("a file system of its own can't be mounted: run this test as root")
	}
	for _, tool := range []string{"mkfs.ext4", "fsck.ext4", "mount", "umount"} {
		if _, err := exec.LookPath(tool); err != nil {
			t.Skipf("a file system of its own can't be made: %v", err)
		}
	}
	dir := t.TempDir()
	l := &loop{t: t, image: filepath.Join(dir, "image"), dir: filepath.Join(dir, "mnt")}
	l.Data = filepath.Join(l.dir, "data")
	if err := os.WriteFile(l.image, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	if err := errors.Join(os.Truncate(l.image, bytes), os.Mkdir(l.dir, 0o700)); err != nil {
		t.Fatal(err)
	}
	l.tool("mkfs.ext4", "-q", l.image)
	if out, err := l.command("mount", "-o", "loop,errors=remount-ro", l.image, l.dir); err != nil {
		t.Skipf("a file system of its own can't be mounted here: %v: %s", err, out)
	}
	t.Cleanup(func() {
		if l.mounted() != "" {
			l.unmount()
		}
	})
	l.device = l.mounted()
	return l
}

func (l *loop) command(name string, args ...string) (string, error) {
	out, err := exec.Command(name, args...).CombinedOutput() // also while the test is being cleaned up
	return string(out), err
}

func (l *loop) tool(name string, args ...string) {
	l.t.Helper()
	if out, err := l.command(name, args...); err != nil {
		l.t.Fatalf("%s %v: %v: %s", name, args, err, out)
	}
}

// mounted is the device, "" if it is not mounted.
func (l *loop) mounted() string {
	l.t.Helper()
	mounts, err := os.ReadFile("/proc/self/mounts")
	if err != nil {
		l.t.Fatal(err)
	}
	for line := range strings.Lines(string(mounts)) {
		if f := strings.Fields(line); len(f) > 1 && f[1] == l.dir {
			return filepath.Base(f[0])
		}
	}
	return ""
}

func (l *loop) unmount() {
	l.t.Helper()
	l.tool("umount", l.dir)
}

// mend checks and repairs it as a start of the machine would, and mounts it with more options.
func (l *loop) mend(options string) {
	l.t.Helper()
	if out, err := l.command("fsck.ext4", "-fy", l.image); err != nil {
		var exit *exec.ExitError
		if !errors.As(err, &exit) || exit.ExitCode() > 1 { // 1: it was mended
			l.t.Fatalf("fsck: %v: %s", err, out)
		}
	}
	l.tool("mount", "-o", "loop,errors=remount-ro"+options, l.image, l.dir)
	l.device = l.mounted()
}

func (l *loop) ioctl(request uint, value int) error {
	l.t.Helper()
	f, err := os.Open(l.dir)
	if err != nil {
		l.t.Fatal(err)
	}
	defer f.Close()
	if request == ext4Shutdown {
		return unix.IoctlSetPointerInt(int(f.Fd()), request, value)
	}
	return unix.IoctlSetInt(int(f.Fd()), request, value)
}

// freeze has every write to it wait; a test that ends thaws it.
func (l *loop) freeze() {
	l.t.Helper()
	if err := l.ioctl(fiFreeze, 0); err != nil {
		l.t.Fatalf("freeze: %v", err)
	}
	l.t.Cleanup(func() { _ = l.ioctl(fiThaw, 0) }) // it is thawed, mostly
}

func (l *loop) thaw() {
	l.t.Helper()
	if err := l.ioctl(fiThaw, 0); err != nil {
		l.t.Fatalf("thaw: %v", err)
	}
}
