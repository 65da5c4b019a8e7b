package kafka

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"sync"
	"time"

	"github.com/twmb/avro"
	"github.com/twmb/franz-go/pkg/sr"
)

// registryTimeout bounds one look-up.
const registryTimeout = 5 * time.Second

// maxReferences bounds the schemas that one schema may draw in.
const maxReferences = 64

// registry resolves writers' schemas. What it found it keeps: an id never changes its schema.
type registry struct {
	client *sr.Client
	http   *http.Client
	reader *avro.Schema

	mu    sync.Mutex
	known map[int]*avro.Schema
}

// errRegistry marks a failure that time may mend; any other is the record's fault.
var errRegistry = errors.New("the schema registry does not answer")

func newRegistry(url string) (*registry, error) {
	if url == "" {
		return nil, nil
	}
	h := &http.Client{Timeout: registryTimeout, Transport: &http.Transport{IdleConnTimeout: time.Minute}} // no proxy of the environment
	client, err := sr.NewClient(sr.URLs(url), sr.HTTPClient(h))
	if err != nil {
		return nil, err
	}
	return &registry{client: client, http: h, known: make(map[int]*avro.Schema)}, nil
}

// schema returns the schema that reads what the writer's schema of an id wrote. The lock is not held during a look-up, so
// that a registry that is slow holds up only the partitions that need it.
func (r *registry) schema(ctx context.Context, id int) (*avro.Schema, error) {
	r.mu.Lock()
	known := r.known[id]
	r.mu.Unlock()
	if known != nil {
		return known, nil
	}
	ctx, cancel := context.WithTimeout(ctx, registryTimeout)
	defer cancel()
	written, err := r.client.SchemaByID(ctx, id)
	if err != nil {
		return nil, lookupError(id, err)
	}
	writer, err := r.parse(ctx, written)
	if err != nil {
		return nil, err
	}
	resolved, err := avro.Resolve(writer, r.reader)
	if err != nil {
		return nil, fmt.Errorf("schema %d can't be read as an event: %w", id, err)
	}
	r.mu.Lock()
	r.known[id] = resolved
	r.mu.Unlock()
	return resolved, nil
}

func lookupError(id int, err error) error {
	var answer *sr.ResponseError
	if errors.As(err, &answer) && answer.StatusCode == http.StatusNotFound {
		return fmt.Errorf("the registry has no schema %d", id)
	}
	return fmt.Errorf("%w: %w", errRegistry, err)
}

// parse parses a schema behind those that it refers to.
func (r *registry) parse(ctx context.Context, s sr.Schema) (*avro.Schema, error) {
	if s.Type != sr.TypeAvro {
		return nil, fmt.Errorf("the schema is %v, not Avro", s.Type)
	}
	var cache avro.SchemaCache
	left := maxReferences
	var draw func(refs []sr.SchemaReference) error
	draw = func(refs []sr.SchemaReference) error {
		for _, ref := range refs {
			if left--; left < 0 {
				return errors.New("the schema refers to too many others")
			}
			found, err := r.client.SchemaByVersion(ctx, ref.Subject, ref.Version)
			if err != nil {
				return lookupError(found.ID, err)
			}
			if err := draw(found.References); err != nil {
				return err
			}
			if _, err := cache.Parse(found.Schema.Schema); err != nil {
				return fmt.Errorf("a schema that is referred to is not valid: %w", err)
			}
		}
		return nil
	}
	if err := draw(s.References); err != nil {
		return nil, err
	}
	schema, err := cache.Parse(s.Schema)
	if err != nil {
		return nil, fmt.Errorf("the schema is not valid: %w", err)
	}
	return schema, nil
}

func (r *registry) close() {
	if r != nil {
		r.http.CloseIdleConnections()
	}
}
