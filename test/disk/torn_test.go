package disk

import (
	"encoding/binary"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/postrider/postrider/test/harness"
)

const (
	walHeader   = 32 // bytes; the file format of SQLite, section 4
	frameHeader = 24

	indexSalt    = 32 // offsets in a -shm file; the format of SQLite's WAL-index, sections 2.1 and 2.2
	indexAttempt = 128
)

// wal is what a -wal file holds: the frames since it was last begun anew.
type wal struct {
	page   int   // bytes
	frames []int // page numbers, in order
	sizes  []uint32
	bytes  []byte
	synced int // frames that a checkpoint may have begun to copy: it had them synced before, so no power loss takes them back
}

// readWAL reads the frames that belong to the header; ok is false if the file has none.
func readWAL(t *testing.T, dir string) (w wal, ok bool) {
	t.Helper()
	b, err := os.ReadFile(filepath.Join(dir, "postrider.db-wal"))
	if errors.Is(err, os.ErrNotExist) || err == nil && len(b) < walHeader {
		return w, false
	}
	if err != nil {
		t.Fatal(err)
	}
	w.page, w.bytes = int(binary.BigEndian.Uint32(b[8:])), b
	salt := string(b[16:24])
	for at := walHeader; at+frameHeader+w.page <= len(b) && string(b[at+8:at+16]) == salt; at += frameHeader + w.page {
		w.frames = append(w.frames, int(binary.BigEndian.Uint32(b[at:])))
		w.sizes = append(w.sizes, binary.BigEndian.Uint32(b[at+4:])) // of the file in pages, at a commit; else 0
	}
	w.synced = w.checkpointed(t, dir)
	return w, len(w.frames) > 0
}

// checkpointed reads from the -shm file how far a checkpoint has come, at most. An index that is ahead of the file, which is to
// be begun anew with the next frame, tells that all of it was copied.
func (w *wal) checkpointed(t *testing.T, dir string) int {
	t.Helper()
	index, err := os.ReadFile(filepath.Join(dir, "postrider.db-shm"))
	if err != nil || len(index) < indexAttempt+4 {
		t.Fatalf("the index of the -wal file: %d bytes, %v", len(index), err)
	}
	if string(index[indexSalt:indexSalt+8]) != string(w.bytes[16:24]) {
		return len(w.frames)
	}
	return min(len(w.frames), int(binary.NativeEndian.Uint32(index[indexAttempt:])))
}

// stopped copies a live folder at one instant: the process is stopped meanwhile, so the copy is what a crash would leave.
func stopped(t *testing.T, s *harness.Server, l *ledger) (dir string, acked []string) {
	t.Helper()
	s.Signal(syscall.SIGSTOP)
	defer s.Signal(syscall.SIGCONT)
	harness.Await(t, func() string { return unless(s.State() == 'T', "the process stands still") })
	acked = l.ids() // by now answered, so durable
	dir = copyData(t, s.Data)
	copyFile(t, filepath.Join(s.Data, "postrider.db-shm"), filepath.Join(dir, "postrider.db-shm"))
	return dir, acked
}

// events reads the ids in the log, in order.
func events(t *testing.T, dir string) []string {
	t.Helper()
	db := open(t, dir)
	defer db.Close()
	rows, err := db.QueryContext(t.Context(), "SELECT id FROM events ORDER BY position")
	if err != nil && strings.Contains(err.Error(), "no such table") {
		return nil // cut off before the file was made
	}
	if err != nil {
		t.Fatal(err)
	}
	defer rows.Close()
	var ids []string
	for rows.Next() {
		var id string
		if err := rows.Scan(&id); err != nil {
			t.Fatal(err)
		}
		ids = append(ids, id)
	}
	if err := rows.Err(); err != nil {
		t.Fatal(err)
	}
	return ids
}

func holdsAll(ids, wanted []string) error {
	have := map[string]bool{}
	for _, id := range ids {
		have[id] = true
	}
	for _, id := range wanted {
		if !have[id] {
			return fmt.Errorf("%s was acknowledged and is not there", id)
		}
	}
	return nil
}

// TestCrashAtAnyWrite copies a folder under load at many instants. Each copy is then opened as it is, with its -wal file cut off
// between and within every write that a power loss may take back, and with the pages torn that a checkpoint was writing. Nothing
// acknowledged is missing but what was cut off; nothing is half there.
func TestCrashAtAnyWrite(t *testing.T) {
	t.Parallel()
	instants, cuts := 12, 25
	if testing.Short() {
		instants, cuts = 3, 8
	}
	seed := uint64(time.Now().UnixNano())
	t.Logf("seed %d", seed)
	random := rand.New(rand.NewPCG(seed, 0))
	r := harness.NewReceiver(t, nil)
	s := harness.Start(t, t.TempDir(), settings...)
	s.Subscribe(t, s.Target(t, r.URL).ID, []string{"disk.*"})
	var l ledger
	stop := load(t, s, &l, 4, 100<<10, nil)
	var dirs []string
	var acked [][]string
	for range instants {
		<-time.After(time.Duration(random.IntN(200)) * time.Millisecond) // an instant at random is the point
		dir, ids := stopped(t, s, &l)
		dirs, acked = append(dirs, dir), append(acked, ids)
	}
	stop()
	s.Kill()
	opened := 0
	for i, dir := range dirs {
		opened += crashed(t, dir, acked[i])
		opened += cutOff(t, dir, cuts, random)
		opened += tornPages(t, dir, acked[i], random)
	}
	t.Logf("%d states of %d instants, %d events", opened, instants, len(acked[instants-1]))
}

