package tui

import (
	"fmt"
	"strconv"

	"mpproxy/decode"
)

// pickView lets the user choose a layer of the message.
func (d *detail) pickView() {
	if d.data == nil || len(d.layers(d.dir)) == 0 {
		d.app.say("this message has no body")
		return
	}
	m := &menu{title: "view of the " + d.dir.String()}
	shown := d.shownLayer()
	for i, l := range d.layers(d.dir) {
		if i >= 9 {
			break
		}
		if &d.layers(d.dir)[i] == shown {
			m.chosen = i
		}
		m.choices = append(m.choices, choice{
			press: stroke(strconv.Itoa(i + 1)), name: l.Name, help: fmt.Sprintf("%9s  %s", size(l), l.What),
			do: func(*app) { d.showLayer(l.Name, asTheyAre) },
		})
	}
	words, as := "as bytes in hex", asHex
	if d.hexShown(shown) {
		words, as = "as text", asText
	}
	m.choices = append(m.choices, choice{press: "x", name: "hex", help: fmt.Sprintf("%9s  %s", "", words), do: func(*app) {
		d.showLayer(shown.Name, as)
	}})
	d.app.menu = m
}

func size(l decode.View) string { return grouped(int64(len(l.Bytes))) + " B" }

// showLayer shows a layer of the body.
func (d *detail) showLayer(name string, as form) {
	d.node, d.layer, d.as = "Body", name, as
}
