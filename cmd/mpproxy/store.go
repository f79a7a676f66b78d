package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"
	"time"

	"mpproxy/capture"
	"mpproxy/filter"
	"mpproxy/internal/view"
	"mpproxy/traffic"
)

// openStore opens a capture for reading; its errors have their exit codes.
func openStore(path string) (*capture.Store, error) {
	s, err := capture.Open(path)
	switch {
	case errors.Is(err, capture.ErrDamaged):
		return nil, &exit{exitDamaged, err, "A copy of a live capture is not whole: stop mpproxy first, or copy it with: sqlite3 FILE \"VACUUM INTO 'COPY'\""}
	case errors.Is(err, capture.ErrNewer):
		return nil, &exit{exitDamaged, err, "Use the mpproxy that made it, or a newer one."}
	case errors.Is(err, capture.ErrForeign), errors.Is(err, os.ErrNotExist):
		return nil, usage(err, "mpproxy run -w FILE.mpdb makes a capture.")
	}
	return s, err
}

// parseFilter joins the words of a command line to one filter.
func parseFilter(words []string) (*filter.Filter, error) {
	src := strings.Join(words, " ")
	f, err := filter.Parse(src, time.Now(), time.Local)
	var bad *filter.Error
	if errors.As(err, &bad) {
		pointer := strings.Repeat(" ", max(bad.Column-1, 0)) + "^"
		return nil, usage(fmt.Errorf("filter: %s", bad.Message), src+"\n  "+pointer)
	}
	return f, err
}

// output is how a command prints exchanges.
type output struct {
	JSON    bool     `help:"One JSON object a line."`
	Columns []string `help:"Columns to print, by name." placeholder:"NAME"`
	UTC     bool     `name:"utc" help:"Print times in UTC in place of local ones."`
	ASCII   bool     `name:"ascii" help:"Print ASCII only."`
}

func (o output) format(e *env) view.Format {
	f := view.Format{Zone: time.Local, ASCII: o.ASCII || !e.unicode()}
	if o.UTC {
		f.Zone = time.UTC
	}
	return f
}

// clean is text from elsewhere as it may be printed.
func (o output) clean(e *env, s string) string { return view.Clean(s, o.format(e).ASCII) }

// unicode says whether the terminal, or whoever reads the output, takes more
// than ASCII.
func (e *env) unicode() bool {
	if e.getenv("TERM") == "dumb" {
		return false
	}
	for _, name := range []string{"LC_ALL", "LC_CTYPE", "LANG"} {
		if v := e.getenv(name); v != "" {
			v = strings.ToLower(v)
			return strings.Contains(v, "utf-8") || strings.Contains(v, "utf8")
		}
	}
	return os.PathSeparator == '\\' // Windows sets none of them
}

// printer makes a function that prints rows as asked. Lines are as wide as
// cells.
func (o output) printer(e *env, cells int) (func(capture.Row) error, error) {
	if o.JSON {
		enc := json.NewEncoder(e.stdout)
		enc.SetEscapeHTML(false)
		return func(r capture.Row) error { return enc.Encode(jsonRow(r)) }, nil
	}
	layout := view.Exchanges.For(cells)
	if len(o.Columns) > 0 {
		var err error
		if layout, err = view.Exchanges.Of(o.Columns, cells); err != nil {
			return nil, usage(err, "")
		}
	}
	f := o.format(e)
	return func(r capture.Row) error {
		_, err := io.WriteString(e.stdout, strings.TrimRight(layout.Line(r, f), " ")+"\n")
		return err
	}, nil
}

// exchangeJSON is a row of the view "exchange"; the names are the same.
type exchangeJSON struct {
	Schema    string             `json:"schema"`
	V         int                `json:"v"`
	ID        traffic.ExchangeID `json:"id"`
	Conn      traffic.ConnID     `json:"conn"`
	BegunUS   int64              `json:"begun_us"`
	EndedUS   *int64             `json:"ended_us"`
	Agent     string             `json:"agent"`
	Client    string             `json:"client"`
	Address   string             `json:"address"`
	Method    string             `json:"method"`
	Target    string             `json:"target"`
	Status    int                `json:"status"`
	Kind      string             `json:"kind"`
	Endpoint  string             `json:"endpoint"`
	Summary   string             `json:"summary"`
	Sev       string             `json:"sev"`
	Fate      traffic.Fate       `json:"fate"`
	Origin    string             `json:"origin"`
	Rule      []string           `json:"rule"`
	ReqBytes  int64              `json:"req_bytes"`
	RespBytes int64              `json:"resp_bytes"`
}

func jsonRow(r capture.Row) exchangeJSON {
	j := exchangeJSON{
		Schema: "mpproxy.exchange", V: 1, ID: r.ID, Conn: r.Conn, BegunUS: r.Begun.UnixMicro(),
		Agent: r.Agent, Client: r.Client, Address: r.Address, Method: r.Method, Target: r.Target, Status: r.Status,
		Kind: r.Kind, Endpoint: r.Endpoint, Summary: r.Long, Sev: r.Sev.String(), Fate: r.Fate, Origin: r.Origin,
		Rule: r.Rules, ReqBytes: r.ReqBytes, RespBytes: r.RespBytes,
	}
	if !r.Ended.IsZero() {
		us := r.Ended.UnixMicro()
		j.EndedUS = &us
	}
	return j
}

// each gives every exchange that the filter lets pass to visit, in the order
// of their numbers.
func each(ctx context.Context, s *capture.Store, f *filter.Filter, from traffic.ExchangeID, visit func(capture.Row) error) error {
	var failed error
	err := s.Scan(ctx, f, from, capture.Newer, 0, func(rows []capture.Row, _ capture.Progress) bool {
		for _, r := range rows {
			if failed = visit(r); failed != nil {
				return false
			}
		}
		return true
	})
	return errors.Join(err, failed)
}