// crashed opens a copy as it is.
func crashed(t *testing.T, dir string, acked []string) int {
	t.Helper()
	as := copyData(t, dir)
	if err := holdsAll(events(t, as), acked); err != nil {
		t.Error(err)
	}
	if report, sound := check(t, as); !sound {
		t.Errorf("after a crash: %v", report.Faults)
	}
	return 1
}

// cutOff opens a copy without the end of its -wal file, cut between frames and within them: what is there then is what was there at
// some commit before, so each cut holds no more than a later one.
func cutOff(t *testing.T, dir string, cuts int, random *rand.Rand) int {
	t.Helper()
	w, ok := readWAL(t, dir)
	if !ok {
		return 0
	}
	whole := events(t, copyData(t, dir))
	last := 0
	loose := len(w.frames) - w.synced
	cuts = min(cuts, loose)
	for i := range cuts {
		n := w.synced + (i+1)*loose/cuts // frames that are left, ascending
		torn := 0
		if i%2 == 1 {
			torn = random.IntN(frameHeader + w.page) // within the last frame
		}
		last = cutTo(t, dir, &w, whole, n, torn, last, i%4 == 0)
	}
	return cuts
}

// cutTo opens a copy with some frames of its -wal file, the last one torn by some bytes, and returns how many events are there: no fewer
// than with fewer frames.
func cutTo(t *testing.T, dir string, w *wal, whole []string, frames, torn, last int, checked bool) int {
	t.Helper()
	size := walHeader + frames*(frameHeader+w.page) - torn
	as := copyData(t, dir)
	defer os.RemoveAll(as) // there are many
	if err := os.WriteFile(filepath.Join(as, "postrider.db-wal"), w.bytes[:size], 0o600); err != nil {
		t.Fatal(err)
	}
	ids := events(t, as)
	if len(ids) < last || len(ids) > len(whole) {
		t.Errorf("%d events with %d frames, %d with fewer, %d with all", len(ids), frames, last, len(whole))
	}
	for i, id := range ids {
		if id != whole[i] {
			t.Fatalf("event %d is %s with %d frames, %s with all", i, id, frames, whole[i])
		}
	}
	if checked {
		if report, sound := check(t, as); !sound && !strings.Contains(report.Faults[0], "of an earlier version") { // cut off within the migrations
			t.Errorf("%d bytes of %d of the -wal file: %v", size, len(w.bytes), report.Faults)
		}
	}
	return len(ids)
}

// TestCrashAtEveryWrite cuts the -wal file of a short life off at every frame and within every frame, from the first migration on.
func TestCrashAtEveryWrite(t *testing.T) {
	t.Parallel()
	r := harness.NewReceiver(t, nil)
	s := harness.Start(t, t.TempDir(), settings...)
	s.Subscribe(t, s.Target(t, r.URL).ID, []string{"*"})
	var l ledger
	for i := range 12 {
		l.add(s.Publish(t, "a.b", make([]byte, 1+i*i*700))) // some in chunks
	}
	r.AwaitCount(t, 12)
	dir, acked := stopped(t, s, &l)
	s.Kill()
	w, ok := readWAL(t, dir)
	if !ok {
		t.Fatal("there is no -wal file")
	}
	whole := events(t, copyData(t, dir))
	if err := holdsAll(whole, acked); err != nil {
		t.Error(err)
	}
	last := 0
	for n := w.synced + 1; n <= len(w.frames); n++ {
		last = cutTo(t, dir, &w, whole, n, 1+n%(frameHeader+w.page-1), last, n%16 == 0) // what is torn is as if it were not there
		last = cutTo(t, dir, &w, whole, n, 0, last, n%16 == 8)
	}
	t.Logf("%d frames, %d events", len(w.frames)-w.synced, last)
	if last != len(whole) {
		t.Errorf("%d events of %d", last, len(whole))
	}
}

// tornPages writes half of a page, or rubbish, where a checkpoint could have been writing when the power failed: into pages of the
// file that the -wal file still holds.
func tornPages(t *testing.T, dir string, acked []string, random *rand.Rand) int {
	t.Helper()
	w, ok := readWAL(t, dir)
	if !ok {
		return 0
	}
	committed := len(w.frames)
	for committed > 0 && w.sizes[committed-1] == 0 {
		committed-- // frames after the last commit are no part of the file
	}
	as := copyData(t, dir)
	f, err := os.OpenFile(filepath.Join(as, "postrider.db"), os.O_RDWR, 0)
	if err != nil {
		t.Fatal(err)
	}
	info, err := f.Stat()
	if err != nil {
		t.Fatal(err)
	}
	for i, page := range w.frames[:committed] {
		at := int64(page-1) * int64(w.page)
		if at+int64(w.page) > info.Size() || page == 1 { // the first page's head is read before the -wal file; a sector of it is written whole
			continue
		}
		frame := w.bytes[walHeader+i*(frameHeader+w.page)+frameHeader:][:w.page]
		part := append([]byte(nil), frame[:random.IntN(w.page)]...)
		if i%3 == 0 {
			for j := range part {
				part[j] ^= 0xa5
			}
		}
		if _, err := f.WriteAt(part, at); err != nil {
			t.Fatal(err)
		}
	}
	f.Close()
	if err := holdsAll(events(t, as), acked); err != nil {
		t.Errorf("with torn pages: %v", err)
	}
	if report, sound := check(t, as); !sound {
		t.Errorf("with torn pages: %v", report.Faults)
	}
	return 1
}
