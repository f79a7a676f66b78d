package decode

import "strings"

// Call is how a message is meant to be sent to an endpoint.
type Call string

// The calls of the ConfigMgr 2007 SDK. An Invoke is answered with a message, a
// Post with an empty 200.
const (
	Invoke Call = "invoke"
	Post   Call = "post"
)

// Endpoint is a name that messages are sent to.
type Endpoint struct {
	// Name as agents write it. It is compared without case, as senders differ.
	Name   string
	Family string
	// Call is empty where nobody has published it.
	Call Call
	// Signed is true when the management point wants the sender's signature.
	Signed bool
	// Roots are the root elements that belong here; Replies those of the
	// answers. Empty when they are not known. A * at the beginning stands for
	// anything.
	Roots, Replies []string
	// Local marks endpoints of the agent, where replies go.
	Local bool
}

// endpoints lists every endpoint that is known.
var endpoints = []Endpoint{
	{
		Name: "MP_PolicyManager", Family: "policy", Call: Invoke, Signed: true,
		Roots: []string{"RequestAssignments"}, Replies: []string{"ReplyAssignments"},
	},
	{
		Name: "MP_LocationManager", Family: "location", Call: Invoke,
		Roots: []string{
			"ContentLocationRequest", "WSUSLocationRequest", "LocalMPLocationRequest",
			"EnumerateMPLocationRequest", "SiteInformationRequest", "AssignedSiteRequest",
			"UpdateSFRequest", "TokenServicesRequest",
		},
		Replies: []string{
			"ContentLocationReply", "WSUSLocationReply", "LocalMPLocationReply",
			"EnumerateMPLocationReply", "SiteInformationReply", "SiteInfoReply", "AssignedSiteReply",
		},
	},
	{
		Name: "MP_ClientRegistration", Family: "registration", Call: Invoke,
		Roots: []string{"ClientRegistrationRequest"}, Replies: []string{"ClientRegistrationResponse"},
	},
	{Name: "MP_DdrEndpoint", Family: "discovery", Call: Post, Signed: true, Roots: []string{"Report"}},
	{Name: "MP_HinvEndpoint", Family: "hardware inventory", Call: Post, Signed: true, Roots: []string{"Report"}},
	{Name: "MP_SinvEndpoint", Family: "software inventory", Call: Post, Signed: true, Roots: []string{"Report"}},
	{Name: "MP_SinvCollFileEndpoint", Family: "file collection", Call: Post, Signed: true, Roots: []string{"Report"}},
	{
		Name: "MP_RelayEndpoint", Family: "relay", Call: Post, Signed: true,
		Roots: []string{"Report", "PeerDPDownloadStatus"},
	},
	{Name: "StatusReceiver", Family: "status", Call: Post, Roots: []string{"Status"}},
	{Name: "MP_StatusManager", Family: "status", Call: Post, Roots: []string{"Status"}},
	{
		Name: "MP_AppStateManager", Family: "application state", Call: Invoke, Signed: true,
		Roots: []string{"AppStateServicesRequest"}, Replies: []string{"AppstateManagerReply"},
	},
	{
		Name: "MP_DriverManager", Family: "driver catalogue", Call: Invoke,
		Roots: []string{"DriverCatalogRequest"}, Replies: []string{"DriverCatalogResponse"},
	},
	{Name: "MP_TokenManager", Family: "token", Call: Invoke, Signed: true},
	{Name: "MP_DeviceTokenManager", Family: "token"},
	{
		Name: "MP_ClientIdManager", Family: "client lookup", Call: Invoke, Signed: true,
		Roots: []string{"ClientIDRequest"},
	},
	{
		Name: "MP_ClientID", Family: "client lookup", Call: Invoke, Signed: true,
		Roots: []string{"ClientIDRequest"},
	},
	{Name: "MP_OOBManager", Family: "out of band"},
	{Name: "MP_MDMManager", Family: "mobile device"},
	{
		Name: "UploadManager", Family: "upload", Call: Invoke,
		Roots: []string{"UploadRequest"}, Replies: []string{"UploadReply"},
	},
	{Name: "PolicyAgent_ReplyAssignments", Family: "policy reply", Local: true, Roots: []string{"ReplyAssignments"}},
	{Name: "PolicyAgent_PolicyDownload", Family: "policy download", Local: true},
	{
		Name: "LS_ReplyLocations", Family: "location reply", Local: true,
		Roots: []string{"*LocationReply", "SiteInformationReply", "SiteInfoReply", "AssignedSiteReply"},
	},
	{
		Name: "ClientRegistration", Family: "registration reply", Local: true,
		Roots: []string{"ClientRegistrationResponse"},
	},
	{Name: "SccmMessaging", Family: "reply of the messaging SDK", Local: true},
	{Name: "OutgoingMessageManager", Family: "upload control", Local: true},
	{Name: "reply", Family: "reply", Local: true},
	{Name: "dummy", Family: "reply", Local: true},
	{Name: "OSD", Family: "reply of a task sequence", Local: true},
}

// Endpoints returns every endpoint that is known.
func Endpoints() []Endpoint { return append([]Endpoint(nil), endpoints...) }

// endpointOf finds an endpoint by its name, or nil.
func endpointOf(name string) *Endpoint {
	for i := range endpoints {
		if strings.EqualFold(endpoints[i].Name, name) {
			return &endpoints[i]
		}
	}
	return nil
}

// takes tells whether a root element belongs to the endpoint.
func (e *Endpoint) takes(root string) bool {
	if len(e.Roots) == 0 {
		return true
	}
	for _, r := range e.Roots {
		if r == root || r[0] == '*' && strings.HasSuffix(root, r[1:]) {
			return true
		}
	}
	// A root that begins like a known one is a newer member of its family.
	return strings.HasPrefix(root, e.Roots[0])
}
