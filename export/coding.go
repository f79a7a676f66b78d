package export

import (
	"bytes"
	"compress/gzip"
	"compress/zlib"
	"fmt"
	"io"
	"strings"
)

// decodeContent takes the content coding off a body (RFC 9110, 8.4): gzip, and
// deflate, which is zlib. A body with another coding, or one that is broken or
// larger than MaxBody without it, stays as it is: ok is false.
func decodeContent(coding string, body []byte) (content []byte, ok bool) {
	r, err := decoderFor(coding, bytes.NewReader(body))
	if err != nil {
		return body, false
	}
	content, err = io.ReadAll(io.LimitReader(r, MaxBody+1))
	if err != nil || len(content) > MaxBody {
		return body, false
	}
	return content, true
}

func decoderFor(coding string, r io.Reader) (io.Reader, error) {
	switch strings.ToLower(strings.TrimSpace(coding)) {
	case "gzip", "x-gzip":
		return gzip.NewReader(r)
	case "deflate":
		return zlib.NewReader(r)
	}
	return nil, fmt.Errorf("content coding %q is not known", coding)
}
