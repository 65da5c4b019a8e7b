package main

import (
	"fmt"
	"runtime"
	"runtime/debug"
)

// version is set by the linker in a release; else it comes from the module.
var version string

type versionCommand struct{}

// Run shows version, commit and Go version.
func (versionCommand) Run(e *env) error {
	number, commit := build()
	_, err := fmt.Fprintf(e.out, "postrider %s\ncommit %s\n%s %s/%s\n", number, commit, runtime.Version(), runtime.GOOS, runtime.GOARCH)
	return err
}

// build tells the version and the commit that the binary was made from.
func build() (number, commit string) {
	number, commit = version, "unknown"
	info, ok := debug.ReadBuildInfo()
	if !ok {
		return number, commit
	}
	if number == "" {
		number = info.Main.Version
	}
	if number == "" || number == "(devel)" {
		number = "dev"
	}
	modified := ""
	for _, s := range info.Settings {
		switch {
		case s.Key == "vcs.revision":
			commit = s.Value
		case s.Key == "vcs.modified" && s.Value == "true":
			modified = " (with changes)"
		}
	}
	return number, commit + modified
}
