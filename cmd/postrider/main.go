// Command postrider delivers webhooks: serve runs the system, the other commands use it.
package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/signal"
	"syscall"

	"github.com/alecthomas/kong"

	"github.com/postrider/postrider/internal/app"
	"github.com/postrider/postrider/internal/config"
)

const description = "Postrider delivers webhooks: it finds every subscriber of an event, sends each one a signed HTTP POST, " +
	"and keeps trying for up to 24 hours. Run \"postrider demo\" to see it work."

// commands is the grammar of the command line.
type commands struct {
	Serve   serveCommand   `cmd:"" help:"Run the server, or some of its roles."`
	Demo    demoCommand    `cmd:"" help:"Show the whole flow in a temporary folder, from an event to its signed delivery."`
	Send    sendCommand    `cmd:"" help:"Publish one event."`
	Listen  listenCommand  `cmd:"" help:"Receive messages on this machine and show them, until interrupted."`
	Keys    keysCommand    `cmd:"" help:"Make, list and delete the keys of a tenant."`
	Check   checkCommand   `cmd:"" help:"Verify a data folder."`
	Backup  backupCommand  `cmd:"" help:"Copy the data of a server, which may be running, to a file."`
	Bench   benchCommand   `cmd:"" help:"Measure speed and memory on this machine, and check that nothing is lost."`
	Version versionCommand `cmd:"" help:"Show the version."`

	BenchChild benchChildCommand `cmd:"" hidden:""`
}

// env is what a command has of the world.
type env struct {
	ctx     context.Context // ends with the first signal
	in      io.Reader
	out     *terminal
	err     io.Writer
	sources *config.Sources
	known   []string // environment variables that some command reads
}

func main() {
	ctx, stop := interruptible()
	status := run(ctx, os.Args[1:])
	stop()
	os.Exit(status)
}

// run runs one command and returns the exit status: 0, 2 for a faulty configuration or command line, else 1.
func run(ctx context.Context, args []string) int {
	e := &env{ctx: ctx, in: os.Stdin, out: newTerminal(os.Stdout), err: os.Stderr,
		sources: config.NewSources("serve", os.LookupEnv, os.ReadFile)}
	parser, err := kong.New(&commands{}, kong.Name("postrider"), kong.Description(description), kong.UsageOnError(),
		kong.ConfigureHelp(kong.HelpOptions{Compact: true, WrapUpperBound: 110}), kong.Resolvers(e.sources), kong.Bind(e))
	if err != nil {
		fmt.Fprintln(os.Stderr, "postrider:", err)
		return 1
	}
	e.known = variables(parser)
	parsed, err := parser.Parse(prepared(parser, e.sources, args))
	if err != nil {
		fmt.Fprintf(os.Stderr, "postrider: %v; see postrider --help\n", err)
		return 2
	}
	err = parsed.Run()
	var faulty *config.Error
	switch {
	case err == nil:
		return 0
	case errors.As(err, &faulty):
		fmt.Fprintln(os.Stderr, "postrider:", err)
		return 2
	default:
		fmt.Fprintln(os.Stderr, "postrider:", err)
		return 1
	}
}

// prepared ties the values of serve's arguments to their flags, and sees to it that all faults are told at once.
func prepared(parser *kong.Kong, sources *config.Sources, args []string) []string {
	for _, command := range parser.Model.Children {
		if command.Name == "serve" && len(args) > 0 && args[0] == "serve" {
			return append([]string{"serve"}, sources.Arguments(args[1:], command.Flags)...)
		}
	}
	return args
}

// variables are those of all commands, and of the engines: who works with the others may start a server in the same environment.
func variables(parser *kong.Kong) []string {
	known := app.Variables()
	for _, command := range parser.Model.Children {
		for _, flag := range command.Flags {
			known = append(known, flag.Envs...)
			if command.Name == "serve" {
				known = append(known, config.EnvName(flag.Name))
			}
		}
	}
	return known
}

// interruptible returns a context that ends with SIGINT or SIGTERM. A second signal ends the process at once.
func interruptible() (context.Context, func()) {
	ctx, cancel := context.WithCancel(context.Background())
	signals := make(chan os.Signal, 2)
	signal.Notify(signals, syscall.SIGINT, syscall.SIGTERM)
	go func() {
		<-signals
		cancel()
		<-signals
		os.Exit(1)
	}()
	return ctx, func() { signal.Stop(signals); cancel() }
}
