package egress

import (
	"bufio"
	"bytes"
	"errors"
	"io"
	"net/http"
	"net/textproto"
	"strconv"
	"strings"

	"golang.org/x/net/http/httpguts"
)

// readResponse reads what http.ReadResponse would (FuzzResponseReader holds it so), with fewer allocations. Only heads that are in
// the buffer whole, and as plain as can be, are read here; all that is doubtful in the least is net/http's to judge.
func readResponse(in *bufio.Reader, r *http.Request) (*http.Response, error) {
	buffered, _ := in.Peek(in.Buffered()) // never fails: it is there
	end := bytes.Index(buffered, []byte("\r\n\r\n"))
	if end < 0 || r.Method != http.MethodPost {
		return http.ReadResponse(in, r)
	}
	response := plainResponse(string(buffered[:end]))
	if response == nil {
		return http.ReadResponse(in, r)
	}
	_, _ = in.Discard(end + 4)
	response.Request = r
	response.Body = http.NoBody
	if response.ContentLength > 0 {
		response.Body = &measuredBody{io.LimitedReader{R: in, N: response.ContentLength}}
	}
	return response, nil
}

// plainResponse makes a response of its head, without body; nil if it is not plain. What it holds are parts of the head.
func plainResponse(head string) *http.Response {
	line, fields, _ := strings.Cut(head, "\r\n")
	status, ok := strings.CutPrefix(line, "HTTP/1.1 ")
	code := plainStatus(status)
	if !ok || code == 0 || hasControl(status) {
		return nil
	}
	h := plainHeader(fields)
	if len(h["Content-Length"]) != 1 {
		return nil
	}
	length, err := strconv.ParseUint(h["Content-Length"][0], 10, 63)
	if err != nil {
		return nil
	}
	return &http.Response{Status: status, StatusCode: code, Proto: "HTTP/1.1", ProtoMajor: 1, ProtoMinor: 1, Header: h, ContentLength: int64(length)}
}

// plainStatus returns the code of a status whose response is final and has the body that its length says; else 0.
func plainStatus(status string) int {
	text, _, _ := strings.Cut(status, " ")
	code, err := strconv.Atoi(text)
	if err != nil || len(text) != 3 || code < 200 || code == http.StatusNoContent || code == http.StatusNotModified {
		return 0
	}
	return code
}

// plainHeader returns the headers of a head; nil if one is not plain.
func plainHeader(fields string) http.Header {
	lines := strings.Count(fields, "\r\n") + 1
	h, values := make(http.Header, lines), make([]string, lines)
	for i := range values {
		var line string
		line, fields, _ = strings.Cut(fields, "\r\n")
		name, value, ok := strings.Cut(line, ":")
		name, value = textproto.CanonicalMIMEHeaderKey(name), strings.Trim(value, " ")
		if !ok || hasControl(line) || !plainField(name, value) {
			return nil
		}
		values[i] = value
		if already := h[name]; already != nil {
			h[name] = append(already, value)
		} else {
			h[name] = values[i : i+1 : i+1]
		}
	}
	return h
}

// plainField reports whether a header says nothing of the connection, nor of the body besides its length.
func plainField(name, value string) bool {
	switch name {
	case "Connection":
		return value == "keep-alive"
	case "Transfer-Encoding", "Trailer", "Pragma":
		return false
	}
	return httpguts.ValidHeaderFieldName(name)
}

// measuredBody is a body whose length is known: it is at its end with its last byte, and unexpectedly before that.
type measuredBody struct{ io.LimitedReader }

func (b *measuredBody) Read(p []byte) (int, error) {
	n, err := b.LimitedReader.Read(p)
	switch {
	case errors.Is(err, io.EOF) && b.N > 0:
		b.N = 0
		return n, io.ErrUnexpectedEOF
	case err == nil && n > 0 && b.N == 0:
		return n, io.EOF
	}
	return n, err
}

// Close reads no further: who closes before the end closes the connection, too.
func (b *measuredBody) Close() error { return nil }
