package egress

import (
	"bufio"
	"fmt"
	"io"
	"net/http"
	"reflect"
	"strings"
	"testing"
	"testing/iotest"
)

const body11 = "{\"ok\":true}"

// answers are the bytes of responses; plain says that one is read without net/http.
var answers = map[string]struct {
	text  string
	plain bool
}{
	"nothing":                   {"", false},
	"half a head":               {"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n", false},
	"no body":                   {"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n", true},
	"a body":                    {"HTTP/1.1 200 OK\r\nContent-Length: 11\r\n\r\n" + body11, true},
	"less of a body":            {"HTTP/1.1 200 OK\r\nContent-Length: 12\r\n\r\n" + body11, true},
	"more than a body":          {"HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\n" + body11, true},
	"no reason":                 {"HTTP/1.1 503\r\nContent-Length: 0\r\n\r\n", true},
	"a blank reason":            {"HTTP/1.1 503  \r\nContent-Length: 0\r\n\r\n", true},
	"a strange code":            {"HTTP/1.1 999 X\r\nContent-Length: 0\r\n\r\n", true},
	"headers":                   {"HTTP/1.1 410 Gone\r\nserver: nginx\r\nDATE:x\r\nX-A:  a b : \r\nx-a: ü\r\nEmpty:\r\nConnection: keep-alive\r\nContent-length: 00\r\n\r\n", true},
	"no headers":                {"HTTP/1.1 200 OK\r\n\r\n" + body11, false},
	"no length":                 {"HTTP/1.1 200 OK\r\nX-A: b\r\n\r\n" + body11, false},
	"an empty length":           {"HTTP/1.1 200 OK\r\nContent-Length:\r\n\r\n", false},
	"a signed length":           {"HTTP/1.1 200 OK\r\nContent-Length: +1\r\n\r\nx", false},
	"a large length":            {"HTTP/1.1 200 OK\r\nContent-Length: 9223372036854775808\r\n\r\nx", false},
	"a length twice":            {"HTTP/1.1 200 OK\r\nContent-Length: 1\r\nContent-Length: 1\r\n\r\nx", false},
	"two lengths":               {"HTTP/1.1 200 OK\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\nxx", false},
	"lengths in a list":         {"HTTP/1.1 200 OK\r\nContent-Length: 1, 1\r\n\r\nx", false},
	"chunks":                    {"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n1\r\nx\r\n0\r\n\r\n", false},
	"chunks and a length":       {"HTTP/1.1 200 OK\r\nContent-Length: 1\r\nTransfer-Encoding: chunked\r\n\r\n1\r\nx\r\n0\r\n\r\n", false},
	"chunks, hidden":            {"HTTP/1.1 200 OK\r\nContent-Length: 1\r\nTransfer-Encoding : chunked\r\n\r\n1\r\nx\r\n0\r\n\r\n", false},
	"a trailer":                 {"HTTP/1.1 200 OK\r\nContent-Length: 1\r\nTrailer: X-A\r\n\r\nx", false},
	"closing":                   {"HTTP/1.1 200 OK\r\nContent-Length: 1\r\nConnection: close\r\n\r\nx", false},
	"kept and closing":          {"HTTP/1.1 200 OK\r\nContent-Length: 1\r\nConnection: keep-alive, close\r\n\r\nx", false},
	"Pragma":                    {"HTTP/1.1 200 OK\r\nContent-Length: 1\r\nPragma: no-cache\r\n\r\nx", false},
	"informational":             {"HTTP/1.1 103 Early Hints\r\nContent-Length: 1\r\n\r\nx", false},
	"switching":                 {"HTTP/1.1 101 X\r\nContent-Length: 1\r\n\r\nx", false},
	"no content":                {"HTTP/1.1 204 X\r\nContent-Length: 1\r\n\r\nx", false},
	"not modified":              {"HTTP/1.1 304 X\r\nContent-Length: 1\r\n\r\nx", false},
	"HTTP/1.0":                  {"HTTP/1.0 200 OK\r\nContent-Length: 1\r\n\r\nx", false},
	"HTTP/2.0":                  {"HTTP/2.0 200 OK\r\nContent-Length: 1\r\n\r\nx", false},
	"a long code":               {"HTTP/1.1 2000 OK\r\nContent-Length: 1\r\n\r\nx", false},
	"a signed code":             {"HTTP/1.1 +20 OK\r\nContent-Length: 1\r\n\r\nx", false},
	"two spaces":                {"HTTP/1.1  200 OK\r\nContent-Length: 1\r\n\r\nx", false},
	"a line without a colon":    {"HTTP/1.1 200 OK\r\nContent-Length: 1\r\nX-A\r\n\r\nx", false},
	"no name":                   {"HTTP/1.1 200 OK\r\nContent-Length: 1\r\n: b\r\n\r\nx", false},
	"a name that is none":       {"HTTP/1.1 200 OK\r\nContent-Length: 1\r\nX[A]: b\r\n\r\nx", false},
	"a folded line":             {"HTTP/1.1 200 OK\r\nContent-Length: 1\r\nX-A: b\r\n c: d\r\n\r\nx", false},
	"folded at once":            {"HTTP/1.1 200 OK\r\n X-A: b\r\nContent-Length: 1\r\n\r\nx", false},
	"lines that end in LF":      {"HTTP/1.1 200 OK\nContent-Length: 1\n\nx", false},
	"an end in LF, and another": {"HTTP/1.1 200 OK\r\nContent-Length: 1\r\n\nX-A: b\r\n\r\nx", false},
	"CR in a value":             {"HTTP/1.1 200 OK\r\nContent-Length: 1\r\nX-A: b\rc\r\n\r\nx", false},
	"CR at the end":             {"HTTP/1.1 200 OK\r\nContent-Length: 1\r\r\n\r\nx", false},
	"LF in a value":             {"HTTP/1.1 200 OK\r\nContent-Length: 1\r\nX-A: b\nX-C: d\r\n\r\nx", false},
	"LF in the status":          {"HTTP/1.1 200 OK\nContent-Length: 1\r\nX-A: b\r\n\r\nx", false},
	"NUL":                       {"HTTP/1.1 200 OK\r\nContent-Length: 1\r\nX-A: \x00\r\n\r\nx", false},
	"tabs":                      {"HTTP/1.1 200 OK\r\nContent-Length:\t1\t\r\n\r\nx", false},
	"a head beyond the buffer":  {"HTTP/1.1 200 OK\r\nContent-Length: 1\r\nX-A: " + strings.Repeat("b", 5<<10) + "\r\n\r\nx", false},
}

