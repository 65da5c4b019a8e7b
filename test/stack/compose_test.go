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
			DependsOn   []string `yaml:"depends_on"`
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
		if len(s.DependsOn) == 0 {
			t.Errorf("%s depends on nothing", role)
		}
		for _, name := range s.DependsOn {
			on, there := file.Services[name]
			if !there || !slices.Contains(on.Profiles, "system") || !slices.Contains(on.Profiles, "servers") {
				t.Errorf("%s depends on %s, which is not there in both profiles", role, name)
			}
		}
	}
}
