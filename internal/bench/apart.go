package bench

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"net/url"
	"slices"
	"strings"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/aws/retry"
	awssqs "github.com/aws/aws-sdk-go-v2/service/sqs"
	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"
	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/postrider/postrider/internal/awsapi"
)

// apart is topics, queues and a schema that one case has for itself: nothing of other cases is in them, and what a case leaves,
// such as retries that wait for an hour, meets nobody. The bare loops use the same servers.
type apart struct {
	name     string // what tells them from all others
	events   topic
	outcomes topic
	queue    string // name
	schema   string
	database string // URL without a schema
	sqs      *awssqs.Client
}

// topic is one of Kafka's.
type topic struct {
	name    string
	brokers []string // none: the bench can't speak to them, which knows neither TLS nor passwords
}

const removing = time.Minute // how long the removal may take

// apart gives the run engines of its own, which the servers make, and which are removed with the run's folder.
func (r *run) apart() (*apart, error) {
	a := &apart{name: strings.Split(newKind(), ".")[1]}
	r.Serve = slices.Clone(r.Serve)
	for i := 0; i+1 < len(r.Serve); i++ {
		var err error
		if r.Serve[i+1], err = a.moved(r.Serve[i], r.Serve[i+1]); err != nil {
			return nil, err
		}
	}
	c, err := r.config()
	if err != nil {
		return nil, err
	}
	a.events, a.outcomes, a.queue = topicOf(c.Events.Raw), topicOf(c.Outcomes.Raw), c.Queue.URL.Host
	q := c.Queue.URL.Query()
	if a.sqs, err = newSQS(r.ctx, q.Get("region"), q.Get("endpoint")); err != nil {
		return nil, err
	}
	r.after = append(r.after, func() {
		ctx, cancel := context.WithTimeout(context.WithoutCancel(r.ctx), removing)
		defer cancel()
		if err := a.remove(ctx); err != nil {
			r.note("of what the case made for itself something may be left: %v", err)
		}
	})
	return a, nil
}

// moved is the value of a flag, changed if it is an engine's that has a name for itself.
func (a *apart) moved(flag, raw string) (string, error) {
	switch flag {
	case "--events", "--outcomes", "--queue":
		base, query, _ := strings.Cut(raw, "?")
		return base + "-" + a.name + "?" + query, nil
	case "--database":
		a.schema, a.database = "bench_"+a.name, raw
		return withSchema(raw, a.schema)
	}
	return raw, nil
}

// withSchema is the URL of a database with a schema.
func withSchema(raw, schema string) (string, error) {
	base, query, _ := strings.Cut(raw, "?")
	q, err := url.ParseQuery(query)
	if err != nil {
		return "", fmt.Errorf("reading the URL of the database: %w", err)
	}
	q.Set("search_path", schema)
	return base + "?" + q.Encode(), nil
}

// topicOf reads a URL of Kafka.
func topicOf(raw string) topic {
	scheme, rest, _ := strings.Cut(raw, "://")
	hosts, path, _ := strings.Cut(rest, "/")
	name, _, _ := strings.Cut(path, "?")
	if scheme != "kafka" || strings.Contains(hosts, "@") {
		return topic{name: name}
	}
	return topic{name: name, brokers: strings.Split(hosts, ",")}
}

func newSQS(ctx context.Context, region, endpoint string) (*awssqs.Client, error) {
	c, err := awsapi.Config(ctx, awsapi.Options{Region: region, MaxIdle: bareSenders, Retryer: func() aws.Retryer { return retry.NewStandard() }})
	if err != nil {
		return nil, err
	}
	return awssqs.NewFromConfig(c, func(o *awssqs.Options) {
		if endpoint != "" {
			o.BaseEndpoint = &endpoint
		}
	}), nil
}

// pool opens connections to the database, in whatever schema.
func (a *apart) pool(ctx context.Context) (*pgxpool.Pool, error) { return pgxpool.New(ctx, a.database) }

// remove removes topics, queues and schemas.
func (a *apart) remove(ctx context.Context) error {
	return errors.Join(a.events.remove(ctx), a.outcomes.remove(ctx), a.removeQueues(ctx), a.removeSchemas(ctx))
}

// remove removes a topic, and what is named after it.
func (t topic) remove(ctx context.Context) error {
	if len(t.brokers) == 0 {
		return fmt.Errorf("the topic %s is left, since its brokers want TLS or a password", t.name)
	}
	client, err := kgo.NewClient(kgo.SeedBrokers(t.brokers...))
	if err != nil {
		return err
	}
	defer client.Close()
	admin := kadm.NewClient(client)
	topics, err := admin.ListTopics(ctx)
	if err != nil {
		return err
	}
	mine := slices.DeleteFunc(topics.Names(), func(name string) bool { return !strings.HasPrefix(name, t.name) })
	_, err = admin.DeleteTopics(ctx, mine...)
	return err
}

func (a *apart) removeQueues(ctx context.Context) error {
	list, err := a.sqs.ListQueues(ctx, &awssqs.ListQueuesInput{QueueNamePrefix: &a.queue})
	if err != nil {
		return err
	}
	for _, url := range list.QueueUrls {
		_, failed := a.sqs.DeleteQueue(ctx, &awssqs.DeleteQueueInput{QueueUrl: aws.String(url)})
		err = cmp.Or(err, failed)
	}
	return err
}

func (a *apart) removeSchemas(ctx context.Context) error {
	pool, err := a.pool(ctx)
	if err != nil {
		return err
	}
	defer pool.Close()
	for _, schema := range []string{a.schema, a.bareSchema()} {
		if _, err := pool.Exec(ctx, "DROP SCHEMA IF EXISTS "+pgx.Identifier{schema}.Sanitize()+" CASCADE"); err != nil {
			return err
		}
	}
	return nil
}

// bareSchema is where a bare loop has tables of its own.
func (a *apart) bareSchema() string { return a.schema + "_bare" }