func TestResponseReader(t *testing.T) {
	t.Parallel()
	for name, c := range answers {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			for _, method := range []string{http.MethodPost, http.MethodHead} {
				compareResponses(t, c.text, method)
			}
			head, _, whole := strings.Cut(c.text[:min(len(c.text), 4<<10)], "\r\n\r\n")
			if (whole && plainResponse(head) != nil) != c.plain {
				t.Errorf("plain: want %t", c.plain)
			}
		})
	}
}

func FuzzResponseReader(f *testing.F) {
	for _, c := range answers {
		f.Add(c.text, http.MethodPost)
	}
	f.Add(answers["a body"].text, http.MethodHead)
	f.Fuzz(func(t *testing.T, text, method string) { compareResponses(t, text, method) })
}

// compareResponses holds what is read, and what is left, against net/http; also where the bytes come one by one.
func compareResponses(t *testing.T, text, method string) {
	t.Helper()
	for name, from := range map[string]func() io.Reader{
		"whole":    func() io.Reader { return strings.NewReader(text) },
		"in parts": func() io.Reader { return iotest.HalfReader(strings.NewReader(text)) },
		"in bytes": func() io.Reader { return iotest.OneByteReader(strings.NewReader(text)) },
	} {
		got, want := readWith(readResponse, from(), method), readWith(http.ReadResponse, from(), method)
		if !reflect.DeepEqual(got, want) {
			t.Errorf("%s: read %q as\n%+v, not\n%+v", name, text, got, want)
		}
	}
}

// outcome is all that can be known of a response.
type outcome struct {
	response            http.Response
	body                []byte
	err, bodyErr, after string
	left                []byte
}

func readWith(read func(*bufio.Reader, *http.Request) (*http.Response, error), from io.Reader, method string) outcome {
	in := bufio.NewReaderSize(from, 4<<10)
	_, _ = in.Peek(1)
	response, err := read(in, &http.Request{Method: method})
	o := outcome{err: fmt.Sprint(err)}
	if err != nil {
		return o // what is left is of no use
	}
	o.body, err = io.ReadAll(response.Body)
	o.bodyErr = fmt.Sprint(err)
	_, err = response.Body.Read(make([]byte, 1))
	o.after = fmt.Sprint(err)
	o.left, _ = io.ReadAll(in)
	o.response = *response
	o.response.Body = nil
	return o
}
