package kafka

import (
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/postrider/postrider"
)

// writeFile makes a file of its own folder.
func writeFile(t *testing.T, name, content string) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), name)
	if err := os.WriteFile(path, []byte(content), 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

// TestSecurityOnKafka tries TLS, mutual TLS, SASL PLAIN and SCRAM on a real broker: what is right works for producer, reader
// and admin requests; what is wrong is told.
func TestSecurityOnKafka(t *testing.T) {
	t.Parallel()
	b := startSecureBroker(t)
	cert, key := b.authority.issue(t, "postrider")
	ca := "&ca=" + writeFile(t, "ca.pem", b.authority.pem)
	pair := "&cert=" + writeFile(t, "cert.pem", cert) + "&key=" + writeFile(t, "key.pem", key)
	hush, wrong := "&password-file="+writeFile(t, "password", "hush\n"), "&password-file="+writeFile(t, "password", "bad-secret\n")
	foreign := "&ca=" + writeFile(t, "foreign.pem", newAuthority(t).pem)
	at := func(scheme string, port int, topic, query string) string {
		return fmt.Sprintf("%s127.0.0.1:%d/%s?partitions=1%s", scheme, port, topic, query)
	}
	good := map[string]string{
		"tls":  at("kafka+tls://", b.tls, "tls", ca),
		"mtls": at("kafka+tls://", b.mtls, "mtls", ca+pair),
	}
	refused := map[string]string{}
	for _, mechanism := range []string{saslPlain, saslSHA256, saslSHA512} {
		good[mechanism+" over tls"] = at("kafka+tls://ann@", b.sasl, mechanism, ca+hush+"&sasl="+mechanism)
		good[mechanism] = at("kafka://ann@", b.clear, "clear-"+mechanism, hush+"&sasl="+mechanism)
		refused[mechanism+" with a wrong password"] = at("kafka+tls://ann@", b.sasl, "wrong", ca+wrong+"&sasl="+mechanism)
		refused[mechanism+" of an unknown user"] = at("kafka://bob@", b.clear, "wrong", hush+"&sasl="+mechanism)
	}
	for name, url := range good {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			l := openEvents(t, url)
			untilReady(t, l.link)
			add(t, l, numbered(3)...)
			take(t, reader(t, l), 3, true)
			if err := l.Check(within(t)); err != nil {
				t.Error(err)
			}
		})
	}
	for name, url := range refused {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			l, err := OpenEvents(within(t), EventOptions{URL: url, Logger: slog.New(slog.DiscardHandler)})
			if err == nil {
				l.Close()
				t.Fatal("no error")
			}
			if strings.Contains(err.Error(), "bad-secret") || !strings.Contains(err.Error(), PasswordVariable) {
				t.Errorf("%v, want the settings named and no password", err)
			}
		})
	}
	for name, url := range map[string]string{
		"tls of another authority":   at("kafka+tls://", b.tls, "foreign", foreign),
		"mtls without a certificate": at("kafka+tls://", b.mtls, "none", ca),
		"no tls where it is needed":  at("kafka://", b.tls, "none", ""),
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			err := openEvents(t, url).Check(within(t))
			if postrider.CodeOf(err) != postrider.CodeUnavailable {
				t.Errorf("Check: %v", err)
			}
			t.Log(err)
		})
	}
}
