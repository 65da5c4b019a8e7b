package hostile

import (
	"context"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"net/netip"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/postrider/postrider/internal/app"
	"github.com/postrider/postrider/internal/config"
	"github.com/postrider/postrider/test/harness"
)

// network answers for DNS and for the dials to targets.
type network struct {
	to string // where every dial leads

	mu     sync.Mutex
	asked  map[string]int // by host
	dialed map[string]int // by address
}

// LookupNetIP answers by the first label of the name.
func (n *network) LookupNetIP(ctx context.Context, _, host string) ([]netip.Addr, error) {
	n.mu.Lock()
	n.asked[host]++
	times := n.asked[host]
	n.mu.Unlock()
	public, private := netip.MustParseAddr("93.184.216.34"), netip.MustParseAddr("127.0.0.1")
	switch kind, _, _ := strings.Cut(host, "."); kind {
	case "slow":
		<-ctx.Done()
		return nil, ctx.Err()
	case "failing":
		return nil, &net.DNSError{Err: "server misbehaving", Name: host, Server: "10.0.0.53:53", IsTemporary: true}
	case "unknown":
		return nil, &net.DNSError{Err: "no such host", Name: host, IsNotFound: true}
	case "empty":
		return nil, nil
	case "private":
		return []netip.Addr{private, netip.MustParseAddr("::ffff:10.0.0.1"), netip.MustParseAddr("64:ff9b::7f00:1")}, nil
	case "mixed":
		return []netip.Addr{private, public}, nil
	case "rebinding": // public for the first attempt only
		if times > 1 {
			return []netip.Addr{private}, nil
		}
		return []netip.Addr{public}, nil
	case "crowded":
		var all []netip.Addr
		for a := netip.MustParseAddr("93.184.0.1"); len(all) < 2000; a = a.Next() {
			all = append(all, a)
		}
		return all, nil
	}
	return []netip.Addr{public}, nil
}

// dial leads to the receiver, but for the addresses of the crowd, at which nobody listens.
func (n *network) dial(ctx context.Context, network, addr string) (net.Conn, error) {
	n.mu.Lock()
	n.dialed[addr]++
	n.mu.Unlock()
	if strings.HasPrefix(addr, "93.184.0.") {
		return nil, &net.OpError{Op: "dial", Net: network, Err: fmt.Errorf("refused")}
	}
	return new(net.Dialer).DialContext(ctx, network, n.to)
}

// start runs all roles in this process, on the network.
func (n *network) start(t *testing.T, args ...string) *harness.Server {
	t.Helper()
	c, err := config.Parse(append([]string{"--data", t.TempDir(), "--listen", "127.0.0.1:0"}, args...)...)
	if err != nil {
		t.Fatal(err)
	}
	ready, ended := make(chan app.Ready, 1), make(chan error, 1)
	ctx, cancel := context.WithCancel(t.Context())
	go func() {
		ended <- app.Run(ctx, app.Options{Config: c, Logger: slog.New(slog.DiscardHandler), Resolver: n, Dial: n.dial, Ready: func(r app.Ready) { ready <- r }})
	}()
	select {
	case r := <-ready:
		t.Cleanup(func() {
			cancel()
			if err := <-ended; err != nil {
				t.Errorf("the process ended: %v", err)
			}
		})
		return &harness.Server{URL: r.URL, Key: r.AdminKey}
	case err := <-ended:
		cancel()
		t.Fatalf("the process did not start: %v", err)
		return nil
	}
}

// TestDNS has targets whose names resolve slowly, not at all, to what is private, or to something else each time.
func TestDNS(t *testing.T) {
	t.Parallel()
	var up sync.Map // by path: it answers 200
	receiver := harness.NewReceiver(t, func(m *harness.Message, w http.ResponseWriter) int {
		if _, ok := up.Load(m.Path); ok {
			return http.StatusOK
		}
		w.Header().Set("Connection", "close") // so that the next attempt dials
		return http.StatusInternalServerError
	})
	n := &network{to: receiver.Listener.Addr().String(), asked: map[string]int{}, dialed: map[string]int{}}
	s := n.start(t, "--timeout", timeout.String(), "--retry-base", "100ms", "--retry-max", "200ms", "--retry-window", "1h")
	for _, c := range []nameCase{
		{"slow", 1, []string{"timeout", "dns"}, ""},
		{"failing", 1, []string{"dns"}, "the host's name did not resolve"},
		{"unknown", 1, []string{"dns"}, "the host's name is not known"},
		{"empty", 1, []string{"dns"}, ""},
		{"private", 1, []string{"forbidden"}, "the target's address is not public and not allowed"},
		{"mixed", 1, []string{"ok"}, ""},
		{"rebinding", 2, []string{"forbidden"}, "the target's address is not public and not allowed"},
		{"crowded", 1, []string{"connect"}, ""},
	} {
		t.Run(c.host, func(t *testing.T) {
			if c.host == "mixed" {
				up.Store("/mixed", nil)
			}
			c.attempted(t, s)
		})
	}
	n.checkDialed(t)
}

// nameCase is a host's first label, and how an attempt at it is to end.
type nameCase struct {
	host    string
	attempt int // that is looked at
	classes []string
	text    string
}

// attempted has the host attempted, and looks at how the attempt ends.
func (c nameCase) attempted(t *testing.T, s *harness.Server) {
	t.Helper()
	kind := "dns." + c.host
	target := s.TargetWith(t, map[string]any{"url": "http://" + c.host + ".example/" + c.host, "retry": map[string]any{"base": "100ms", "max": "200ms"}})
	s.Subscribe(t, target.ID, []string{kind})
	event := s.Publish(t, kind, []byte("{}"))
	got := s.AwaitDeliveries(t, "eventId="+event, func(d []harness.Delivery) bool { return len(d) == 1 && d[0].Attempts >= c.attempt })
	var a harness.Attempt
	for _, one := range s.Attempts(t, got[0].ID) {
		if one.Number == c.attempt {
			a = one
		}
	}
	t.Logf("%s after %d ms: %s", a.Class, a.DurationMs, a.Error)
	if !slices.Contains(c.classes, a.Class) || c.text != "" && a.Error != c.text || strings.Contains(a.Error, "10.0.0.53") {
		t.Errorf("class %s (%s), want %v (%s)", a.Class, a.Error, c.classes, c.text)
	}
	if took := time.Duration(a.DurationMs) * time.Millisecond; took > timeout+margin {
		t.Errorf("it took %v of a timeout of %v", took, timeout)
	}
}

// checkDialed: of the crowd some addresses were dialed, but not many, and nothing private was.
func (n *network) checkDialed(t *testing.T) {
	t.Helper()
	n.mu.Lock()
	defer n.mu.Unlock()
	crowd := 0
	for addr := range n.dialed {
		switch {
		case strings.HasPrefix(addr, "93.184.0."):
			crowd++
		case addr != "93.184.216.34:80":
			t.Errorf("%s was dialed", addr)
		}
	}
	if crowd == 0 || crowd > 8 {
		t.Errorf("%d addresses of one name were tried", crowd)
	}
}
