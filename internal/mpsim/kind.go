package mpsim

// Kind is a kind of exchange, as site and agents count it.
type Kind struct {
	Name, Text string
}

// unknownKind is what the site does not understand.
const unknownKind = "unknown"

// Kinds lists what a site answers, in the order in which an agent comes to it.
var Kinds = []Kind{
	{"mplist", "list of management points"},
	{"mpcert", "the management point's certificates"},
	{"mpkeyinformation", "keys of management point and site"},
	{"sitesigncert", "the certificate that policy assignments are signed with"},
	{"smstrc", "trace page"},
	{"affinity", "primary users of a device"},
	{"site-information", "ports and security of the site"},
	{"assigned-site", "which site an address belongs to"},
	{"enumerate-mp", "management points for the client"},
	{"local-mp", "management points of the place where the client is"},
	{"challenge", "request without the Windows authentication that its path needs"},
	{"registration", "first registration"},
	{"confirmation", "confirmation of a pending registration"},
	{"policy", "policy assignments"},
	{"policy-body", "one policy"},
	{"ci", "configuration item document"},
	{"ddr", "discovery data, the heartbeat"},
	{"content-location", "where a package is"},
	{"dp-list", "files of a package"},
	{"dp-head", "size of a file"},
	{"dp-file", "file, or a range of it"},
	{"wsus-location", "where the update catalogue is"},
	{"hinv", "hardware inventory"},
	{"sinv", "software inventory"},
	{"upload", "where a large attachment may be uploaded"},
	{"bits", "packet of a BITS upload"},
	{"filecoll", "collected files"},
	{"metering", "software metering"},
	{"state", "state messages"},
	{"idmif", "IDMIF file"},
	{"peer-dp", "download status of a peer"},
	{"status", "status message"},
	{"fsp", "state message to the fallback status point"},
	{"app-state", "state of an application"},
	{"drivers", "matching drivers"},
	{"client-id", "client id for a machine"},
}
