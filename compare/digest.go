package compare

import (
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"io"
)

// Digest reads a body to its end and writes it as Message.Digest wants it; ""
// for an empty one.
func Digest(body io.Reader) (digest string, n int64, err error) {
	h := sha256.New()
	n, err = io.Copy(h, body)
	if n == 0 {
		return "", 0, err
	}
	return fmt.Sprintf("%d bytes, SHA-256 %s", n, hex.EncodeToString(h.Sum(nil))), n, err
}
