package postrider

import "strings"

// MaxTypeLength is the most characters that an event type has.
const MaxTypeLength = 128

// OwnTypePrefix begins the types of the events that Postrider publishes itself. Nobody else may publish one, and only a
// pattern that begins with it matches them.
const OwnTypePrefix = "postrider."

// CheckEventType refuses what is no exact event type: segments of [A-Za-z0-9_-]+ joined by dots, at most 128 characters.
func CheckEventType(eventType string) error {
	if !within(eventType, MaxTypeLength, isTypeByte) || !wholeSegments(eventType) {
		return Invalid("eventType",
			"%q is no event type: use segments of A-Z a-z 0-9 _ - joined by single dots, at most %d characters", clip(eventType), MaxTypeLength)
	}
	return nil
}

// CheckPublishedType is CheckEventType for what an application publishes: Postrider's own types are refused too.
func CheckPublishedType(eventType string) error {
	if err := CheckEventType(eventType); err != nil {
		return err
	}
	if strings.HasPrefix(eventType, OwnTypePrefix) {
		return Invalid("eventType", "types that begin with %q are published by Postrider alone", OwnTypePrefix)
	}
	return nil
}

// CheckPattern refuses what is no pattern of a filter: an exact type, a prefix "a.b.*", or "*".
func CheckPattern(pattern string) error {
	if pattern == "*" {
		return nil
	}
	if len(pattern) > MaxTypeLength {
		return Invalid("events", "has %d characters; at most %d are allowed", len(pattern), MaxTypeLength)
	}
	if err := CheckEventType(strings.TrimSuffix(pattern, ".*")); err != nil {
		return Invalid("events", "%q is no pattern: use an event type, a prefix such as \"core.orders.*\", or \"*\"", clip(pattern))
	}
	return nil
}

// PatternMatches reports whether a pattern matches an exact type. "a.b.*" takes one or more further segments, "*" every
// type but Postrider's own. Both must be valid.
func PatternMatches(pattern, eventType string) bool {
	switch {
	case pattern == "*":
		return !strings.HasPrefix(eventType, OwnTypePrefix)
	case strings.HasSuffix(pattern, ".*"):
		return strings.HasPrefix(eventType, pattern[:len(pattern)-1])
	default:
		return pattern == eventType
	}
}

func isTypeByte(c byte) bool { return isAlnum(c) || c == '_' || c == '-' || c == '.' }

func wholeSegments(s string) bool {
	return s[0] != '.' && s[len(s)-1] != '.' && !strings.Contains(s, "..")
}
