package decode

import (
	"strconv"

	"mpproxy/traffic"
)

// Kinds of answers that are no messages, and of what nothing is known.
var (
	accepted  = Kind{Slug: "accepted", Name: "accepted", Dir: traffic.Reply, sum: sumAccepted}
	noAnswer  = Kind{Slug: noAnswerSlug, Name: "empty answer", Dir: traffic.Reply, sum: sumNoAnswer}
	pageReply = Kind{Slug: "page", Name: "HTML page", sum: sumPage}
	httpError = Kind{Slug: "http-error", Name: "HTTP error", Dir: traffic.Reply, sum: sumHTTPError}
	encrypted = Kind{Slug: "encrypted", Name: "encrypted message", sum: sumEncrypted}

	unknownMessage = Kind{Slug: "message", Name: "unknown message", sum: sumRootOnly}
	other          = Kind{Slug: kindOther, Name: "other HTTP", sum: sumOther}
)

func sumAccepted(*decoder) (short, long string) { return "", "accepted" }

func sumNoAnswer(*decoder) (short, long string) {
	return "EMPTY ANSWER", "EMPTY ANSWER"
}

// sumHTTPError gives the code with IIS's reason phrase, which says more than
// the code does.
func sumHTTPError(d *decoder) (short, long string) {
	short = joined(" ", strconv.Itoa(d.m.Status), clip(d.Head.Reason()))
	return short, short
}

// sumPage names the page: its title, or as an error what IIS says about it.
func sumPage(d *decoder) (short, long string) {
	p := readPage(d.m.Text.String)
	short = clip(p.title)
	switch {
	case p.substatus != "":
		known, _ := IISSubstatus(p.substatus)
		short = joined(", ", joined(" ", p.substatus, clip(d.Head.Reason())), known.Name)
	case d.m.Status >= 300:
		short, _ = sumHTTPError(d)
	case short == "":
		short = "HTML, " + sizeWords(d.m.wire.sent)
	}
	return short, short
}

func sumEncrypted(d *decoder) (short, long string) {
	short = "encrypted, " + sizeWords(d.m.wire.sent)
	return short, joined(" ", clip(d.m.Endpoint), d.agent(), short)
}

// sumOther is for HTTP that no management point knows.
func sumOther(d *decoder) (short, long string) {
	m := d.m
	if m.Dir != traffic.Request {
		short = joined(", ", clip(m.Root), sizeWords(m.wire.sent))
		return short, short
	}
	method, url, _ := d.Head.Request()
	short = joined(" ", clip(method), clip(url))
	if short == "" {
		short = joined(", ", clip(m.Root), sizeWords(m.wire.sent))
	}
	return short, short
}
