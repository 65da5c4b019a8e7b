package config

import (
	"fmt"
	"slices"
	"strings"

	"github.com/alecthomas/kong"
)

// Arguments prepares what follows the name of the command for the parser, which ends at the first argument that it does not
// know: such are taken out, and told by Flags.Check with all other faults. A value is tied to its flag, so that it may begin
// with a dash. Where help is asked for nothing is changed.
func (s *Sources) Arguments(args []string, flags []*kong.Flag) []string {
	if slices.Contains(args, "--help") || slices.Contains(args, "-h") {
		return args
	}
	known := append(names(flags), "config")
	var kept []string
	for len(args) > 0 {
		arg := args[0]
		args = args[1:]
		name, _, tied := strings.Cut(strings.TrimPrefix(arg, "--"), "=")
		switch {
		case !strings.HasPrefix(arg, "--") || name == "":
			s.refuse(quote(arg), "is no flag; settings are written --name=value")
		case !slices.Contains(known, name):
			s.refuse("--"+name, "is no setting"+nearest(name, known))
			if !tied && len(args) > 0 && !strings.HasPrefix(args[0], "--") {
				args = args[1:] // its value
			}
		case tied:
			kept = append(kept, arg)
		case len(args) == 0 || isFlag(args[0], known):
			s.refuse(arg, fmt.Sprintf("wants a value: %s=…", arg))
		default:
			kept = append(kept, arg+"="+args[0])
			args = args[1:]
		}
	}
	return kept
}

func (s *Sources) refuse(name, message string) {
	s.faults = append(s.faults, Fault{Name: name, Message: message})
}

// isFlag reports whether an argument is a setting rather than a value.
func isFlag(arg string, known []string) bool {
	name, _, _ := strings.Cut(strings.TrimPrefix(arg, "--"), "=")
	return strings.HasPrefix(arg, "--") && slices.Contains(known, name)
}
