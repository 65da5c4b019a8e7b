package kafka

import (
	"encoding/base64"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

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

// TestSecurityOnKafka tries TLS, mutual TLS, SASL PLAIN, SCRAM and OAUTHBEARER on a real broker: what is right works for producer, reader
// and admin requests; what is wrong is told.
func TestSecurityOnKafka(t *testing.T) {
	t.Parallel()
	b := startSecureBroker(t)
	ca := "&ca=" + writeFile(t, "ca.pem", b.authority.pem)
	t.Run("a token that is renewed", func(t *testing.T) { t.Parallel(); b.renewed(t, ca) })
	t.Run("a token that is renewed late", func(t *testing.T) { t.Parallel(); b.renewedLate(t, ca) })
	u := b.urls(t, ca)
	for name, url := range u.good {
		t.Run(name, func(t *testing.T) { t.Parallel(); works(t, url) })
	}
	for name, url := range u.refused {
		t.Run(name, func(t *testing.T) { t.Parallel(); isRefused(t, url) })
	}
	for name, url := range u.away {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			err := openEvents(t, url).Check(within(t))
			if postrider.CodeOf(err) != postrider.CodeUnavailable {
				t.Errorf("Check: %v", err)
			}
		})
	}
}

// works uses a log for all that it is for.
func works(t *testing.T, url string) {
	t.Helper()
	l := openEvents(t, url)
	untilReady(t, l.link)
	add(t, l, numbered(3)...)
	take(t, reader(t, l), 3, true)
	if err := l.Check(within(t)); err != nil {
		t.Error(err)
	}
}

// isRefused opens a log with credentials that the broker refuses.
func isRefused(t *testing.T, url string) {
	t.Helper()
	l, err := OpenEvents(within(t), EventOptions{URL: url, Logger: slog.New(slog.DiscardHandler)})
	if err == nil {
		l.Close()
		t.Fatal("no error")
	}
	if strings.Contains(err.Error(), "bad-secret") || !strings.Contains(err.Error(), PasswordVariable) {
		t.Errorf("%v, want the settings named and no password", err)
	}
}

// secureURLs are ways to a secure broker, by what they try.
type secureURLs struct {
	good    map[string]string
	refused map[string]string // for their credentials
	away    map[string]string // no connection is made
}

// urls are the ways to the broker; ca is the parameter that names its authority.
func (b *secureBroker) urls(t *testing.T, ca string) *secureURLs {
	t.Helper()
	cert, key := b.authority.issue(t, "postrider")
	pair := "&cert=" + writeFile(t, "cert.pem", cert) + "&key=" + writeFile(t, "key.pem", key)
	foreign := "&ca=" + writeFile(t, "foreign.pem", newAuthority(t).pem)
	u := &secureURLs{
		good: map[string]string{
			"tls":  brokerURL("kafka+tls://", b.tls, "tls", ca),
			"mtls": brokerURL("kafka+tls://", b.mtls, "mtls", ca+pair),
		},
		refused: map[string]string{},
		away: map[string]string{
			"tls of another authority":   brokerURL("kafka+tls://", b.tls, "foreign", foreign),
			"mtls without a certificate": brokerURL("kafka+tls://", b.mtls, "none", ca),
			"no tls where it is needed":  brokerURL("kafka://", b.tls, "none", ""),
		},
	}
	u.addPasswords(t, b, ca)
	u.addTokens(t, b, ca)
	return u
}

func (u *secureURLs) addPasswords(t *testing.T, b *secureBroker, ca string) {
	t.Helper()
	hush, wrong := "&password-file="+writeFile(t, "password", "hush\n"), "&password-file="+writeFile(t, "password", "bad-secret\n")
	for _, mechanism := range []string{saslPlain, saslSHA256, saslSHA512} {
		u.good[mechanism+" over tls"] = brokerURL("kafka+tls://ann@", b.sasl, mechanism, ca+hush+"&sasl="+mechanism)
		u.good[mechanism] = brokerURL("kafka://ann@", b.clear, "clear-"+mechanism, hush+"&sasl="+mechanism)
		u.refused[mechanism+" with a wrong password"] = brokerURL("kafka+tls://ann@", b.sasl, "wrong", ca+wrong+"&sasl="+mechanism)
		u.refused[mechanism+" of an unknown user"] = brokerURL("kafka://bob@", b.clear, "wrong", hush+"&sasl="+mechanism)
	}
}

