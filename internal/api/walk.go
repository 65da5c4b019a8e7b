package api

import (
	"bytes"
	"encoding/json"
	"fmt"
	"iter"
)

// elements yields the elements of an array, and members the names and values of an object, in their order, as they are
// written: they share the memory of raw. Both want JSON that is valid (json.Valid), so that its structure can be followed
// without looking into it again: a batch is gone through once, not once for every level.

func elements(array []byte) iter.Seq[json.RawMessage] {
	return func(yield func(json.RawMessage) bool) {
		rest := bytes.TrimLeft(array, jsonSpace)[1:]
		for {
			if rest = bytes.TrimLeft(rest, jsonSpace+","); rest[0] == ']' {
				return
			}
			n := valueLength(rest)
			if !yield(rest[:n:n]) {
				return
			}
			rest = rest[n:]
		}
	}
}

func members(object []byte) iter.Seq2[string, json.RawMessage] {
	return func(yield func(string, json.RawMessage) bool) {
		rest := bytes.TrimLeft(object, jsonSpace)[1:]
		for {
			if rest = bytes.TrimLeft(rest, jsonSpace+","); rest[0] == '}' {
				return
			}
			n := valueLength(rest)
			name := memberName(rest[:n])
			rest = bytes.TrimLeft(rest[n:], jsonSpace+":")
			n = valueLength(rest)
			if !yield(name, rest[:n:n]) {
				return
			}
			rest = rest[n:]
		}
	}
}

const jsonSpace = " \t\r\n"

// valueLength is the length of the value that raw begins with.
func valueLength(raw []byte) int {
	switch raw[0] {
	case '"':
		return stringLength(raw)
	case '{', '[':
		return nestedLength(raw)
	}
	if n := bytes.IndexAny(raw, jsonSpace+",]}"); n >= 0 {
		return n
	}
	return len(raw)
}

func stringLength(raw []byte) int {
	for i := 1; ; {
		n := bytes.IndexByte(raw[i:], '"')
		end := i + n
		slashes := 0
		for raw[end-1-slashes] == '\\' {
			slashes++
		}
		if i = end + 1; slashes%2 == 0 {
			return i
		}
	}
}

func nestedLength(raw []byte) int {
	depth := 0
	for i := 0; ; i++ {
		switch raw[i] {
		case '"':
			i += stringLength(raw[i:]) - 1
		case '{', '[':
			depth++
		case '}', ']':
			if depth--; depth == 0 {
				return i + 1
			}
		}
	}
}

// memberName is what a string stands for.
func memberName(quoted []byte) string {
	if bytes.IndexByte(quoted, '\\') < 0 {
		return string(quoted[1 : len(quoted)-1])
	}
	var name string
	if err := json.Unmarshal(quoted, &name); err != nil {
		panic(fmt.Sprintf("api: %s is valid JSON and no string: %v", quoted, err))
	}
	return name
}
