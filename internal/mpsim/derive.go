package mpsim

import (
	"crypto/sha256"
	"encoding/binary"
	"fmt"
	"math/rand/v2"
)

// derive turns a seed and the name of a thing into bytes. Values come from
// names instead of from one stream of random numbers, so that they do not
// depend on which goroutine asked first.
func derive(seed uint64, parts ...string) [32]byte {
	h := sha256.New()
	_ = binary.Write(h, binary.LittleEndian, seed) // a hash takes everything
	for _, part := range parts {
		fmt.Fprintf(h, "%d:%s", len(part), part)
	}
	return [32]byte(h.Sum(nil))
}

// guid is a GUID of version 4, in upper case and without braces.
func guid(seed uint64, parts ...string) string {
	b := derive(seed, parts...)
	b[6] = b[6]&0x0f | 0x40
	b[8] = b[8]&0x3f | 0x80
	return fmt.Sprintf("%X-%X-%X-%X-%X", b[0:4], b[4:6], b[6:8], b[8:10], b[10:16])
}

// pick is a number from 0 to n-1.
func pick(n int, seed uint64, parts ...string) int {
	b := derive(seed, parts...)
	return int(binary.LittleEndian.Uint32(b[:]) % uint32(n))
}

// noise is n bytes without pattern.
func noise(n int, seed uint64, parts ...string) []byte {
	b := make([]byte, n)
	_, _ = rand.NewChaCha8(derive(seed, parts...)).Read(b) // never fails
	return b
}
