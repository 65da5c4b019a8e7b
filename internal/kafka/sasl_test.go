package kafka

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/twmb/franz-go/pkg/kfake"

	"github.com/postrider/postrider"
)

// A token may be renewed: its file is read at each authentication.
func TestTokenRenewed(t *testing.T) {
	t.Parallel()
	file := writeFile(t, "token", "first\n")
	l, err := parseURL("events", "kafka://a/b?sasl=oauthbearer&password-file="+file)
	if err != nil {
		t.Fatal(err)
	}
	m := l.mechanism()
	says := func(want string) {
		t.Helper()
		if _, hello, err := m.Authenticate(t.Context(), ""); err != nil || !strings.Contains(string(hello), "auth=Bearer "+want+"\x01") {
			t.Errorf("%q, %v; want the token %s", hello, err, want)
		}
	}
	says("first")
	if err := os.WriteFile(file, []byte("second\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	says("second")
	if err := os.Remove(file); err != nil {
		t.Fatal(err)
	}
	if _, _, err := m.Authenticate(t.Context(), ""); err == nil {
		t.Error("no error without the file")
	}
}

func TestSASL(t *testing.T) {
	t.Parallel()
	for method, sasl := range map[string]string{"PLAIN": saslPlain, "SCRAM-SHA-256": saslSHA256, "SCRAM-SHA-512": saslSHA512} {
		t.Run(sasl, func(t *testing.T) {
			t.Parallel()
			_, url := cluster(t, kfake.EnableSASL(), kfake.Superuser(method, "ann", "hush"))
			file := func(password string) string {
				path := filepath.Join(t.TempDir(), "password")
				if err := os.WriteFile(path, []byte(password+"\n"), 0o600); err != nil {
					t.Fatal(err)
				}
				return path
			}
			url = strings.Replace(url, "kafka://", "kafka://ann@", 1) + "events?sasl=" + sasl + "&password-file="
			add(t, openEvents(t, url+file("hush")), event("a", "x"))
			// This broker ends the connection where a real one answers, so the log waits for it; see TestSecurityOnKafka.
			err := openEvents(t, url+file("wrong")).Check(within(t))
			if postrider.CodeOf(err) != postrider.CodeUnavailable || strings.Contains(err.Error(), "wrong") {
				t.Errorf("a wrong password: %v", err)
			}
		})
	}
}
