package deploy_test

import (
	"os/exec"
	"testing"
)

// TestTools runs the checkers of others on what is theirs, each where it is installed.
func TestTools(t *testing.T) {
	t.Parallel()
	chart := []string{"helm/postrider", "-f", "helm/postrider/ci/all-values.yaml", "--kube-version", "1.34.0"}
	for name, command := range map[string][]string{
		"alerts":            {"promtool", "check", "rules", "prometheus/alerts.yaml"},
		"tests of alerts":   {"promtool", "test", "rules", "prometheus/alerts_test.yaml"},
		"terraform":         {"terraform", "fmt", "-check", "-recursive", "-diff", "terraform"},
		"chart":             append([]string{"helm", "lint", "--strict"}, chart...),
		"chart, hpa":        append([]string{"helm", "template", "--set", "autoscaling.kind=hpa", "postrider"}, chart...),
		"chart, no scaling": append([]string{"helm", "template", "--set", "autoscaling.kind=none", "postrider"}, chart...),
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			if _, err := exec.LookPath(command[0]); err != nil {
				t.Skipf("%s is not installed", command[0])
			}
			if out, err := exec.CommandContext(t.Context(), command[0], command[1:]...).CombinedOutput(); err != nil {
				t.Errorf("%v: %v\n%s", command, err, out)
			}
		})
	}
}

func TestChartRefusesEnginesThatCannotBeShared(t *testing.T) {
	t.Parallel()
	if _, err := exec.LookPath("helm"); err != nil {
		t.Skip("helm is not installed")
	}
	args := []string{"template", "postrider", "helm/postrider", "-f", "helm/postrider/ci/all-values.yaml", "--kube-version", "1.34.0"}
	for _, set := range []string{"engines.queue=sqlite:", "engines.events=", "settings.admin-key=secret", "autoscaling.kind=magic", "roles.cook.replicas=1", "drainSeconds=soon"} {
		if out, err := exec.CommandContext(t.Context(), "helm", append(args, "--set", set)...).CombinedOutput(); err == nil {
			t.Errorf("%s is taken:\n%.300s", set, out)
		}
	}
}
