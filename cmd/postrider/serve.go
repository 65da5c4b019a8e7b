package main

import (
	"fmt"
	"io"
	"log/slog"
	"os"

	"github.com/postrider/postrider/internal/app"
	"github.com/postrider/postrider/internal/config"
)

type serveCommand struct {
	config.Flags
}

// Help stands below the flags.
func (*serveCommand) Help() string {
	return `Each setting can also stand in the environment (--retry-base as POSTRIDER_RETRY_BASE) or in the file that --config names
(retry-base: 10s). A flag goes before the environment, the environment before the file, the file before the default.
Durations are written 15s, 2m30s, 24h, 30d; sizes 128KiB, 16MiB, 1GiB.

Without any setting the whole system runs in one process on one file. SIGTERM and SIGINT stop it after what is in flight has
ended; a second one ends it at once. The exit status is 0 after a clean stop, 2 for a faulty configuration, else 1.`
}

// Run serves until a signal.
func (s *serveCommand) Run(e *env) error {
	c, err := s.Check(e.sources, app.CheckEngine)
	if err != nil {
		return err
	}
	relaxCollector(c.Roles)
	logger := newLogger(e.err, c)
	if strays := config.Strays(os.Environ(), e.known); len(strays) > 0 {
		logger.Warn("variables of the environment look like settings and are none", "variables", strays)
	}
	number, _ := build()
	return app.Run(e.ctx, app.Options{
		Config:  c,
		Version: number,
		Logger:  logger,
		Ready: func(r app.Ready) {
			fmt.Fprintln(e.err, readyLine(r))
		},
	})
}

// readyLine says where the server is reached and where its key is.
func readyLine(r app.Ready) string {
	switch {
	case !r.API:
		return fmt.Sprintf("postrider is ready at %s (health and metrics; this process does not run the role api)", r.URL)
	case r.AdminKeyFile == "":
		return fmt.Sprintf("postrider is ready at %s (admin key: as configured)", r.URL)
	}
	return fmt.Sprintf("postrider is ready at %s (admin key: in %s)", r.URL, r.AdminKeyFile)
}

func newLogger(w io.Writer, c *config.Config) *slog.Logger {
	options := &slog.HandlerOptions{Level: c.LogLevel}
	if c.LogFormat == "json" {
		return slog.New(slog.NewJSONHandler(w, options))
	}
	return slog.New(slog.NewTextHandler(w, options))
}
