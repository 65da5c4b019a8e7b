package client_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"os"

	"github.com/postrider/postrider/client"
	"github.com/postrider/postrider/internal/app"
	"github.com/postrider/postrider/internal/config"
)

// The examples run against a server of their own, started in this process on a folder that is removed afterwards.
func startServer() (c *client.Client, stop func()) {
	dir, err := os.MkdirTemp("", "postrider-example-")
	must(err)
	settings, err := config.Parse("--data", dir, "--listen", "127.0.0.1:0")
	must(err)
	ctx, cancel := context.WithCancel(context.Background())
	ready, ended := make(chan app.Ready, 1), make(chan error, 1)
	go func() {
		ended <- app.Run(ctx, app.Options{Config: settings, Version: "example", Logger: slog.New(slog.DiscardHandler), Ready: func(r app.Ready) { ready <- r }})
	}()
	select {
	case r := <-ready:
		c, err = client.New(client.Options{URL: r.URL, Key: r.AdminKey, Tenant: "acme"})
		must(err)
	case err := <-ended:
		panic(fmt.Sprint("the server did not start: ", err))
	}
	return c, func() {
		cancel()
		must(<-ended)
		must(os.RemoveAll(dir))
	}
}

// startReceiver answers every message with 200 and tells what came.
func startReceiver() (url string, messages <-chan string, stop func()) {
	came := make(chan string, 10)
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, _ := io.ReadAll(r.Body)
		came <- r.Header.Get("Postrider-Event-Type") + " " + string(body)
		w.WriteHeader(http.StatusOK)
	}))
	return s.URL, came, s.Close
}

func must(err error) {
	if err != nil {
		panic(err)
	}
}

// A target, a filter and a subscription; then each event that the filter names is sent to the target.
func Example() {
	c, stop := startServer()
	defer stop()
	url, messages, stopReceiver := startReceiver()
	defer stopReceiver()
	ctx := context.Background()

	target, err := c.CreateTarget(ctx, client.Target{URL: url, AllowPrivate: true}) // a receiver on this machine, hence private
	must(err)
	filter, err := c.CreateFilter(ctx, client.Filter{Events: []string{"core.orders.*"}})
	must(err)
	_, err = c.CreateSubscription(ctx, client.Subscription{TargetID: target.ID, FilterID: filter.ID})
	must(err)

	_, err = c.Publish(ctx, client.Event{Type: "core.orders.created", Payload: []byte(`{"order": 17}`)})
	must(err)
	fmt.Println(<-messages)
	// Output: core.orders.created {"order": 17}
}

// An event with an id of its own may be published again after an error: receivers see the same webhook-id.
func ExampleClient_Publish() {
	c, stop := startServer()
	defer stop()

	id, err := c.Publish(context.Background(), client.Event{
		Type:        "core.orders.created",
		ID:          "order-17-created",
		ContentType: "application/json",
		Payload:     []byte(`{"order": 17}`),
	})
	fmt.Println(id, err)
	// Output: order-17-created <nil>
}

// A batch is checked whole before any of it is written.
func ExampleClient_PublishBatch() {
	c, stop := startServer()
	defer stop()

	ids, err := c.PublishBatch(context.Background(), []client.BatchEvent{
		{EventType: "core.orders.created", ID: "a", Payload: map[string]int{"order": 17}},
		{EventType: "core.orders.created", ID: "b", Payload: "plain text", ContentType: "text/plain"},
		{EventType: "core.orders.created", ID: "c", Base64: []byte{0, 1, 2}, ContentType: "application/octet-stream"},
	})
	fmt.Println(ids, err)
	// Output: [a b c] <nil>
}

// Lists come in pages; AllTargets goes through all of them.
func ExampleClient_AllTargets() {
	c, stop := startServer()
	defer stop()
	ctx := context.Background()
	for _, name := range []string{"billing", "shipping"} {
		_, err := c.CreateTarget(ctx, client.Target{Name: name, URL: "https://example.com/" + name})
		must(err)
	}

	for target, err := range c.AllTargets(ctx) {
		must(err)
		fmt.Println(target.Name, target.URL, target.State)
	}
	// Output:
	// billing https://example.com/billing on
	// shipping https://example.com/shipping on
}

// A Patch changes the members that it names, and leaves the others.
func ExampleClient_ChangeTarget() {
	c, stop := startServer()
	defer stop()
	ctx := context.Background()
	target, err := c.CreateTarget(ctx, client.Target{Name: "billing", URL: "https://example.com/old", MaxInFlight: 4})
	must(err)

	target, err = c.ChangeTarget(ctx, target.ID, client.Patch{"url": "https://example.com/new", "maxInFlight": nil})
	must(err)
	fmt.Println(target.Name, target.URL, target.MaxInFlight)
	// Output: billing https://example.com/new 0
}

// A new secret signs together with the one before for a day, so that the receiver can change over.
func ExampleClient_RotateSecret() {
	c, stop := startServer()
	defer stop()
	ctx := context.Background()
	target, err := c.CreateTarget(ctx, client.Target{URL: "https://example.com/hooks"})
	must(err)

	secret, err := c.RotateSecret(ctx, target.ID)
	must(err)
	fmt.Println(secret[:6], secret != target.Secret)
	// Output: whsec_ true
}

// What became of an event: its deliveries, and the attempts of each.
func ExampleClient_Attempts() {
	c, stop := startServer()
	defer stop()
	url, messages, stopReceiver := startReceiver()
	defer stopReceiver()
	ctx := context.Background()
	target, err := c.CreateTarget(ctx, client.Target{URL: url, AllowPrivate: true})
	must(err)
	filter, err := c.CreateFilter(ctx, client.Filter{Events: []string{"*"}})
	must(err)
	_, err = c.CreateSubscription(ctx, client.Subscription{TargetID: target.ID, FilterID: filter.ID})
	must(err)
	id, err := c.Publish(ctx, client.Event{Type: "core.orders.created", Payload: []byte("{}")})
	must(err)
	<-messages

	delivery := waitDelivered(ctx, c, id)
	attempts, err := c.Attempts(ctx, delivery.ID)
	must(err)
	for _, a := range attempts {
		fmt.Println(a.Number, a.Status, a.Class)
	}
	// Output: 1 200 ok
}

// waitDelivered asks until the delivery of an event is delivered: the API shows an outcome within a second.
func waitDelivered(ctx context.Context, c *client.Client, event string) client.Delivery {
	for {
		page, err := c.Deliveries(ctx, client.DeliveryQuery{EventID: event, State: "delivered"})
		must(err)
		if len(page.Items) > 0 {
			return page.Items[0]
		}
	}
}

// An answer that is no success is an Error, which names every faulty field.
func ExampleError() {
	c, stop := startServer()
	defer stop()

	_, err := c.CreateTarget(context.Background(), client.Target{URL: "ftp://example.com"})
	var fault *client.Error
	if errors.As(err, &fault) {
		fmt.Println(fault.Status, fault.Fields[0].Field)
	}
	// Output: 422 url
}

// A key acts for its tenant alone, and is shown once. Making one needs the admin key.
func ExampleClient_CreateKey() {
	c, stop := startServer()
	defer stop()

	key, err := c.CreateKey(context.Background(), "acme", "orders service")
	must(err)
	fmt.Println(key.Name, key.Key != "")
	// Output: orders service true
}
