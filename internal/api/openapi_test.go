package api_test

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/http/httptest"
	"path"
	"strconv"
	"strings"
	"sync"
	"testing"

	"github.com/postrider/postrider"
	"github.com/postrider/postrider/internal/api"
)

// operation is what the OpenAPI document says of one.
type operation struct {
	Security  []any
	Responses map[string]any
}

func (o operation) lists(status int) bool {
	_, there := o.Responses[strconv.Itoa(status)]
	return there
}

// described are the operations of the OpenAPI document, by path and method.
var described = sync.OnceValue(func() map[string]map[string]operation {
	w := httptest.NewRecorder()
	api.New(api.Options{}).Handler().ServeHTTP(w, httptest.NewRequest(http.MethodGet, "/openapi.json", nil))
	var doc struct {
		Paths map[string]map[string]operation
	}
	if err := json.Unmarshal(w.Body.Bytes(), &doc); err != nil {
		panic(err)
	}
	return doc.Paths
})

// operationAt is the one that serves a method and path.
func operationAt(method, path string) (operation, bool) {
	if method == http.MethodHead {
		method = http.MethodGet
	}
	path, _, _ = strings.Cut(path, "?")
	for template, item := range described() {
		if op, there := item[strings.ToLower(method)]; there && fits(template, path) {
			return op, true
		}
	}
	return operation{}, false
}

func fits(template, path string) bool {
	wants, segments := strings.Split(template, "/"), strings.Split(path, "/")
	if len(wants) != len(segments) {
		return false
	}
	for i, want := range wants {
		if want != segments[i] && (!strings.HasPrefix(want, "{") || segments[i] == "") {
			return false
		}
	}
	return true
}

// conforms checks that the OpenAPI document lists the status of an answer: every answer that these tests get is held against it.
func (s *server) conforms(t *testing.T, method, path string, status int) {
	t.Helper()
	var op operation
	below, there := strings.CutPrefix(path, s.base)
	if there {
		op, there = operationAt(method, below)
	}
	switch {
	case there && !op.lists(status):
		t.Errorf("%s %s: %d, which the document does not list", method, path, status)
	case !there && status != http.StatusNotFound && status != http.StatusMethodNotAllowed:
		t.Errorf("%s %s: %d of what the document does not have", method, path, status)
	}
}

// refusals are rests of requests, from the header on, that routes answer by what they look at.
var refusals = map[string]string{
	"an ETag of nothing":  "If-Match: \"999999\"\r\nContent-Length: 2\r\n\r\n{}",
	"a body out of order": "Transfer-Encoding: chunked\r\n\r\nnonsense\r\n",
	"a large body":        "Content-Length: 1000000000\r\n\r\n",
	"a body of XML":       "Content-Type: text/xml\r\nContent-Length: 4\r\n\r\n<a/>",
	"a packed body":       "Content-Encoding: gzip\r\nContent-Length: 2\r\n\r\n\x1f\x8b",
}

// TestWhatIsListedIsAnswered: a route lists the statuses of what it refuses, and none of what it does not look at.
func TestWhatIsListedIsAnswered(t *testing.T) {
	t.Parallel()
	s := newServer(t)
	for _, op := range operations(t) {
		method, template := op[0], op[1]
		got := map[int]bool{s.raw(t, method, strings.NewReplacer("{id}", "999999", "{tenant}", "acme").Replace(template), "Content-Length: 2\r\n\r\n{}"): true}
		for _, rest := range refusals {
			got[s.raw(t, method, s.existing(t, template), rest)] = true
		}
		for _, status := range []int{400, 404, 409, 412, 413, 415} {
			if listed := described()[template][strings.ToLower(method)].lists(status); listed != got[status] {
				t.Errorf("%s %s: %d is listed: %v, answered: %v", method, template, status, listed, got[status])
			}
		}
	}
}

// existing is the path of something that was just made and is in use, or of a collection.
func (s *server) existing(t *testing.T, template string) string {
	t.Helper()
	template = strings.ReplaceAll(template, "{tenant}", "acme")
	collection, _, one := strings.Cut(template, "/{id}")
	if !one {
		return template
	}
	id := ""
	switch path.Base(collection) {
	case "targets":
		id, _, _ = s.entities(t, adminKey)
	case "filters":
		_, id, _ = s.entities(t, adminKey)
	case "subscriptions":
		_, _, id = s.entities(t, adminKey)
	case "events":
		id = s.want(t, 202, "POST", collection+"?type=a", "x").json(t)["id"].(string)
	case "deliveries":
		_, _, _, made := s.attempted(t)
		id = made.String()
	case "keys":
		id = s.want(t, 201, "POST", collection, "").id(t)
	default:
		t.Fatalf("nothing is made for %s", template)
	}
	return strings.ReplaceAll(template, "{id}", id)
}

// raw sends a request, with its rest as it stands, and returns the status of the answer.
func (s *server) raw(t *testing.T, method, path, rest string) int {
	t.Helper()
	conn, err := (&net.Dialer{}).DialContext(t.Context(), "tcp", strings.TrimPrefix(s.url, "http://"))
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	fmt.Fprintf(conn, "%s %s HTTP/1.1\r\nHost: x\r\nConnection: close\r\nAuthorization: Bearer %s\r\nPostrider-Event-Type: a\r\n%s", method, path, adminKey, rest)
	response, err := http.ReadResponse(bufio.NewReader(conn), nil)
	if err != nil {
		t.Fatalf("%s %s: %v", method, path, err)
	}
	response.Body.Close()
	s.conforms(t, method, path, response.StatusCode)
	return response.StatusCode
}

// broken is a database with a fault of its own.
type broken struct{ postrider.Database }

func (broken) Targets(context.Context, string, postrider.Page) ([]*postrider.Target, string, error) {
	return nil, "", errors.New("a secret of the server's")
}

func TestAFaultOfTheServers(t *testing.T) {
	t.Parallel()
	s := newServer(t, func(o *api.Options) { o.Database = broken{o.Database} })
	if a := s.want(t, 500, "GET", "/webhooks/targets", ""); strings.Contains(string(a.body), "secret") {
		t.Errorf("the cause is shown: %s", a.body)
	}
}
