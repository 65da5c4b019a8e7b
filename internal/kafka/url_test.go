package kafka

import (
	"errors"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/postrider/postrider"
)

func TestURL(t *testing.T) {
	t.Parallel()
	secret := filepath.Join(t.TempDir(), "password")
	if err := os.WriteFile(secret, []byte("hush\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	l, err := parseURL("events", "kafka+tls://ann@a:1,b,[::1]:3/orders?group=g&registry=http://r:8081&start=latest&dead=d&partitions=6&replication=3"+
		"&sasl=scram-sha-512&password-file="+secret+"&ca=ca.pem&cert=c.pem&key=k.pem")
	if err != nil {
		t.Fatal(err)
	}
	if want := []string{"a:1", "b:9092", "[::1]:3"}; !slices.Equal(l.brokers, want) {
		t.Errorf("brokers %q, want %q", l.brokers, want)
	}
	want := location{brokers: l.brokers, topic: "orders", group: "g", registry: "http://r:8081", latest: true, dead: "d", partitions: 6, replication: 3,
		tls: true, ca: "ca.pem", cert: "c.pem", key: "k.pem", sasl: saslSHA512, user: "ann", password: "hush"}
	if got := l; !equal(got, want) {
		t.Errorf("got %+v, want %+v", got, want)
	}
	l, err = parseURL("events", "kafka://localhost/orders")
	if err != nil || l.group != "postrider-orders" || l.dead != "orders-dead" || l.latest || l.partitions != -1 || l.brokers[0] != "localhost:9092" {
		t.Errorf("defaults: %+v, %v", l, err)
	}
}

func equal(a, b location) bool {
	a.brokers, b.brokers = nil, nil
	return a.topic == b.topic && a.group == b.group && a.registry == b.registry && a.latest == b.latest && a.dead == b.dead &&
		a.partitions == b.partitions && a.replication == b.replication && a.tls == b.tls && a.ca == b.ca && a.cert == b.cert &&
		a.key == b.key && a.sasl == b.sasl && a.user == b.user && a.password == b.password
}

func TestURLFaults(t *testing.T) {
	t.Parallel()
	for raw, count := range map[string]int{
		"":                                        1,
		"http://a/b":                              1,
		"kafka://a":                               1, // no topic
		"kafka://a/b/c":                           1,
		"kafka:///b":                              1,
		"kafka://a:0/b":                           1,
		"kafka://a/b?start=now":                   1,
		"kafka://a/b?dead=b":                      1,
		"kafka://a/b?nonsense=1&more=2":           2,
		"kafka://a/b?registry=ftp://x":            1,
		"kafka://a/b?partitions=0":                1,
		"kafka://a/b?ca=x":                        1,
		"kafka+tls://a/b?cert=x":                  1,
		"kafka://ann@a/b":                         1,
		"kafka://a/b?sasl=gssapi":                 1,
		"kafka://a/b?sasl=plain":                  2, // no user, no password
		"kafka://a/b?sasl=oauthbearer":            1,
		"kafka://ann:hush@a/b?sasl=plain":         2, // a password in the URL, none where it belongs
		"kafka://a/?start=x&dead=!&replication=x": 4,
	} {
		_, err := parseURL("events", raw)
		var e *postrider.Error
		if !errors.As(err, &e) || e.Code != postrider.CodeInvalid {
			t.Errorf("%s: %v, want CodeInvalid", raw, err)
			continue
		}
		if len(e.Fields) != count {
			t.Errorf("%s: %d faults, want %d: %v", raw, len(e.Fields), count, err)
		}
		if strings.Contains(err.Error(), "hush") {
			t.Errorf("%s: the error shows the password", raw)
		}
	}
}

func FuzzURL(f *testing.F) {
	f.Add("kafka://a:1,b:2/topic?group=g&start=earliest")
	f.Add("kafka+tls://u@a/t?sasl=plain")
	f.Fuzz(func(t *testing.T, raw string) {
		l, err := parseURL("events", raw)
		if err == nil && (l.topic == "" || l.group == "" || l.dead == l.topic || len(l.brokers) == 0) {
			t.Errorf("%q: accepted as %+v", raw, l)
		}
	})
}
