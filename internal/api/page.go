package api

import (
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/postrider/postrider"
)

var pageParameters = []parameter{
	{"limit", "1 to 200; 50 if it is left out", "integer"},
	{"after", "the next of the page before", "string"},
}

// list is a page of a list.
type list[T any] struct {
	Items []T    `json:"items"`
	Next  string `json:"next,omitempty" doc:"the ?after= of the next page; absent on the last one"`
}

// page reads the parameters of a page.
func (c *call) page(faults *postrider.Faults) postrider.Page {
	q := c.r.URL.Query()
	p := postrider.Page{Limit: postrider.DefaultPageLimit, After: q.Get("after")}
	if s, given := q["limit"]; given {
		n, err := strconv.Atoi(s[0])
		if err != nil || n < 1 || n > postrider.MaxPageLimit {
			faults.Addf("limit", "must be a number from 1 to %d", postrider.MaxPageLimit)
		}
		p.Limit = n
	}
	return p
}

// known refuses query parameters that the route does not have, those given more than once, and what is no query.
func (c *call) known(faults *postrider.Faults) {
	query, err := url.ParseQuery(c.r.URL.RawQuery)
	if err != nil { // URL.Query leaves out what it can't read
		faults.Addf("query", "is malformed: %v", err)
	}
	for name, values := range query {
		switch {
		case !slices.ContainsFunc(c.route.query, func(p parameter) bool { return p.name == name }):
			faults.Addf(name, "is no query parameter here")
		case len(values) > 1:
			faults.Addf(name, "is given %d times; once is right", len(values))
		}
	}
}

// flag reads a boolean parameter.
func (c *call) flag(name string, faults *postrider.Faults) bool {
	s := c.r.URL.Query().Get(name)
	if s == "" {
		return false
	}
	b, err := strconv.ParseBool(s)
	if err != nil {
		faults.Addf(name, "must be true or false")
	}
	return b
}

// listEntities answers with a page of entities.
func listEntities[T, V any](c *call, load func(p postrider.Page) ([]*T, string, error), view func(*T) V) error {
	var faults postrider.Faults
	c.known(&faults)
	p := c.page(&faults)
	if err := faults.Err(); err != nil {
		return err
	}
	items, next, err := load(p)
	if err != nil {
		return err
	}
	out := list[V]{Items: make([]V, 0, len(items)), Next: next}
	for _, item := range items {
		out.Items = append(out.Items, view(item))
	}
	return c.answer(http.StatusOK, out)
}

// etag shows the version of an entity.
func (c *call) etag(version uint64) {
	c.w.Header().Set("ETag", `"`+strconv.FormatUint(version, 10)+`"`)
}

// match reads If-Match, one entity tag or several: 0 if any version will do. Of several it is the one that is there, which current
// tells. A weak tag matches nothing (RFC 9110, 13.1.1).
func (c *call) match(current func() (uint64, error)) (uint64, error) {
	header := strings.TrimSpace(strings.Join(c.r.Header.Values("If-Match"), ","))
	if header == "" || header == "*" {
		return 0, nil
	}
	var versions []uint64
	for tag := range strings.SplitSeq(header, ",") {
		if version, ok := versionOf(strings.TrimSpace(tag)); ok {
			versions = append(versions, version)
		}
	}
	if len(versions) == 1 {
		return versions[0], nil
	}
	if len(versions) > 1 {
		version, err := current()
		if err != nil || slices.Contains(versions, version) {
			return version, err
		}
	}
	return 0, postrider.Errorf(postrider.CodePrecondition, "If-Match is not the ETag of what is there")
}

// versionOf is the version that an entity tag of ours names.
func versionOf(tag string) (uint64, bool) {
	if len(tag) < 3 || tag[0] != '"' || tag[len(tag)-1] != '"' {
		return 0, false
	}
	version, err := strconv.ParseUint(tag[1:len(tag)-1], 10, 63)
	return version, err == nil && version > 0
}

// stamp writes a time as the API shows it.
func stamp(t time.Time) string { return t.UTC().Format(time.RFC3339Nano) }

var (
	jsonMedia  = []string{"application/json"}
	patchMedia = []string{"application/merge-patch+json", "application/json"}
)
