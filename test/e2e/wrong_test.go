package e2e

import (
	"errors"
	"os/exec"
	"strings"
	"testing"

	"github.com/postrider/postrider/test/harness"
)

// A bench that would measure nothing is refused, all that is wrong at once.
func TestBenchRefuses(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		args []string
		want []string
	}{
		{[]string{"--duration", "0s"}, []string{"--duration"}},
		{[]string{"--duration=-1s", "--pending", "0"}, []string{"--duration", "--pending"}},
		{[]string{"--pending=-5"}, []string{"--pending"}},
	} {
		out, err := harness.Command(t.Context(), append([]string{"bench", "--quiet", "--case", "ground"}, c.args...)...).CombinedOutput()
		var exit *exec.ExitError
		if !errors.As(err, &exit) || exit.ExitCode() != 2 {
			t.Errorf("%v: %v", c.args, err)
		}
		for _, flag := range c.want {
			if !strings.Contains(string(out), flag) {
				t.Errorf("%v: the answer does not name %s: %s", c.args, flag, out)
			}
		}
	}
}

// A variable that is misspelt is told at the start, without its value; others begin like settings and are none.
func TestStrayVariables(t *testing.T) {
	t.Parallel()
	s := harness.StartWith(t, harness.Settings{Data: t.TempDir(), Env: []string{
		"POSTRIDER_RETRY_BSAE=hush", "POSTRIDER_TIMEOUT=5s", "POSTRIDER_SERVER=http://127.0.0.1:1", "POSTRIDER_KAFKA_PASSWORD=x", "POSTRIDER_SERVICE_HOST=10.0.0.1",
	}})
	var told []string
	for line := range strings.Lines(s.Log().Tail(100)) {
		if strings.Contains(line, "level=WARN") {
			told = append(told, line)
		}
	}
	if len(told) != 1 || !strings.Contains(told[0], "variables=\"[POSTRIDER_RETRY_BSAE (nearest: POSTRIDER_RETRY_BASE)]\"") {
		t.Errorf("the server warns of %q", told)
	}
}
