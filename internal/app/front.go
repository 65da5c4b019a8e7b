package app

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"sync/atomic"
	"time"

	"github.com/postrider/postrider/internal/config"
)

// lastAnswers is how long a stop waits for requests that outlived the drain of the API: health and metrics.
const lastAnswers = time.Second

// front is where a process answers: health and metrics from the first moment, the API once it is open.
type front struct {
	main, metrics, profiles *server

	api *doorway // nil without the role api
}

// doorway leads to a handler once there is one.
type doorway struct{ handler atomic.Pointer[http.Handler] }

// ServeHTTP answers 503 until the doorway is open.
func (d *doorway) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	if h := d.handler.Load(); h != nil {
		(*h).ServeHTTP(w, r)
		return
	}
	w.Header().Set("Retry-After", "1")
	writeProblem(w, http.StatusServiceUnavailable, "the server is starting; /readyz says what it waits for")
}

// listen opens the listeners and begins to answer.
func (a *app) listen(ctx context.Context) (*front, error) {
	f := &front{}
	var handler http.Handler
	if a.Config.Has(config.RoleAPI) {
		f.api = &doorway{}
		handler = f.api
	}
	metrics := metricsHandler(a.registry, a.Logger)
	if addr := a.Config.MetricsListen; addr != "" {
		l, err := a.Listen(ctx, "tcp", addr)
		if err != nil {
			return nil, listenError("metrics-listen", addr, err)
		}
		f.metrics = serve(l, routes(nil, a.health, metrics), connectionLimit(), a.Logger)
		metrics = nil
	}
	if addr := a.Config.Pprof; addr != "" {
		l, err := a.Listen(ctx, "tcp", addr)
		if err != nil {
			return nil, errors.Join(listenError("pprof", addr, err), f.stop(ctx))
		}
		f.profiles = serve(l, profiles(), connectionLimit(), a.Logger)
	}
	l, err := a.Listen(ctx, "tcp", a.Config.Listen)
	if err != nil {
		return nil, errors.Join(listenError("listen", a.Config.Listen, err), f.stop(ctx))
	}
	f.main = serve(l, routes(handler, a.health, metrics), connectionLimit(), a.Logger)
	return f, nil
}

// open lets requests through to the API.
func (f *front) open(api http.Handler) { f.api.handler.Store(&api) }

// url is where the process is reached on this machine.
func (f *front) url() string { return url(f.main.listener.Addr()) }

// stop closes the listeners, and lets the last answers end. It may be called again.
func (f *front) stop(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, lastAnswers)
	defer cancel()
	err := errors.Join(f.main.stop(ctx), f.metrics.stop(ctx), f.profiles.stop(ctx))
	f.main, f.metrics, f.profiles = nil, nil, nil
	return err
}

// listenError says which setting names an address that cannot be listened on.
func listenError(setting, addr string, err error) error {
	var op *net.OpError
	if errors.As(err, &op) {
		err = op.Err
	}
	return fmt.Errorf("cannot listen on %s (--%s): %w", addr, setting, err)
}
