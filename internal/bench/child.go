package bench

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"time"
)

// Child is what a process that the bench starts of its own binary does, besides serve.
type Child string

// The children.
const (
	ChildSink  Child = "sink"  // the receiver
	ChildProxy Child = "proxy" // the bare loop; it passes on to the URL that is its argument
)

// RunChild runs a child until ctx ends. It prints one line to w when it is ready.
func RunChild(ctx context.Context, kind Child, argument string, w io.Writer) error {
	var handler http.Handler
	switch kind {
	case ChildSink:
		handler = (&sink{}).handler()
	case ChildProxy:
		handler = &proxy{sink: argument, client: newHTTP()}
	default:
		return fmt.Errorf("there is no child %q", kind)
	}
	l, err := (&net.ListenConfig{}).Listen(ctx, "tcp", "127.0.0.1:0")
	if err != nil {
		return fmt.Errorf("listening: %w", err)
	}
	s := &http.Server{Handler: handler, ReadHeaderTimeout: time.Minute}
	go func() {
		<-ctx.Done()
		s.Close()
	}()
	fmt.Fprintf(w, "bench %s is ready at http://%s\n", kind, l.Addr())
	if err := s.Serve(l); !errors.Is(err, http.ErrServerClosed) {
		return err
	}
	return nil
}
