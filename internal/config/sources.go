package config

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"

	"github.com/alecthomas/kong"
	"gopkg.in/yaml.v3"
)

// Sources are where a setting of one command may come from besides its flag: the environment, then the file that
// --config names. It is a kong.Resolver, which kong asks only for flags that were not given.
type Sources struct {
	command string
	lookup  func(string) (string, bool)
	read    func(string) ([]byte, error)

	loaded bool
	file   string
	values map[string]string
	from   map[string]string // by name: how it was written
	faults []Fault
}

// NewSources makes the sources of a command's settings. lookup reads the environment (os.LookupEnv), read a file
// (os.ReadFile).
func NewSources(command string, lookup func(string) (string, bool), read func(string) ([]byte, error)) *Sources {
	return &Sources{command: command, lookup: lookup, read: read, from: map[string]string{}}
}

// Validate has nothing to refuse: all faults are told together by Flags.Check.
func (s *Sources) Validate(*kong.Application) error { return nil }

// Resolve returns what the environment or the file sets for a flag, or nil.
func (s *Sources) Resolve(ctx *kong.Context, parent *kong.Path, flag *kong.Flag) (any, error) {
	if parent.Command == nil || parent.Command.Name != s.command || flag.Name == "help" {
		return nil, nil
	}
	if !s.loaded {
		s.loaded = true
		s.load(configFile(ctx, s.lookup), names(parent.Flags))
	}
	if env := EnvName(flag.Name); env != "" {
		if v, ok := s.lookup(env); ok && v != "" {
			s.from[flag.Name] = env
			return v, nil
		}
	}
	if v, ok := s.lookup(otlpEnv); ok && v != "" && flag.Name == "otlp-endpoint" {
		s.from[flag.Name] = otlpEnv
		return v, nil
	}
	if v, ok := s.values[flag.Name]; ok {
		s.from[flag.Name] = flag.Name + " in " + s.file
		return v, nil
	}
	return nil, nil
}

// EnvName is the environment variable of a flag: POSTRIDER_RETRY_BASE of retry-base.
func EnvName(flag string) string {
	return prefix + strings.ToUpper(strings.ReplaceAll(flag, "-", "_"))
}

// configFile finds the file: the flag, else the environment.
func configFile(ctx *kong.Context, lookup func(string) (string, bool)) string {
	for _, p := range ctx.Path {
		if p.Flag != nil && p.Flag.Name == "config" {
			return fmt.Sprint(ctx.FlagValue(p.Flag))
		}
	}
	v, _ := lookup(EnvName("config"))
	return v
}

func names(flags []*kong.Flag) []string {
	list := make([]string, 0, len(flags))
	for _, f := range flags {
		if f.Name != "help" && f.Name != "config" {
			list = append(list, f.Name)
		}
	}
	return list
}

// load reads the file. Its keys are the names of the flags; a list is the same as its entries joined by commas.
func (s *Sources) load(file string, known []string) {
	if file == "" {
		return
	}
	s.file = file
	raw, err := s.read(file)
	if err != nil {
		s.faults = append(s.faults, Fault{Name: "--config", Value: quote(file), Message: "cannot be read: " + err.Error()})
		return
	}
	values, faults := parseFile(raw, known)
	s.values = values
	for _, f := range faults {
		f.Name += " in " + file
		s.faults = append(s.faults, f)
	}
}

// parseFile reads YAML settings into what a flag would have been given.
func parseFile(raw []byte, known []string) (map[string]string, []Fault) {
	nodes := map[string]yaml.Node{}
	if err := yaml.NewDecoder(bytes.NewReader(raw)).Decode(&nodes); err != nil && !errors.Is(err, io.EOF) {
		return nil, []Fault{{Name: "the settings", Message: "are no YAML mapping of names to values: " + err.Error()}}
	}
	values, faults := map[string]string{}, []Fault(nil)
	keys := make([]string, 0, len(nodes))
	for key := range nodes {
		keys = append(keys, key)
	}
	slices.Sort(keys)
	for _, key := range keys {
		node := nodes[key]
		value, ok := scalar(&node)
		switch {
		case !slices.Contains(known, key):
			faults = append(faults, Fault{Name: key, Message: "is no setting" + nearest(key, known)})
		case !ok:
			faults = append(faults, Fault{Name: key, Message: "must be one value, or a list of values"})
		case value != "":
			values[key] = value
		}
	}
	return values, faults
}

// scalar is a node as it is written, or the entries of a list joined by commas.
func scalar(n *yaml.Node) (string, bool) {
	for n.Kind == yaml.AliasNode {
		n = n.Alias
	}
	switch n.Kind {
	case yaml.ScalarNode:
		if n.Tag == "!!null" {
			return "", true
		}
		return n.Value, true
	case yaml.SequenceNode:
		parts := make([]string, 0, len(n.Content))
		for _, entry := range n.Content {
			if entry.Kind != yaml.ScalarNode {
				return "", false
			}
			parts = append(parts, entry.Value)
		}
		return strings.Join(parts, ","), true
	}
	return "", false
}

// nearest proposes the known name that key was probably meant to be.
func nearest(key string, known []string) string {
	plain := func(s string) string { return strings.ToLower(strings.NewReplacer("-", "", "_", "").Replace(s)) }
	for _, name := range known {
		if plain(name) == plain(key) {
			return fmt.Sprintf("; it is written %q", name)
		}
	}
	return "; see postrider serve --help for those that there are"
}

// written is how a setting was written where its value comes from.
func (s *Sources) written(name string) string {
	if s != nil && s.from[name] != "" {
		return s.from[name]
	}
	return "--" + name
}
