package decode

import (
	"fmt"
	"strconv"
	"strings"
)

var (
	dpContent   = Kind{Slug: "dp-content", Name: "content", sum: sumDownload}
	dpSignature = Kind{Slug: "dp-signature", Name: "content signature", sum: sumDownload}
	davList     = Kind{Slug: "dp-list", Name: "content list", Root: "multistatus", sum: sumDAV}
	clientFile  = Kind{Slug: "client-file", Name: "client file", sum: sumDownload}
	// tokenService and userService are no messages; their bodies are not read.
	tokenService = Kind{Slug: "token-service", Name: "token service", sum: sumDownload}
	userService  = Kind{Slug: "user-service", Name: "Software Center", sum: sumDownload}
	cmgInfo      = Kind{Slug: "cmg-info", Name: "gateway information", sum: sumDownload}
	multicast    = Kind{Slug: "multicast", Name: "multicast", sum: sumDownload}
)

// sumDownload says what is fetched: the last of the path, and which bytes.
func sumDownload(d *decoder) (short, long string) {
	if !d.isRequest() {
		size := d.m.wire.sent
		if n, err := strconv.ParseInt(d.Head.Get("Content-Length"), 10, 64); err == nil && size == 0 {
			size = max(n, 0) // the answer to a HEAD
		}
		short = sizeWords(size)
		if r := d.Head.Get("Content-Range"); r != "" {
			short = clip(r)
		}
		return short, short
	}
	t := d.m.wire.target
	path := unescapePercent(t.path)
	if strings.HasPrefix(t.query, "/") { // BITS writes .../sccm?/file
		path += unescapePercent(t.query)
	}
	path = strings.TrimSuffix(path, "/")
	parts := strings.Split(path, "/")
	if len(parts) > 2 {
		path = strings.Join(parts[2:], "/")
	}
	short = clip(shortGUIDs(path))
	if r := d.Head.Get("Range"); r != "" {
		short += " " + clip(r)
	}
	method, _, _ := d.Head.Request()
	if method != "GET" && method != "POST" {
		short = joined(" ", clip(method), short)
	}
	return short, joined(" ", d.kind.Name, short)
}

// sumDAV counts what a distribution point lists.
func sumDAV(d *decoder) (short, long string) {
	var files, folders int
	var size int64
	s := d.scan()
	for s.next() {
		switch s.name {
		case "response":
			files++
		case "getcontentlength":
			if n, err := strconv.ParseInt(strings.TrimSpace(s.value()), 10, 64); err == nil && n > 0 {
				size += min(n, 1<<50)
			}
		case "iscollection":
			if v := strings.TrimSpace(s.value()); v == "1" || v == "TRUE" {
				folders++
				files--
			}
		}
	}
	short = fmt.Sprintf("%s%s, %s", count(files, "file"), d.atLeast(), sizeWords(size))
	if folders > 0 {
		short += ", " + count(folders, "folder")
	}
	return short, short
}
