package decode

import (
	"fmt"
	"slices"

	"mpproxy/traffic"
)

// Fragment is one fragment of an upload, as its packet had it.
type Fragment struct {
	// Offset is where Bytes belong in the whole, Total the size of the whole
	// as this fragment says, -1 when it does not.
	Offset, Total int64
	Bytes         []byte
}

// Upload is what fragments make together.
type Upload struct {
	// Bytes is the upload from its beginning to its first gap.
	Bytes []byte
	// Total is the size that the fragments say, -1 when none does.
	Total int64
	// Whole is true when every byte is there.
	Whole    bool
	Findings []traffic.Finding
}

// The kinds of what JoinUpload finds.
var (
	uploadGap = traffic.FindingKind{
		Code: "bits-gap", Ref: "L808", Severity: traffic.Error,
		Title:  "An upload has a gap",
		Why:    "What was uploaded is lost.",
		Remedy: "Check the BITS server extension, the verb BITS_POST, and the disk of the management point.",
	}
	uploadOverlap = traffic.FindingKind{
		Code: "bits-overlap", Severity: traffic.Info,
		Title:  "Fragments of an upload overlap",
		Why:    "The client went on after a break; of what comes twice the server keeps the first.",
		Remedy: "Nothing has to be done.",
	}
	uploadDiffers = traffic.FindingKind{
		Code: "bits-overlap-differs", Severity: traffic.Warning, Inferred: true,
		Title:  "Fragments of an upload overlap with other bytes",
		Why:    "The file changed while it was sent.",
		Remedy: "Compare the fragments; the server has the first.",
	}
	uploadTotal = traffic.FindingKind{
		Code: "bits-total", Severity: traffic.Warning,
		Title:  "Fragments of one upload say different sizes",
		Why:    "The server answers 400.",
		Remedy: "Check the client; the session has to begin anew.",
	}

	uploadKinds = []*traffic.FindingKind{&uploadGap, &uploadOverlap, &uploadDiffers, &uploadTotal}
)

// JoinUpload puts fragments of one session together, in any order. Of bytes
// that come twice the first ones given count, as the server keeps those. It
// holds no more than the fragments do.
func JoinUpload(fragments []Fragment) Upload {
	u := Upload{Total: -1}
	u.totals(fragments)
	sorted := slices.Clone(fragments)
	slices.SortStableFunc(sorted, func(a, b Fragment) int {
		switch {
		case a.Offset < b.Offset:
			return -1
		case a.Offset > b.Offset:
			return 1
		}
		return 0
	})
	for _, f := range sorted {
		if !u.add(f) {
			return u
		}
	}
	switch have := int64(len(u.Bytes)); {
	case u.Total >= 0 && have < u.Total:
		u.found(&uploadGap, have, "%d of %d bytes came", have, u.Total)
	case u.Total >= 0:
		u.Whole = have == u.Total
	}
	return u
}

// totals finds the size that the fragments agree on.
func (u *Upload) totals(fragments []Fragment) {
	for _, f := range fragments {
		switch {
		case f.Total < 0:
		case u.Total < 0:
			u.Total = f.Total
		case f.Total != u.Total:
			u.found(&uploadTotal, f.Offset, "total is %d; before it was %d", f.Total, u.Total)
			return
		}
	}
}

// add appends a fragment; false means that there is a gap before it.
func (u *Upload) add(f Fragment) bool {
	have := int64(len(u.Bytes))
	if f.Offset < 0 {
		return true
	}
	if f.Offset > have {
		u.found(&uploadGap, have, "bytes %d to %d are missing", have, f.Offset-1)
		return false
	}
	old := min(have-f.Offset, int64(len(f.Bytes)))
	if old > 0 {
		kind := &uploadOverlap
		if !slices.Equal(u.Bytes[f.Offset:f.Offset+old], f.Bytes[:old]) {
			kind = &uploadDiffers
		}
		u.found(kind, f.Offset, "bytes %d to %d came again", f.Offset, f.Offset+old-1)
	}
	u.Bytes = append(u.Bytes, f.Bytes[old:]...)
	return true
}

func (u *Upload) found(kind *traffic.FindingKind, at int64, evidence string, args ...any) {
	if len(u.Findings) >= 4*maxSame {
		return
	}
	u.Findings = append(u.Findings, traffic.Finding{
		Kind: kind, Dir: traffic.Request, Layer: "payload", Offset: at,
		Evidence: fmt.Sprintf(evidence, args...), Who: "agent",
	})
}

var uploadRefused = lint{
	kind: traffic.FindingKind{
		Code: "bits-refused", Severity: traffic.Warning,
		Title:  "The server refuses a packet of an upload",
		Why:    "416 names the offset that it wants next, and the client goes on there; other codes end the upload.",
		Remedy: "If it does not go on: check the directory's BITS extension, rights and disk.",
	},
	check: func(c *checking) {
		p := c.m.Upload
		if p == nil || !c.isReply() || c.m.Status < 300 && p.Error == "" {
			return
		}
		evidence := fmt.Sprintf("status %d", c.m.Status)
		if p.Error != "" {
			evidence += ", error " + clip(p.Error)
		}
		if p.Context != "" {
			evidence += ", context " + clip(p.Context)
		}
		if p.Next >= 0 {
			evidence += fmt.Sprintf(", wants %d", p.Next)
		}
		c.found("head", 0, "%s", evidence)
	},
}

var fragmentBroken = lint{
	kind: traffic.FindingKind{
		Code: "bits-fragment", Severity: traffic.Error,
		Title:  "A fragment is not what its range says",
		Why:    "The server cannot place it.",
		Remedy: "Send Content-Range: bytes FIRST-LAST/TOTAL, with as many bytes as that.",
	},
	check: func(c *checking) {
		p := c.m.Upload
		if p == nil || p.Type != "fragment" || c.isReply() || !c.Whole {
			return
		}
		if c.isChunked() && !c.whole {
			return // how much came is known only after reading all of it
		}
		switch {
		case p.From < 0:
			c.found("head", fieldAt(c.Head, "Content-Range"), "Content-Range is %s", quoted(c.Head.Get("Content-Range")))
		case p.To-p.From != c.bodySize():
			c.found("head", fieldAt(c.Head, "Content-Range"), "the range has %d bytes; %d came", p.To-p.From, c.bodySize())
		case p.Total >= 0 && p.To > p.Total:
			c.found("head", fieldAt(c.Head, "Content-Range"), "the range ends at %d of %d", p.To-1, p.Total)
		}
	},
}

// bodySize is the size of the body without chunk framing, as far as that is
// known without reading all of it.
func (c *checking) bodySize() int64 {
	if c.whole {
		return int64(len(c.body))
	}
	return c.Size
}
