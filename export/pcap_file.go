package export

import (
	"bufio"
	"encoding/binary"
	"io"
	"strings"
	"time"
)

// pcapFile writes the blocks of a pcapng file (draft-ietf-opsawg-pcapng).
type pcapFile struct {
	w          *bufio.Writer
	begun      bool
	interfaces map[string]uint32
}

func newPcapFile(w io.Writer) *pcapFile {
	return &pcapFile{w: bufio.NewWriter(w), interfaces: map[string]uint32{}}
}

// packet is a frame that begins with an IP header.
type packet struct {
	at      time.Time
	iface   string
	frame   []byte
	comment string
}

// The blocks, options and types of pcapng.
const (
	blockSection   = 0x0A0D0D0A
	blockInterface = 1
	blockPacket    = 6
	blockSecrets   = 10
	secretsTLS     = 0x544c534b // an NSS key log
	linkRaw        = 101        // begins with the IP header
	byteOrderMagic = 0x1A2B3C4D

	optionEnd      = 0
	optionComment  = 1
	optionName     = 2
	optionUserAppl = 4
	optionTSResol  = 9
	microseconds   = 6
)

// block writes one block.
func (f *pcapFile) block(kind uint32, body []byte) error {
	body = padded(body)
	n := uint32(len(body)) + 12
	b := binary.LittleEndian.AppendUint32(nil, kind)
	b = binary.LittleEndian.AppendUint32(b, n)
	b = append(b, body...)
	b = binary.LittleEndian.AppendUint32(b, n)
	_, err := f.w.Write(b)
	return err
}

func padded(b []byte) []byte {
	for len(b)%4 != 0 {
		b = append(b, 0)
	}
	return b
}

func option(b []byte, code uint16, value []byte) []byte {
	b = binary.LittleEndian.AppendUint16(b, code)
	b = binary.LittleEndian.AppendUint16(b, uint16(len(value)))
	return padded(append(b, value...))
}

// begin writes the section's head, once.
func (f *pcapFile) begin() error {
	if f.begun {
		return nil
	}
	f.begun = true
	section := binary.LittleEndian.AppendUint32(nil, byteOrderMagic)
	section = binary.LittleEndian.AppendUint16(section, 1)
	section = binary.LittleEndian.AppendUint16(section, 0)
	section = binary.LittleEndian.AppendUint64(section, ^uint64(0))
	section = option(section, optionUserAppl, []byte("mpproxy"))
	return f.block(blockSection, option(section, optionEnd, nil))
}

// iface is the number of an interface, which is described before its first
// packet.
func (f *pcapFile) iface(name string) (uint32, error) {
	if n, known := f.interfaces[name]; known {
		return n, nil
	}
	if err := f.begin(); err != nil {
		return 0, err
	}
	n := uint32(len(f.interfaces))
	f.interfaces[name] = n
	b := binary.LittleEndian.AppendUint16(nil, linkRaw)
	b = binary.LittleEndian.AppendUint16(b, 0)
	b = binary.LittleEndian.AppendUint32(b, 0)
	b = option(b, optionName, []byte(name))
	b = option(b, optionTSResol, []byte{microseconds})
	return n, f.block(blockInterface, option(b, optionEnd, nil))
}

// secrets writes the lines of a key log, which open the packets that follow.
func (f *pcapFile) secrets(lines []string) error {
	if err := f.begin(); err != nil {
		return err
	}
	text := strings.Join(lines, "\n") + "\n"
	b := binary.LittleEndian.AppendUint32(nil, secretsTLS)
	b = binary.LittleEndian.AppendUint32(b, uint32(len(text)))
	return f.block(blockSecrets, append(b, text...))
}

func (f *pcapFile) packet(k packet) error {
	iface, err := f.iface(k.iface)
	if err != nil {
		return err
	}
	us := uint64(max(k.at.UnixMicro(), 0))
	b := binary.LittleEndian.AppendUint32(nil, iface)
	b = binary.LittleEndian.AppendUint32(b, uint32(us>>32))
	b = binary.LittleEndian.AppendUint32(b, uint32(us))
	b = binary.LittleEndian.AppendUint32(b, uint32(len(k.frame)))
	b = binary.LittleEndian.AppendUint32(b, uint32(len(k.frame)))
	b = padded(append(b, k.frame...))
	if k.comment != "" {
		b = option(b, optionComment, []byte(k.comment))
		b = option(b, optionEnd, nil)
	}
	return f.block(blockPacket, b)
}

// end completes the file; one without packets has its head.
func (f *pcapFile) end() error {
	if err := f.begin(); err != nil {
		return err
	}
	return f.w.Flush()
}
