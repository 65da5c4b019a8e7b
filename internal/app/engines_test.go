package app

import (
	"os"
	"strings"
	"testing"

	"github.com/alecthomas/kong"

	"github.com/postrider/postrider/internal/config"
)

// TestFaultsOfEnginesAreToldTogether reads a configuration with a bad URL for each seam: all are faults of the configuration, by
// their settings' names, and no secret is in them.
func TestFaultsOfEnginesAreToldTogether(t *testing.T) {
	t.Parallel()
	var flags config.Flags
	parser, err := kong.New(&flags)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := parser.Parse([]string{
		"--events=kafka://", "--outcomes=kafka://u:hunter2@h/topic?sasl=magic", "--payloads=s3://?endpoint=u:hunter2@h", "--queue=sqs://x?secret=hunter2",
		"--database=postgres://u:hunter2@h/x?pool_max_conns=many", "--timeout=soon",
	}); err != nil {
		t.Fatal(err)
	}
	_, err = flags.Check(config.NewSources("serve", os.LookupEnv, os.ReadFile), CheckEngine)
	if err == nil {
		t.Fatal("nothing is wrong with it")
	}
	for _, want := range []string{
		"--events: a broker is missing", "is no topic", "--outcomes: the password does not belong in the URL", "sasl=magic", "--payloads: the URL names no bucket",
		"--payloads: endpoint: use", "--queue: secret is no parameter", "--database: is no URL of a PostgreSQL database", "--timeout",
	} {
		if !strings.Contains(err.Error(), want) {
			t.Errorf("no fault says %q", want)
		}
	}
	if strings.Contains(err.Error(), "hunter2") {
		t.Error("a secret is shown")
	}
	if t.Failed() {
		t.Log(err)
	}
}
