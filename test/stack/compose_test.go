package stack

import (
	"os"
	"slices"
	"testing"

	"gopkg.in/yaml.v3"
)

// TestCompose holds that compose.yaml is YAML, has a service for each role, and that what services need is there.
func TestCompose(t *testing.T) {
	t.Parallel()
	text, err := os.ReadFile("../../compose.yaml")
	if err != nil {
		t.Fatal(err)
	}
	var file struct {
		Services map[string]struct {
			Command     []string
			Profiles    []string
			Volumes     []string
			Environment map[string]string
			DependsOn   map[string]struct{ Condition string } `yaml:"depends_on"`
			Healthcheck struct{ Test []string }
		}
		Volumes map[string]any
	}
	if err := yaml.Unmarshal(text, &file); err != nil {
		t.Fatal(err)
	}
	for _, role := range roles {
		s := file.Services[role]
		if !slices.Equal(s.Command, []string{"serve", "--roles", role}) || !slices.Contains(s.Profiles, "system") || s.Environment["POSTRIDER_DATABASE"] == "" {
			t.Errorf("the service of the role %s: %+v", role, s)
		}
		for name, needs := range s.DependsOn {
			on, there := file.Services[name]
			if !there || needs.Condition == "service_healthy" && len(on.Healthcheck.Test) == 0 || !slices.Contains(on.Profiles, "system") || !slices.Contains(on.Profiles, "servers") {
				t.Errorf("%s depends on %s, which is not there, or cannot be %s", role, name, needs.Condition)
			}
		}
	}
}
