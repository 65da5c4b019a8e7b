package app

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"net/http/pprof"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/promhttp"
)

// Limits of the HTTP server. The time that a body may take is the API's affair, since it depends on its size.
const (
	readHeaderTimeout = 10 * time.Second
	idleTimeout       = 2 * time.Minute
	maxHeaderBytes    = 64 << 10
	answerTime        = 30 * time.Second // for a client to take an answer that is ready
)

// routes joins the API, health and, where wanted, metrics. Without an API everything else is a 404.
func routes(api http.Handler, h *health, metrics http.Handler) http.Handler {
	mux := http.NewServeMux()
	mux.Handle("/healthz", onlyGet(h.live))
	mux.Handle("/readyz", onlyGet(h.ready))
	if metrics != nil {
		mux.Handle("/metrics", metrics)
	}
	if api == nil {
		api = http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
			writeProblem(w, http.StatusNotFound, "this process does not run the role api")
		})
	}
	own := map[string]bool{"/healthz": true, "/readyz": true, "/metrics": metrics != nil}
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if own[r.URL.Path] {
			_ = http.NewResponseController(w).SetWriteDeadline(time.Now().Add(answerTime)) // not every writer has one
			mux.ServeHTTP(w, r)
			return
		}
		api.ServeHTTP(w, r) // not by the mux, which would redirect paths that it finds unclean
	})
}

// metricsHandler shows a registry.
func metricsHandler(registry *prometheus.Registry, logger *slog.Logger) http.Handler {
	return promhttp.HandlerFor(registry, promhttp.HandlerOpts{ErrorLog: slog.NewLogLogger(logger.Handler(), slog.LevelWarn)})
}

// profiles shows what the runtime knows of the process, for go tool pprof.
func profiles() http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("/debug/pprof/", pprof.Index)
	mux.HandleFunc("/debug/pprof/cmdline", pprof.Cmdline)
	mux.HandleFunc("/debug/pprof/profile", pprof.Profile)
	mux.HandleFunc("/debug/pprof/symbol", pprof.Symbol)
	mux.HandleFunc("/debug/pprof/trace", pprof.Trace)
	return mux
}

// server is an HTTP server on a listener.
type server struct {
	http     *http.Server
	listener net.Listener
	crowd    *crowd
	done     chan error
}

// serve begins to answer on a listener, on a number of connections at once.
func serve(listener net.Listener, handler http.Handler, places int, logger *slog.Logger) *server {
	var protocols http.Protocols
	protocols.SetHTTP1(true)
	protocols.SetUnencryptedHTTP2(true)
	s := &server{
		listener: listener,
		crowd:    newCrowd(places),
		done:     make(chan error, 1),
		http: &http.Server{
			Handler:           &streams{next: handler, by: map[*bundle]struct{}{}},
			ConnContext:       withBundle,
			ReadHeaderTimeout: readHeaderTimeout,
			IdleTimeout:       idleTimeout,
			MaxHeaderBytes:    maxHeaderBytes,
			Protocols:         &protocols,
			HTTP2:             &http.HTTP2Config{MaxConcurrentStreams: maxStreams, WriteByteTimeout: answerTime},
			ErrorLog:          slog.NewLogLogger(logger.Handler(), slog.LevelDebug),
		},
	}
	s.http.ConnState = s.crowd.track
	go func() { s.done <- s.http.Serve(listener) }()
	return s
}

// stop closes the listener and lets requests end until ctx does; what is left is cut off.
func (s *server) stop(ctx context.Context) error {
	if s == nil {
		return nil
	}
	s.crowd.disperse()
	err := s.http.Shutdown(ctx)
	if err != nil {
		s.http.Close()
	}
	if serr := <-s.done; !errors.Is(serr, http.ErrServerClosed) {
		return fmt.Errorf("serving HTTP: %w", serr)
	}
	if err != nil {
		return fmt.Errorf("some requests did not end in time: %w", err)
	}
	return nil
}

// url is where a listener is reached on this machine.
func url(addr net.Addr) string {
	host, port, err := net.SplitHostPort(addr.String())
	if err != nil {
		return addr.String()
	}
	if ip := net.ParseIP(host); ip != nil && ip.IsUnspecified() {
		host = "127.0.0.1"
	}
	return "http://" + net.JoinHostPort(host, port)
}
