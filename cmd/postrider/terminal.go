package main

import (
	"fmt"
	"io"
	"os"
	"strings"

	"golang.org/x/term"
)

// terminal is a stream that may show colours.
type terminal struct {
	io.Writer
	colour bool
}

// newTerminal uses colours if the file is a terminal and NO_COLOR is not set.
func newTerminal(f *os.File) *terminal {
	plain := os.Getenv("NO_COLOR") != "" || os.Getenv("TERM") == "dumb"
	return &terminal{Writer: f, colour: !plain && term.IsTerminal(int(f.Fd()))}
}

// The styles, as ANSI codes.
const (
	bold   = "1"
	dim    = "2"
	red    = "31"
	green  = "32"
	yellow = "33"
	cyan   = "36"
)

// paint dresses a text in a style.
func (t *terminal) paint(style, text string) string {
	if !t.colour {
		return text
	}
	return "\x1b[" + style + "m" + text + "\x1b[0m"
}

// printf writes a line.
func (t *terminal) printf(format string, args ...any) { fmt.Fprintf(t, format+"\n", args...) }

// printable replaces control characters, so that what a stranger sends cannot drive the terminal.
func printable(s string) string {
	return strings.Map(func(r rune) rune {
		if r < ' ' || r == 0x7f || r >= 0x80 && r < 0xa0 {
			return '·'
		}
		return r
	}, s)
}

// size writes a number of bytes for people.
func size(n int64) string {
	switch {
	case n < 1<<10:
		return fmt.Sprintf("%d B", n)
	case n < 1<<20:
		return fmt.Sprintf("%.1f KiB", float64(n)/(1<<10))
	}
	return fmt.Sprintf("%.1f MiB", float64(n)/(1<<20))
}
