// Command mpproxy stands between ConfigMgr agents and their management point:
// it forwards, decodes, records, and says what is wrong.
//
// This package reads the command line, wires the others together and gives the
// exit code; nobody imports it. Each command is one file with one struct.
package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/signal"
	"path/filepath"
	"runtime/debug"
	"slices"
	"strconv"
	"strings"
	"syscall"

	"github.com/alecthomas/kong"
)

// The exit codes, as scripts know them.
const (
	exitOK          = 0
	exitFailed      = 1
	exitUsage       = 2
	exitFindings    = 3
	exitUnreachable = 4
	exitDiffers     = 5
	exitDamaged     = 6
	exitInterrupted = 130
)

// commands is the command line. A new command is a file and a line here.
type commands struct {
	Run      runCommand      `cmd:"" help:"Stand between agents and a management point: proxy, record, show."`
	Demo     demoCommand     `cmd:"" help:"The whole thing against a simulated site: agents, management point, proxy, capture, screen."`
	Site     siteCommand     `cmd:"" help:"The simulated site alone, to point mpproxy or an agent at."`
	Open     openCommand     `cmd:"" help:"The screen on a capture, live or finished."`
	Ls       lsCommand       `cmd:"" help:"List exchanges of a capture, one line each."`
	Tail     tailCommand     `cmd:"" help:"The last exchanges of a capture, and new ones as they come."`
	Show     showCommand     `cmd:"" help:"One exchange: summary, header, text, findings, or its bytes."`
	Agents   agentsCommand   `cmd:"" help:"The agents of a capture, the last seen first."`
	Conns    connsCommand    `cmd:"" help:"The connections of a capture: both legs, how they ended."`
	Findings findingsCommand `cmd:"" help:"What was found, by kind, the worst first."`
	Stats    statsCommand    `cmd:"" help:"How many exchanges, how fast, how large, by endpoint."`
	Decode   decodeCommand   `cmd:"" help:"Decode messages from files or standard input, without a capture."`
	Diagnose diagnoseCommand `cmd:"" help:"Why connections of a capture failed: cause, side, how sure, and what to do."`
	Report   reportCommand   `cmd:"" help:"One self-contained page for a ticket: why connections failed, findings, exchanges."`
	Diff     diffCommand     `cmd:"" help:"Compare two captures or two exchanges by meaning; exit code 5 when they differ."`
	Doctor   doctorCommand   `cmd:"" help:"Look at a management point as an agent would; without a URL, at this machine."`
	Replay   replayCommand   `cmd:"" help:"Play a capture: its agents to a management point, or its management point to agents."`
	Export   exportCommand   `cmd:"" help:"Write exchanges as HAR, JSON lines, pcapng, curl, PowerShell or Go tests."`
	Explain  explainCommand  `cmd:"" help:"A code of Windows, WinHTTP, TLS, IIS, BITS or ConfigMgr in words, or a whole log line."`
	Check    checkCommand    `cmd:"" help:"Check that a capture is whole."`
	Reindex  reindexCommand  `cmd:"" help:"Decode a capture anew, with what this mpproxy knows."`
	Rules    rulesCommand    `cmd:"" help:"Check a file of rules."`
	CA       caCommand       `cmd:"" name:"ca" help:"The proxy's certificate authority."`
	Version  versionCommand  `cmd:"" help:"The version of mpproxy and of what it is made of."`
}

// env is what commands may use of the world; tests give another one.
type env struct {
	stdin          io.Reader
	stdout, stderr io.Writer
	getenv         func(string) string
}

// exit is an error that knows its exit code.
type exit struct {
	code int
	err  error
	hint string
}

func (e *exit) Error() string { return e.err.Error() }
func (e *exit) Unwrap() error { return e.err }

func usage(err error, hint string) error { return &exit{exitUsage, err, hint} }

// gcPercent keeps the garbage below half of what is live. Recording makes much
// garbage and holds little: under full load 58 in place of 70 MiB, for a few
// percent of CPU (docs/performance.md).
const gcPercent = 50

func main() {
	if os.Getenv("GOGC") == "" {
		debug.SetGCPercent(gcPercent)
	}
	os.Exit(run(os.Args[1:], &env{os.Stdin, os.Stdout, os.Stderr, os.Getenv}))
}

// run is main with its world as arguments and its exit code as result.
func run(args []string, e *env) int {
	var c commands
	code := -1
	parser, err := kong.New(&c,
		kong.Name("mpproxy"),
		kong.Description("A proxy between ConfigMgr agents and their management point that understands what they say."),
		kong.Writers(e.stdout, e.stderr),
		kong.Exit(func(n int) { code = n }),
		kong.DefaultEnvars("MPPROXY"),
		kong.ConfigureHelp(kong.HelpOptions{Compact: true, NoExpandSubcommands: true}),
	)
	if err != nil {
		return say(e, err)
	}
	parsed, err := parser.Parse(codeArguments(filterArguments(args)))
	if code >= 0 { // help or version was printed
		return code
	}
	if err != nil {
		return say(e, usage(err, "mpproxy --help lists the commands, mpproxy COMMAND --help its flags."))
	}
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	parsed.BindTo(ctx, (*context.Context)(nil))
	return say(e, parsed.Run(e))
}

// filterArguments lets a filter begin with a minus: "-kind:ddr" is no flag.
func filterArguments(args []string) []string {
	for i, a := range args {
		name, _, found := strings.Cut(strings.TrimPrefix(a, "-"), ":")
		if found && strings.HasPrefix(a, "-") && name != "" && strings.Trim(name, "abcdefghijklmnopqrstuvwxyz.") == "" {
			out := append([]string(nil), args...)
			out[i] = "NOT " + a[1:]
			return filterArguments(out)
		}
	}
	return args
}

// codeArguments lets a code of explain be a negative number, as SQL and scripts
// print it: "-2147012721" is no flag.
func codeArguments(args []string) []string {
	if len(args) == 0 || args[0] != "explain" {
		return args
	}
	out := slices.Clone(args)
	for i, a := range out {
		if _, err := strconv.ParseInt(a, 10, 64); err == nil && strings.HasPrefix(a, "-") {
			out[i] = " " + a
		}
	}
	return out
}

// say prints an error with its hint, and gives its exit code.
func say(e *env, err error) int {
	if err == nil {
		return exitOK
	}
	var known *exit
	if !errors.As(err, &known) {
		known = &exit{code: exitFailed, err: err}
	}
	if errors.Is(err, context.Canceled) && known.code == exitFailed {
		return exitInterrupted
	}
	if known.err != nil && known.err.Error() != "" {
		fmt.Fprintln(e.stderr, "mpproxy:", known.err)
	}
	if known.hint != "" {
		fmt.Fprintln(e.stderr, "  "+known.hint)
	}
	return known.code
}

// place is a file or folder of the user's, after the manner of the system.
// kind is "config", "data" or "state".
func (e *env) place(kind string, elem ...string) (string, error) {
	home, err := os.UserHomeDir()
	if err != nil {
		return "", fmt.Errorf("find the user's folders: %w", err)
	}
	base := e.getenv("XDG_" + strings.ToUpper(kind) + "_HOME")
	switch {
	case base != "":
	case os.PathSeparator == '\\' && kind == "config":
		base = e.getenv("AppData")
	case os.PathSeparator == '\\':
		base = e.getenv("LocalAppData")
	default:
		base = filepath.Join(home, map[string]string{
			"config": ".config", "data": ".local/share", "state": ".local/state",
		}[kind])
	}
	return filepath.Join(append([]string{base, "mpproxy"}, elem...)...), nil
}
