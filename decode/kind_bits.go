package decode

import "strconv"

var (
	bitsPing     = Kind{Slug: "bits-ping", Name: "upload ping", sum: sumPacket}
	bitsCreate   = Kind{Slug: "bits-create", Name: "upload begin", sum: sumPacket}
	bitsFragment = Kind{Slug: "bits-fragment", Name: "upload fragment", sum: sumPacket}
	bitsClose    = Kind{Slug: "bits-close", Name: "upload end", sum: sumPacket}
	bitsCancel   = Kind{Slug: "bits-cancel", Name: "upload cancel", sum: sumPacket}
	bitsAck      = Kind{Slug: "bits-ack", Name: "upload ack", sum: sumPacket}
	bitsError    = Kind{Slug: "bits-error", Name: "upload error", sum: sumPacket}
)

// packetKinds are the kinds by packet type, in lower case.
var packetKinds = map[string]*Kind{
	"ping": &bitsPing, "create-session": &bitsCreate, "fragment": &bitsFragment,
	"close-session": &bitsClose, "cancel-session": &bitsCancel, "ack": &bitsAck,
}

func (d *decoder) kindOfPacket() *Kind {
	p := d.m.Upload
	switch k := packetKinds[p.Type]; {
	case d.m.Status >= 300 || p.Error != "":
		return &bitsError
	case k != nil:
		return k
	}
	return &bitsError
}

// sumPacket says what a packet of an upload is about.
func sumPacket(d *decoder) (short, long string) {
	short = d.m.Upload.words()
	if d.m.Status >= 300 {
		short = joined(", ", strconv.Itoa(d.m.Status), short)
	}
	return short, joined(" ", d.kind.Name, short)
}
