package mpsim

import (
	"fmt"
	"net/http"
	"path"
	"strconv"
	"strings"
)

// The package that the distribution point has.
const (
	packageID      = "LAB00017"
	packageVersion = "4"
)

// packageFiles are its files, with their sizes in bytes.
var packageFiles = []struct {
	name string
	size int
}{
	{"setup.exe", 180_000},
	{"setup.ini", 900},
}

// content answers the distribution point's requests: lists, files, ranges.
func (s *Site) content(x *exchange) {
	name := path.Base(x.path)
	if strings.EqualFold(name, packageID) && x.http.Method == "PROPFIND" {
		x.record.Kind = "dp-list"
		x.reply = s.listFiles(x)
		return
	}
	for _, file := range packageFiles {
		if name != file.name || x.http.Method == "PROPFIND" {
			continue
		}
		x.record.Kind = "dp-file"
		if x.http.Method == http.MethodHead {
			x.record.Kind = "dp-head"
		}
		x.reply = sendRange(noise(file.size, s.cfg.Seed, file.name), x.http.Header.Get("Range"))
		return
	}
	x.reply = page(http.StatusNotFound, "", "File or directory not found.")
}

// contentSignature answers the hash list of a package, whose form is not ours
// to know: bytes without meaning.
func (s *Site) contentSignature(x *exchange) {
	if !strings.EqualFold(path.Base(x.path), packageID+"."+packageVersion+".tar") {
		x.reply = page(http.StatusNotFound, "", "File or directory not found.")
		return
	}
	x.record.Kind = "dp-file"
	x.reply = sendRange(noise(2048, s.cfg.Seed, x.path), x.http.Header.Get("Range"))
}

func (s *Site) listFiles(x *exchange) reply {
	var responses strings.Builder
	for _, file := range packageFiles {
		responses.WriteString(fill(`
<D:response><D:href>«url»/SMS_DP_SMSPKG$/«package»/«file»</D:href><D:propstat><D:status>HTTP/1.1 200 OK</D:status>
  <D:prop><D:getcontentlength b:dt="int">«size»</D:getcontentlength><D:iscollection b:dt="boolean">0</D:iscollection></D:prop>
</D:propstat></D:response>`, "url", s.url(x), "package", packageID, "file", file.name, "size", strconv.Itoa(file.size)))
	}
	return reply{status: http.StatusMultiStatus, kind: "text/xml", chunked: true, body: []byte(
		`<?xml version="1.0" encoding="utf-8"?>` +
			`<D:multistatus xmlns:D="DAV:" xmlns:b="urn:uuid:c2f41010-65b3-11d1-a29f-00aa00c14882/">` +
			responses.String() + `</D:multistatus>`)}
}

// sendRange answers a file, or the one range that was asked for; what is no
// such range is ignored, as RFC 9110 allows.
func sendRange(file []byte, want string) reply {
	whole := reply{kind: "application/octet-stream", body: file}
	whole.add("Accept-Ranges", "bytes")
	var from, to int
	spec, ok := strings.CutPrefix(want, "bytes=")
	if !ok {
		return whole
	}
	if n, _ := fmt.Sscanf(spec, "%d-%d", &from, &to); n == 1 {
		to = len(file) - 1
	} else if n != 2 || strings.Contains(spec, ",") {
		return whole
	}
	if from < 0 || from >= len(file) || to < from {
		r := reply{status: http.StatusRequestedRangeNotSatisfiable}
		r.add("Content-Range", fmt.Sprintf("bytes */%d", len(file)))
		return r
	}
	to = min(to, len(file)-1)
	part := reply{status: http.StatusPartialContent, kind: "application/octet-stream", body: file[from : to+1]}
	part.add("Accept-Ranges", "bytes")
	part.add("Content-Range", fmt.Sprintf("bytes %d-%d/%d", from, to, len(file)))
	return part
}
