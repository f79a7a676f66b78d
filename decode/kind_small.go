package decode

import (
	"strings"

	"mpproxy/traffic"
)

var appState = Kind{
	Slug: "appstate", Name: "application state", Dir: traffic.Request,
	Endpoint: "MP_AppStateManager", Root: "AppStateServicesRequest", sum: sumAppState,
}

func sumAppState(d *decoder) (short, long string) {
	s := d.scan()
	for s.next() {
		if s.name == "AppStateRequest" {
			d.sender("", s.attr("DeviceID"))
			short = clip(shortGUIDs(s.attr("OfferName")))
		}
	}
	return short, joined(" ", "application state?", short)
}

var appStateReply = Kind{
	Slug: "appstate-reply", Name: "application state reply", Dir: traffic.Reply,
	Root: "AppstateManagerReply", sum: sumAppStateReply,
}

func sumAppStateReply(d *decoder) (short, long string) {
	s := d.scan()
	s.next()
	short = "state " + clip(s.attr("AppState"))
	if code := s.attr("ErrorCode"); code != "" && code != "0" {
		short += ", error " + clip(code)
	}
	return short, "application " + short
}

var drivers = Kind{
	Slug: "drivers", Name: "driver catalogue", Dir: traffic.Request,
	Endpoint: "MP_DriverManager", Root: "DriverCatalogRequest", sum: sumDrivers,
}

func countElement(d *decoder, name string) int {
	n := 0
	s := d.scan()
	for s.next() {
		if s.name == name {
			n++
		}
	}
	return n
}

func sumDrivers(d *decoder) (short, long string) {
	short = count(countElement(d, "Device"), "device") + d.atLeast()
	return short, "drivers? " + short
}

var driversReply = Kind{
	Slug: "drivers-reply", Name: "driver catalogue reply", Dir: traffic.Reply,
	Root: "DriverCatalogResponse", sum: sumDriversReply,
}

func sumDriversReply(d *decoder) (short, long string) {
	short = count(countElement(d, "Driver"), "driver") + d.atLeast()
	return short, short + " for " + count(countElement(d, "Device"), "device") + d.atLeast()
}

var clientID = Kind{
	Slug: "client-id", Name: "client id lookup", Dir: traffic.Request,
	Endpoint: "MP_ClientIdManager", Root: "ClientIDRequest", sum: sumClientID,
}

func sumClientID(d *decoder) (short, long string) {
	s := d.scan()
	for s.next() {
		switch s.name {
		case "MacAddress":
			short = "mac " + clip(s.value())
		case "SMBIOS":
			if short == "" {
				short = "smbios " + shortID(s.value())
			}
		}
	}
	return short, joined(" ", "client id?", short)
}

// clientIDReply has a root that nobody has published; it is told by what it
// answers.
var clientIDReply = Kind{
	Slug: "client-id-reply", Name: "client id reply", Dir: traffic.Reply,
	sum: sumClientIDReply,
}

func sumClientIDReply(d *decoder) (short, long string) {
	name := ""
	s := d.scan()
	for s.next() {
		switch s.name {
		case "ClientID":
			short = "GUID " + shortID(s.value())
		case "NetbiosName", "NetBIOSName":
			name = clip(s.value())
		}
	}
	short = joined(" ", short, name)
	return short, joined(" ", "client id", short)
}

var token = Kind{
	Slug: "token", Name: "token request", Dir: traffic.Request, Endpoint: "MP_TokenManager", sum: sumRootOnly,
}

var uploadRequest = Kind{
	Slug: "upload-request", Name: "upload request", Dir: traffic.Request, Root: "UploadRequest", sum: sumUploadRequest,
}

func sumUploadRequest(d *decoder) (short, long string) {
	s := d.scan()
	for s.next() {
		if strings.EqualFold(s.name, "MessageID") {
			short = "for message " + shortID(s.value())
		}
	}
	return short, joined(" ", "upload?", short)
}

var uploadReply = Kind{
	Slug: "upload-reply", Name: "upload reply", Dir: traffic.Reply, Root: "UploadReply", sum: sumUploadReply,
}

func sumUploadReply(d *decoder) (short, long string) {
	s := d.scan()
	for s.next() {
		if strings.EqualFold(s.name, "URL") {
			short = "to " + clip(shortGUIDs(targetOf(s.value()).path))
		}
	}
	return short, joined(" ", "upload", short)
}

// bgb is client notification when its own port is shut.
var bgb = Kind{Slug: "bgb", Name: "client notification", sum: sumBgb}

// taskWords are the values of TaskType that are known.
var taskWords = map[string]string{"1": "request policy", "15": "run script"}

func sumBgb(d *decoder) (short, long string) {
	var client, push, task, code string
	s := d.scan()
	for s.next() {
		switch s.name {
		case "ClientID":
			client = s.value()
			d.sender("", client)
		case "PushID", "PushId":
			push = clip(s.value())
		case "TaskType":
			task = clip(s.value())
		case "ReturnCode":
			code = clip(s.value())
		}
	}
	switch root := d.m.Root; {
	case root == "BgbSignInMessage":
		return "sign-in", "notification sign-in " + shortID(client)
	case root == "BgbRequestMessage" || task != "":
		word := taskWords[task]
		if word == "" {
			word = "task " + task
		}
		short = "push " + push + ": " + word
	case root == "BgbResponseMessage":
		short = joined(" ", "push", push, "returned", code)
	case root != "":
		short = clip(strings.TrimSuffix(strings.TrimPrefix(root, "Bgb"), "Message"))
	default:
		short = clip(d.m.wire.target.query)
	}
	return short, "notification " + short
}
