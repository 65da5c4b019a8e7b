package postrider

import "strings"

// maxTraceState is the longest W3C tracestate that is kept; a longer one is dropped whole, as the recommendation allows.
const maxTraceState = 512

// TraceContext makes what an Event keeps of the W3C headers traceparent and tracestate (https://www.w3.org/TR/trace-context/):
// the first, and after a blank the second if there is one. It refuses nothing: without a traceparent of version 00 that is
// well-formed it is "", and a tracestate that is too long or not printable is left out.
func TraceContext(parent, state string) string {
	if !isTraceparent(parent) {
		return ""
	}
	printable := func(c byte) bool { return ' ' <= c && c < 0x7f }
	state = strings.TrimSpace(state)
	if state == "" || !within(state, maxTraceState, printable) {
		return parent
	}
	return parent + " " + state
}

// SplitTrace returns the traceparent and the tracestate of what TraceContext made.
func SplitTrace(trace string) (parent, state string) {
	parent, state, _ = strings.Cut(trace, " ")
	return parent, state
}

// isTraceparent reports whether s is 00-traceid-parentid-flags, in lower-case hexadecimal digits, neither id all zeros.
func isTraceparent(s string) bool {
	if len(s) != 55 || s[:3] != "00-" || s[35] != '-' || s[52] != '-' {
		return false
	}
	for _, part := range [...]string{s[3:35], s[36:52], s[53:]} {
		if strings.Trim(part, "0123456789abcdef") != "" {
			return false
		}
	}
	return strings.Trim(s[3:35], "0") != "" && strings.Trim(s[36:52], "0") != ""
}