func (u *secureURLs) addTokens(t *testing.T, b *secureBroker, ca string) {
	t.Helper()
	bearer := func(token string) string {
		return "&sasl=" + saslOAuthBearer + "&password-file=" + writeFile(t, "token", token+"\n")
	}
	u.good["oauthbearer over tls"] = brokerURL("kafka+tls://", b.sasl, "oauthbearer", ca+bearer(unsigned("none", time.Hour)))
	u.good["oauthbearer"] = brokerURL("kafka://", b.clear, "clear-oauthbearer", bearer(unsigned("none", time.Hour)))
	for name, token := range map[string]string{
		"an expired token": unsigned("none", -time.Hour), "a token of another kind": unsigned("RS256", time.Hour) + "bad-secret", "what is no token": "bad-secret",
	} {
		u.refused["oauthbearer with "+name] = brokerURL("kafka+tls://", b.sasl, "wrong", ca+bearer(token))
	}
}

// brokerURL is a topic on a listener of a broker on this machine.
func brokerURL(scheme string, port int, topic, query string) string {
	return fmt.Sprintf("%s127.0.0.1:%d/%s?partitions=1%s", scheme, port, topic, query)
}

// unsigned is a token for a time from now, as who issues them would make it but for the signature.
func unsigned(algorithm string, lasts time.Duration) string {
	now := time.Now()
	part := func(text string) string { return base64.RawURLEncoding.EncodeToString([]byte(text)) }
	return part(fmt.Sprintf(`{"alg":%q}`, algorithm)) + "." +
		part(fmt.Sprintf(`{"sub":"ann","iat":%d,"exp":%d}`, min(now.Unix(), now.Add(lasts).Unix()-1), now.Add(lasts).Unix())) + "."
}

// withToken opens a log on the secure listener with a token that soon ends, and tells when, and how to renew it.
func (b *secureBroker) withToken(t *testing.T, topic, ca string) (l *EventLog, ends time.Time, renew func()) {
	t.Helper()
	file := writeFile(t, "token", unsigned("none", 5*time.Second))
	ends = time.Now().Add(5 * time.Second)
	l = openEvents(t, fmt.Sprintf("kafka+tls://127.0.0.1:%d/%s?partitions=1&sasl=%s&password-file=%s%s", b.sasl, topic, saslOAuthBearer, file, ca))
	untilReady(t, l.link)
	return l, ends, func() {
		t.Helper()
		if err := os.WriteFile(file, []byte(unsigned("none", time.Hour)), 0o600); err != nil {
			t.Fatal(err)
		}
	}
}

// renewed uses a log beyond the end of the token that it was opened with, whose file holds another one by then. The broker ends
// connections that do not show a valid token in time.
func (b *secureBroker) renewed(t *testing.T, ca string) {
	t.Helper()
	l, ends, renew := b.withToken(t, "renewed", ca)
	renew()
	n := 0
	for ; time.Now().Before(ends.Add(time.Second)); n++ {
		add(t, l, event(fmt.Sprintf("e%d", n), "renewed"))
		pauseFor(t.Context(), 100*time.Millisecond) // few are enough: the end of the first token is what is waited for
	}
	take(t, reader(t, l), n, true)
}

// renewedLate lets a token end, and renews it once the log has told so.
func (b *secureBroker) renewedLate(t *testing.T, ca string) {
	t.Helper()
	l, _, renew := b.withToken(t, "late", ca)
	ctx := within(t)
	until := func(what string, right func(error) bool) {
		t.Helper()
		err := l.Check(ctx)
		for !right(err) {
			if !pauseFor(ctx, 50*time.Millisecond) {
				t.Fatalf("%s: Check: %v", what, err)
			}
			err = l.Check(ctx)
		}
	}
	until("the token has ended", func(err error) bool {
		return postrider.CodeOf(err) == postrider.CodeUnavailable && strings.Contains(err.Error(), "invalid_token")
	})
	renew()
	until("it is renewed", func(err error) bool { return err == nil })
	add(t, l, numbered(1)...)
	take(t, reader(t, l), 1, true)
}
