package api

import (
	_ "embed"
	"encoding/json"
	"net/http"
	"reflect"
	"strconv"
	"strings"

	"github.com/danielgtaylor/huma/v2"
)

//go:embed docs.html
var docsPage []byte

// openAPI makes the document from the table of routes and the types that they read and write (OpenAPI 3.1).
func (a *API) openAPI() []byte {
	schemas := huma.NewMapRegistry("#/components/schemas/", schemaName)
	doc := &huma.OpenAPI{OpenAPI: "3.1.0", Paths: map[string]*huma.PathItem{},
		Info: &huma.Info{Title: "Postrider", Version: a.Version, Description: "Webhook delivery: targets, filters and subscriptions, events and their deliveries."},
		Components: &huma.Components{Schemas: schemas, SecuritySchemes: map[string]*huma.SecurityScheme{
			"key": {Type: "http", Scheme: "bearer", Description: "A tenant's key, or the admin key"}}}}
	if a.base != "" {
		doc.Servers = []*huma.Server{{URL: a.base}}
	}
	for _, r := range a.routes {
		item := doc.Paths[r.path]
		if item == nil {
			item = &huma.PathItem{}
			doc.Paths[r.path] = item
		}
		op := operation(r, schemas)
		switch r.method {
		case http.MethodGet:
			item.Get = op
		case http.MethodPost:
			item.Post = op
		case http.MethodPatch:
			item.Patch = op
		case http.MethodDelete:
			item.Delete = op
		}
	}
	body, err := json.Marshal(doc)
	if err != nil {
		a.Logger.Error("the OpenAPI document can't be written", "error", err)
	}
	return body
}

// schemaName is a type's name without what says that it is a view.
func schemaName(t reflect.Type, hint string) string {
	name := strings.TrimSuffix(huma.DefaultSchemaNamer(t, hint), "View")
	return strings.ReplaceAll(name, "View", "")
}

func operation(r *route, schemas huma.Registry) *huma.Operation {
	op := &huma.Operation{OperationID: r.id, Summary: r.summary, Tags: []string{r.tag}, Responses: map[string]*huma.Response{}}
	for _, segment := range r.segments {
		if strings.HasPrefix(segment, "{") {
			op.Parameters = append(op.Parameters, &huma.Param{Name: segment[1 : len(segment)-1], In: "path", Required: true, Schema: &huma.Schema{Type: "string"}})
		}
	}
	for _, p := range r.query {
		op.Parameters = append(op.Parameters, &huma.Param{Name: p.name, In: "query", Description: p.doc, Schema: &huma.Schema{Type: p.kind}})
	}
	for _, p := range r.headers {
		op.Parameters = append(op.Parameters, &huma.Param{Name: p.name, In: "header", Description: p.doc, Schema: &huma.Schema{Type: p.kind}})
	}
	if !r.open {
		op.Security = []map[string][]string{{"key": {}}}
		op.Parameters = append(op.Parameters, &huma.Param{Name: "Postrider-Tenant", In: "header",
			Description: "with the admin key: the tenant to act for", Schema: &huma.Schema{Type: "string"}})
	}
	if r.in != nil {
		op.RequestBody = &huma.RequestBody{Required: !r.admin, Content: requestContent(r, schemas)}
	}
	success := &huma.Response{Description: http.StatusText(r.status)}
	if r.out != nil {
		success.Content = map[string]*huma.MediaType{"application/json": {Schema: schemas.Schema(reflect.TypeOf(r.out), true, r.id)}}
	}
	op.Responses[strconv.Itoa(r.status)] = success
	fault := map[string]*huma.MediaType{"application/problem+json": {Schema: schemas.Schema(reflect.TypeOf(problem{}), true, "Problem")}}
	for _, status := range r.failures() {
		op.Responses[strconv.Itoa(status)] = &huma.Response{Description: http.StatusText(status), Content: fault}
	}
	return op
}

// failures are the statuses that the route may answer with but for that of success.
func (r *route) failures() []int {
	all := append([]int{500}, r.fails...)
	if !r.open {
		all = append(all, 401, 403, 422, 503)
	}
	if r.in != nil || r.empty { // it may be broken off, late, too large, or of a type or coding that is not taken
		all = append(all, 400, 408, 413, 415)
	}
	return all
}

func requestContent(r *route, schemas huma.Registry) map[string]*huma.MediaType {
	if r.media == "*/*" {
		return map[string]*huma.MediaType{"*/*": {Schema: &huma.Schema{Type: "string", Format: "binary"}}}
	}
	schema := schemas.Schema(reflect.TypeOf(r.in), true, r.id)
	if r.media == "application/merge-patch+json" { // no member is required in a patch
		schema = &huma.Schema{Type: "object", Description: "members of what making one takes; null takes one away"}
	}
	content := map[string]*huma.MediaType{"application/json": {Schema: schema}}
	if r.media != "" {
		content[r.media] = &huma.MediaType{Schema: schema}
	}
	return content
}

func showOpenAPI(c *call) error {
	c.write(http.StatusOK, "application/json", c.api.document())
	return nil
}

// showDocs shows a page that reads the document and loads nothing from elsewhere, which its policy enforces.
func showDocs(c *call) error {
	c.w.Header().Set("Content-Security-Policy", "default-src 'none'; script-src 'unsafe-inline'; style-src 'unsafe-inline'; img-src data:; connect-src 'self'; base-uri 'none'; form-action 'none'")
	c.write(http.StatusOK, "text/html; charset=utf-8", docsPage)
	return nil
}
