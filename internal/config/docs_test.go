package config_test

import (
	"flag"
	"fmt"
	"os"
	"reflect"
	"strings"
	"testing"

	"github.com/alecthomas/kong"

	"github.com/postrider/postrider/internal/config"
)

var update = flag.Bool("update", false, "write the table of settings in docs/operations.md anew")

const (
	operations = "../../docs/operations.md"
	tableBegin = "<!-- settings: go test ./internal/config -run TestSettingsTable -update -->\n"
	tableEnd   = "<!-- end of settings -->"
)

// flags are the flags of serve as kong sees them.
func flags(t *testing.T) []*kong.Flag {
	t.Helper()
	parser, err := kong.New(&config.Flags{})
	if err != nil {
		t.Fatal(err)
	}
	var list []*kong.Flag
	for _, f := range parser.Model.Flags {
		if f.Name != "help" {
			list = append(list, f)
		}
	}
	return list
}

// table shows every setting as docs/operations.md does.
func table(flags []*kong.Flag) string {
	var b strings.Builder
	group := ""
	for _, f := range flags {
		if f.Group.Key != group {
			group = f.Group.Key
			fmt.Fprintf(&b, "\n**%s**\n\n| setting | default | meaning |\n| --- | --- | --- |\n", group)
		}
		value := "–"
		if f.Default != "" {
			value = "`" + f.Default + "`"
		}
		fmt.Fprintf(&b, "| `%s` | %s | %s |\n", f.Name, value, strings.ReplaceAll(f.Help, "|", "\\|"))
	}
	return b.String() + "\n"
}

func TestSettingsTable(t *testing.T) {
	t.Parallel()
	raw, err := os.ReadFile(operations)
	if err != nil {
		t.Fatal(err)
	}
	before, rest, found := strings.Cut(string(raw), tableBegin)
	got, after, closed := strings.Cut(rest, tableEnd)
	if !found || !closed {
		t.Fatalf("%s has no table of settings between %q and %q", operations, tableBegin, tableEnd)
	}
	want := table(flags(t))
	if got == want {
		return
	}
	if !*update {
		t.Fatalf("the table of settings in %s is not that of serve --help; write it anew: go test ./internal/config -run TestSettingsTable -update", operations)
	}
	if err := os.WriteFile(operations, []byte(before+tableBegin+want+tableEnd+after), 0o644); err != nil {
		t.Fatal(err)
	}
}

func TestEverySettingIsDescribed(t *testing.T) {
	t.Parallel()
	list := flags(t)
	if n := reflect.TypeFor[config.Flags]().NumField(); n != len(list) {
		t.Errorf("%d settings, %d flags", n, len(list))
	}
	groups := map[string]bool{}
	last := ""
	for _, f := range list {
		if f.Group == nil {
			t.Errorf("--%s is in no group", f.Name)
			continue
		}
		if key := f.Group.Key; key != last {
			if groups[key] {
				t.Errorf("--%s: the group %s is in two parts", f.Name, key)
			}
			groups[key], last = true, key
		}
		if !strings.HasSuffix(f.Help, ".") {
			t.Errorf("--%s: %q is no sentence", f.Name, f.Help)
		}
		if f.Default == "" && f.PlaceHolder == "" {
			t.Errorf("--%s shows neither a default nor what it takes", f.Name)
		}
	}
}
