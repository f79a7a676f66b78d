// Package export writes exchanges of a capture in the formats of other tools.
//
// Exchanges go in one after the other, as [Item]s that are read from the
// capture and freed from secrets on the way; files come out. A format is one
// file of this package and one row of its table. Nothing half-written stays.
package export

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"

	"mpproxy/capture"
	"mpproxy/decode"
	"mpproxy/internal/whole"
	"mpproxy/traffic"
)

// Format is a way to write exchanges down.
type Format struct {
	Name, Help string
	// Folder is true for formats of several files.
	Folder bool
	open   func(*output) writer
}

// formats are all formats, the most asked for first. A further one is a row
// here.
var formats = []Format{
	{"har", "HTTP archive 1.2, for browsers and mitmproxy", false, newHAR},
	{"jsonl", "one JSON object an exchange (docs/formats.md)", false, newJSONL},
	{"pcapng", "packets of both legs, for Wireshark", false, newPcap},
	{"cmtrace", "log lines for CMTrace", false, newCMTrace},
	{"curl", "a curl command and a body for each request", true, newCurl},
	{"powershell", "a PowerShell script and a body for each request", true, newPowerShell},
	{"go-test", "a Go test that sends each request and compares the reply", true, newGoTest},
}

// Formats are the formats that there are.
func Formats() []Format { return formats }

// Named finds a format.
func Named(name string) (Format, error) {
	var names []string
	for _, f := range formats {
		if f.Name == name {
			return f, nil
		}
		names = append(names, f.Name)
	}
	return Format{}, fmt.Errorf("unknown format %q (known: %s)", name, strings.Join(names, ", "))
}

// Message is one message as it is written.
type Message struct {
	Head traffic.Head
	// Body is the body without chunk framing, at most MaxBody of it; Size what
	// there is in all.
	Body []byte
	Size int64
	// Decoded is nil for messages above MaxBody.
	Decoded *decode.Message
	// Redacted says that values were taken out.
	Redacted bool
}

// MaxBody is how much of a body is written. Downloads from distribution points
// are larger.
const MaxBody = 64 << 20

// Item is one exchange as it is written.
type Item struct {
	Row      capture.Row
	Exchange *traffic.Exchange
	// Conn is nil when the capture has lost it.
	Conn *traffic.Conn
	// Request and Reply are what the agent sent and what came back from the
	// management point. Sent and Returned are what went on in their place, nil
	// when it was the same.
	Request, Reply, Sent, Returned *Message
	Findings                       []capture.Found
}

// Count is what an export came to.
type Count struct {
	// Exchanges were written, Skipped had nothing to write in this format.
	Exchanges, Skipped int
	// Redacted is how many secret values were taken out, Cut how many bodies
	// were too large to be written whole.
	Redacted, Cut int
	// TLS is how many connections were written as they crossed the wire too.
	TLS int
}

// writer is one export under way.
type writer interface {
	// item writes an exchange; errSkip says that the format has no place for
	// it.
	item(*Item) error
	// end writes what comes last.
	end() error
}

var errSkip = errors.New("nothing to write in this format")

// output is where a writer writes to: a stream, or a folder.
type output struct {
	w      io.Writer
	folder *whole.Folder
}

// file writes a file of a folder.
func (o *output) file(name string, content []byte, mode os.FileMode) error {
	return o.folder.WriteFile(name, content, mode)
}

// Export is an export under way.
type Export struct {
	from *Loader
	out  writer
	// whole gives what was written its name, or takes it away; nil for streams.
	whole func(error) error
	// seen are the connections whose exchanges were added.
	seen  map[traffic.ConnID]bool
	count Count
}

// To begins an export of a store to a path: a file, or a folder that is made.
// An empty path writes to w, for formats of one file.
func To(s *capture.Store, f Format, path string, w io.Writer, secrets bool) (*Export, error) {
	e := &Export{from: NewLoader(s, secrets), seen: map[traffic.ConnID]bool{}}
	o := &output{w: w}
	switch {
	case f.Folder && path == "":
		return nil, fmt.Errorf("format %s makes several files: say in which folder", f.Name)
	case f.Folder:
		d, err := whole.CreateFolder(path)
		if err != nil {
			return nil, err
		}
		o.folder, e.whole = d, d.End
	case path != "":
		file, err := whole.Create(path)
		if err != nil {
			return nil, err
		}
		o.w, e.whole = file, file.End
	}
	e.out = f.open(o)
	return e, nil
}

// Add writes one exchange.
func (e *Export) Add(ctx context.Context, row capture.Row) error {
	item, err := e.from.Load(ctx, row)
	if err != nil {
		return err
	}
	e.seen[row.Conn] = true
	switch err := e.out.item(item); {
	case errors.Is(err, errSkip):
		e.count.Skipped++
	case err != nil:
		return fmt.Errorf("export exchange %d: %w", row.ID, err)
	default:
		e.count.Exchanges++
	}
	return nil
}

// Close ends the export: what was written gets its name, unless err says that it
// did not come to its end.
func (e *Export) Close(err error) (Count, error) {
	if err == nil {
		err = e.out.end()
	}
	e.count.Redacted, e.count.Cut = e.from.Redacted, e.from.Cut
	if e.whole != nil {
		err = e.whole(err)
	}
	return e.count, err
}
