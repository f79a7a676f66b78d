package decode

// shape is what an element of a message has to have. The tables are those of
// the ConfigMgr 2007 SDK, with what newer senders were seen to add.
type shape struct {
	// in is the root of the message, or "" for any; element the element.
	in, element string
	// attrs and children have to be there; children are all that there may
	// be when known is set, together with known.
	attrs, children []string
	known           []string
}

// shapes lists the elements that are checked.
var shapes = []shape{
	{in: "Report", element: "Report", children: []string{"ReportHeader"}, known: []string{"ReportBody"}},
	{
		in: "Report", element: "ReportHeader", children: []string{"Identification", "ReportDetails"},
		known: []string{"InventoryAction", "FileCollectionAction"},
	},
	{in: "Report", element: "Identification", children: []string{"Machine"}, known: []string{"User"}},
	{
		in: "Report", element: "Machine",
		children: []string{"ClientType", "ClientID", "ClientVersion", "NetBIOSName", "CodePage", "SystemDefaultLCID"},
		known:    []string{"ClientInstalled", "Priority", "PublicKey", "Unknown"},
	},
	{
		in: "Report", element: "ReportDetails",
		children: []string{"ReportContent", "ReportType", "Date", "Version"}, known: []string{"Format"},
	},
	{
		in: "Report", element: "InventoryAction", children: []string{"InventoryActionID"},
		known: []string{"Description", "InventoryActionLastUpdateTime"},
	},
	{
		in: "Report", element: "FileCollectionAction", children: []string{"FileCollectionActionID"},
		known: []string{"Description"},
	},
	{in: "Report", element: "Instance", attrs: []string{"Class", "ParentClass", "Namespace"}},
	{
		in: "Report", element: "CollectedFile", children: []string{"Path"},
		known: []string{"Name", "Size", "LastWriteDate"},
	},
	{in: "Report", element: "CollectedFileSum", attrs: []string{"Count"}},
	{
		in: "Report", element: "FileSystemFile",
		children: []string{"Name", "Path", "Size", "LastWriteDate", "ProductLanguage"},
	},
	{
		in: "Report", element: "StateMessage", attrs: []string{"MessageTime"}, children: []string{"Topic", "State"},
		known: []string{"StateDetails", "UserParameters", "Site"},
	},
	{in: "Report", element: "Topic", attrs: []string{"Type", "IDType"}},
	{in: "Report", element: "State", attrs: []string{"ID"}},
	{in: "Report", element: "UserParameters", attrs: []string{"Count"}, known: []string{"Param"}},
	{in: "Report", element: "ProductInfo", attrs: []string{"ProductName"}},
	{
		in: "Report", element: "HistoricalMeterData",
		attrs: []string{"MeteredDataID", "UserName", "StartTime", "EndTime", "Status"},
	},

	{
		in: "RequestAssignments", element: "RequestAssignments", attrs: []string{"RequestType"},
		children: []string{"Identification", "PolicySource", "Resource"}, known: []string{"ServerCookie"},
	},
	{
		in: "RequestAssignments", element: "Machine", children: []string{"ClientID"},
		known: []string{"FQDN", "NetBIOSName", "SID"},
	},
	{in: "RequestAssignments", element: "Resource", attrs: []string{"ResourceType"}},
	{in: "ReplyAssignments", element: "ReplyAssignments", attrs: []string{"ReplyType"}},
	{in: "ReplyAssignments", element: "PolicyAssignment", attrs: []string{"PolicyAssignmentID"}},
	{
		in: "ReplyAssignments", element: "Policy", attrs: []string{"PolicyID", "PolicyVersion"},
		children: []string{"PolicyLocation"},
	},

	{
		in: "ContentLocationRequest", element: "ContentLocationRequest",
		children: []string{"AssignedSite", "ClientLocationInfo"}, known: []string{"Package", "ClientPackage"},
	},
	{
		in: "WSUSLocationRequest", element: "WSUSLocationRequest",
		children: []string{"AssignedSite", "ClientLocationInfo"}, known: []string{"Content"},
	},
	{
		in: "LocalMPLocationRequest", element: "LocalMPLocationRequest",
		children: []string{"AssignedSite", "ClientLocationInfo"}, known: []string{"Package"},
	},
	{
		in: "SiteInformationRequest", element: "SiteInformationRequest", children: []string{"SiteCode"},
		known: []string{"ClientLocationInfo"},
	},
	{in: "AssignedSiteRequest", element: "AssignedSiteRequest", children: []string{"ClientLocationInfo"}},
	{element: "AssignedSite", attrs: []string{"SiteCode"}},
	{element: "IPAddress", in: "ContentLocationRequest", attrs: []string{"Address"}},

	{in: "ClientRegistrationRequest", element: "ClientRegistrationRequest", children: []string{"Data", "Signature"}},
	{
		in: "ClientRegistrationRequest", element: "Data", attrs: []string{"RequestType", "TimeStamp", "SMSID"},
		children: []string{"AgentInformation"},
		known:    []string{"Certificates", "DiscoveryProperties", "RegistrationHint"},
	},
	{
		in: "ClientRegistrationRequest", element: "AgentInformation",
		attrs: []string{"AgentIdentity", "AgentVersion", "AgentType"},
	},
	{in: "ClientRegistrationRequest", element: "Signature", children: []string{"SignatureValue"}},
	{in: "ClientRegistrationResponse", element: "ClientRegistrationResponse", attrs: []string{"Status"}},

	{in: "Status", element: "Status", children: []string{"Type", "Properties"}, known: []string{"Qualifiers"}},
	{in: "Status", element: "Property", attrs: []string{"Name"}},
	{in: "Status", element: "Qualifier", attrs: []string{"Name"}},
	{in: "PeerDPDownloadStatus", element: "Msg", attrs: []string{"PkgID"}},
	{in: "DriverCatalogRequest", element: "Device", attrs: []string{"DeviceID"}},
	{in: "UploadRequest", element: "UploadRequest", children: []string{"MessageID"}},
}

// shapeOf finds the shape of an element, or nil.
func shapeOf(root, element string) *shape {
	for i := range shapes {
		if s := &shapes[i]; s.element == element && (s.in == root || s.in == "") {
			return s
		}
	}
	return nil
}

// versioned are the roots that document a SchemaVersion.
var versioned = []string{
	"RequestAssignments", "ReplyAssignments", "ContentLocationRequest", "ContentLocationReply",
	"WSUSLocationRequest", "WSUSLocationReply", "LocalMPLocationRequest", "LocalMPLocationReply",
	"EnumerateMPLocationRequest", "EnumerateMPLocationReply", "SiteInformationRequest", "SiteInformationReply",
	"AssignedSiteRequest", "AssignedSiteReply", "Status",
}
