package config_test

import (
	"errors"
	"os"
	"slices"
	"strings"
	"testing"

	"github.com/alecthomas/kong"

	"github.com/postrider/postrider/internal/config"
)

// grammar is that of a program with the command serve.
type grammar struct {
	Serve config.Flags `cmd:""`
}

// parseLine checks the arguments of serve as main does.
func parseLine(t *testing.T, args ...string) (*config.Config, error) {
	t.Helper()
	sources := config.NewSources("serve", func(string) (string, bool) { return "", false }, os.ReadFile)
	var g grammar
	parser, err := kong.New(&g, kong.Resolvers(sources))
	if err != nil {
		t.Fatal(err)
	}
	serve := parser.Model.Children[slices.IndexFunc(parser.Model.Children, func(n *kong.Node) bool { return n.Name == "serve" })]
	if _, err := parser.Parse(append([]string{"serve"}, sources.Arguments(args, serve.Flags)...)); err != nil {
		t.Fatal(err)
	}
	return g.Serve.Check(sources, nil)
}

// TestArgumentsTellEveryFault: what is no flag does not hide what is wrong besides.
func TestArgumentsTellEveryFault(t *testing.T) {
	t.Parallel()
	_, err := parseLine(t, "--timeout", "-1s", "--retry_base=5s", "--colour", "blue", "--max-in-flight=0", "stray", "--retry-max", "--drain=1s", "--listen")
	var faulty *config.Error
	if !errors.As(err, &faulty) {
		t.Fatalf("%v", err)
	}
	for _, want := range []string{`--timeout "-1s"`, `--retry_base: is no setting; it is written "retry-base"`, "--colour: is no setting", `--max-in-flight "0"`,
		`"stray": is no flag`, "--retry-max: wants a value", "--listen: wants a value"} {
		if !strings.Contains(err.Error(), want) {
			t.Errorf("no %s in %v", want, err)
		}
	}
	if len(faulty.Faults) != 7 {
		t.Errorf("%d faults: %v", len(faulty.Faults), err)
	}
}

func TestArgumentsWithAndWithoutTie(t *testing.T) {
	t.Parallel()
	c, err := parseLine(t, "--listen", ":9000", "--retry-base=5s", "--admin-key", "--key-that-begins-so")
	if err != nil || c.Listen != ":9000" || c.Retry.Base.Seconds() != 5 || string(c.AdminKey) != "--key-that-begins-so" {
		t.Errorf("%+v, %v", c, err)
	}
}
