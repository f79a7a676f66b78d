package view

import (
	"context"
	"fmt"

	"mpproxy/capture"
	"mpproxy/decode"
	"mpproxy/traffic"
)

// maxUpload is the largest upload that is joined to be looked at.
const maxUpload = 64 << 20

// joined decodes what an upload's fragments are together; nil when nothing has
// come, or too much.
func joined(ctx context.Context, s *capture.Store, u *capture.Upload) (*decode.Message, error) {
	body, err := s.Uploaded(ctx, u)
	if err != nil {
		return nil, fmt.Errorf("join upload %s: %w", u.Session, err)
	}
	if body.Size() == 0 || body.Size() > maxUpload {
		return nil, nil
	}
	return decode.Decode(decode.Source{
		Dir: traffic.Request, Body: body, Size: body.Size(), Framing: traffic.NoFraming, Whole: body.Size() == u.Size(),
	}, decode.Full), nil
}

// uploadFacts say what an exchange is a packet of, and what the whole is.
func (d *Detail) uploadFacts() []Fact {
	u := d.Upload
	if u == nil {
		return nil
	}
	words := fmt.Sprintf("%s to %s%s, %d packets", none(u.Name), u.Host, u.Target, len(u.Packets))
	facts := []Fact{{"Upload", words}, {"Session", u.Session}}
	fragments := int64(0)
	for _, p := range u.Packets {
		if p.Type == "fragment" && p.First >= 0 {
			fragments++
		}
	}
	whole := fmt.Sprintf("%d fragments", fragments)
	if n := u.Size(); n >= 0 {
		whole += fmt.Sprintf(" of %d bytes", n)
	}
	if m := d.Uploaded; m != nil {
		whole += ": " + none(m.Long)
	}
	return append(facts, Fact{"Joined", whole})
}
