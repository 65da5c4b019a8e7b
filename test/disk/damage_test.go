package disk

import (
	"bufio"
	"context"
	"encoding/json"
	"math/rand/v2"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/postrider/postrider/test/harness"
)

// damage overwrites some bytes in one of every few pages, the first one left alone.
func damage(t *testing.T, dir string, random *rand.Rand) {
	t.Helper()
	f, err := os.OpenFile(filepath.Join(dir, "postrider.db"), os.O_RDWR, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	info, err := f.Stat()
	if err != nil {
		t.Fatal(err)
	}
	for at := int64(4096); at < info.Size(); at += 4096 * int64(1+random.IntN(8)) {
		rubbish := make([]byte, 64)
		for i := range rubbish {
			rubbish[i] = byte(random.Uint32())
		}
		if _, err := f.WriteAt(rubbish, at+int64(random.IntN(4096-64))*int64(random.IntN(2))); err != nil { // every second time the page's head
			t.Fatal(err)
		}
	}
}

// delivered makes a folder in which n events are delivered.
func delivered(t *testing.T, n int) (data string) {
	t.Helper()
	r := harness.NewReceiver(t, nil)
	data = t.TempDir()
	s := harness.Start(t, data, settings...)
	s.Subscribe(t, s.Target(t, r.URL).ID, []string{"*"})
	for range n {
		s.Publish(t, "a.b", make([]byte, 3000))
	}
	r.AwaitCount(t, n)
	s.StopCleanly(t)
	return data
}

// TestDamagedFile starts on copies with damaged pages: check says so, and serve either refuses to start or answers 503 with the reason
// where it meets one; what it answers with 202 is there.
func TestDamagedFile(t *testing.T) {
	t.Parallel()
	copies := 6
	if testing.Short() {
		copies = 2
	}
	seed := uint64(time.Now().UnixNano())
	t.Logf("seed %d", seed)
	random := rand.New(rand.NewPCG(seed, 0))
	data := delivered(t, 60)
	refused, answered, accepted := 0, 0, 0
	for range copies {
		dir := copyData(t, data)
		damage(t, dir, random)
		if _, sound := check(t, dir); sound {
			t.Error("check finds no fault")
		}
		switch firstWord(t, dir, "postrider is ready", "is damaged") {
		case "is damaged":
			refused++
		case "":
			t.Error("serve neither starts nor says why not")
		default:
			told, taken := publishOnDamaged(t, dir)
			answered, accepted = answered+told, accepted+taken
		}
	}
	t.Logf("%d copies: %d starts refused; %d events answered with 503, %d with 202", copies, refused, answered, accepted)
}

// publishOnDamaged starts on a damaged folder and publishes: each event is accepted, or answered with 503 and the reason.
func publishOnDamaged(t *testing.T, dir string) (answered, accepted int) {
	t.Helper()
	s, err := harness.Launch(dir, settings...)
	if err != nil {
		t.Fatal(err)
	}
	defer s.Kill()
	for range 20 {
		a, err := s.Call(t.Context(), http.MethodPost, "/webhooks/events", make([]byte, 3000), "Postrider-Event-Type: a.b")
		if err != nil {
			t.Errorf("the server is gone: %v\n%s", err, s.Log().Tail(20))
			break
		}
		var answer struct{ ID, Detail string }
		if err := json.Unmarshal(a.Body, &answer); err != nil {
			t.Errorf("answer %q", a.Body)
		}
		switch {
		case a.Status == http.StatusAccepted:
			accepted++
		case a.Status == http.StatusServiceUnavailable && strings.Contains(answer.Detail, "it is damaged"):
			answered++
		default:
			t.Errorf("status %d: %s", a.Status, a.Body)
		}
	}
	if s.Log().Contains("panic") {
		t.Errorf("a panic:\n%s", s.Log().Tail(50))
	}
	return answered, accepted
}

// firstWord runs serve on a folder until it writes one of some texts, and returns that; "" if it ends without.
func firstWord(t *testing.T, dir string, texts ...string) string {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), harness.Patience)
	defer cancel()
	cmd := harness.Command(ctx, append([]string{"serve", "--listen", "127.0.0.1:0", "--data", dir}, settings...)...)
	out, err := cmd.StderrPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	defer func() { _ = cmd.Wait() }()
	defer cancel() // it may go on
	for lines := bufio.NewScanner(out); lines.Scan(); {
		for _, text := range texts {
			if strings.Contains(lines.Text(), text) {
				return text
			}
		}
	}
	return ""
}

// TestLockedFile has another program lock the file, as slow as a disk can be: intake waits, what cannot be written within its time is
// answered 503, and afterwards all goes on; everything acknowledged arrives.
func TestLockedFile(t *testing.T) {
	t.Parallel()
	if testing.Short() {
		t.Skip("it waits until SQLite gives up")
	}
	r := harness.NewReceiver(t, nil)
	data := t.TempDir()
	s := harness.Start(t, data, settings...)
	s.Subscribe(t, s.Target(t, r.URL).ID, []string{"disk.*"})
	db := open(t, data)
	defer db.Close()
	var l ledger
	refused := make(chan string, 1000)
	stop := load(t, s, &l, 4, 1000, func(a harness.Answer) { refused <- string(a.Body) })
	defer func() { stop() }()
	l.grow(t, 20, "events are acknowledged")
	if _, err := db.ExecContext(t.Context(), "PRAGMA busy_timeout = 60000; BEGIN IMMEDIATE"); err != nil {
		t.Fatal(err)
	}
	reason := <-refused
	if !strings.Contains(reason, "locked") {
		t.Errorf("answer %s", reason)
	}
	if _, err := db.ExecContext(t.Context(), "ROLLBACK"); err != nil {
		t.Fatal(err)
	}
	l.grow(t, 20, "intake goes on")
	stop()
	ids := l.ids()
	awaitAll(t, r, ids)
	s.StopCleanly(t)
	if report, sound := check(t, data); !sound {
		t.Error(report.Faults)
	}
}
