package mpsim

import (
	"context"
	"fmt"
	"net/http"
	"strconv"
	"strings"
	"time"
)

const minute = time.Minute

// state is one state message: a topic, its state, and parameters.
type state struct {
	topic        string
	kind, idType int
	id           int
	user         bool
	params       []string
}

const stateMessage = `
<StateMessage MessageTime="«time»" SerialNumber="«serial»">
<Topic ID="«topic»" Type="«type»" IDType="«idType»" User="«topicUser»" UserSID="«sid»"/>
<State ID="«state»" Criticality="0"/><UserParameters Flags="0" Count="«count»"><slot name="params"/></UserParameters>
</StateMessage>`

// userSID is the user's of every agent.
const userSID = "S-1-5-21-1004336348-1177238915-682003330-1604"

func (a *Agent) stateMessage(s state) string {
	a.serial++
	user, sid := "", ""
	if s.user {
		user, sid = fill(`«netbios»\«user»`, a.names()...), userSID
	}
	var params strings.Builder
	for _, p := range s.params {
		params.WriteString("<Param>" + escape(p) + "</Param>")
	}
	return raw(fill(stateMessage, a.names("serial", strconv.Itoa(a.serial), "topic", s.topic, "type", strconv.Itoa(s.kind),
		"idType", strconv.Itoa(s.idType), "topicUser", user, "sid", sid, "state", strconv.Itoa(s.id),
		"count", strconv.Itoa(len(s.params)))...), "params", params.String())
}

// sendStates reports updates, an application and the way to the management
// point, each in a message of its own.
func (a *Agent) sendStates(ctx context.Context) error {
	const (
		update     = "{B7E03C5D-1A92-4F68-8C0E-6D4F92A3B715}"
		assignment = "{C05E7A19-8D3B-4260-9F71-E2A6B48D0C53}"
		source     = "{E1C7A5B2-0D94-4F38-8A6C-92B3F5D7E014}"
		app        = "ScopeId_3C0E9A52-7D1F-4B86-A0E4-95B2C8D6F713/Application_5F2D8B07-41A9-4C3E-9B60-D8E1F7A4C235/3"
		nothing    = "{00000000-0000-0000-0000-000000000000}"
	)
	for _, states := range [][]state{
		{
			{topic: source, kind: 501, idType: 4, id: 3, params: []string{"38"}},
			{topic: update, kind: 500, idType: 3, id: 2, params: []string{"200"}},
			{topic: update, kind: 402, idType: 3, id: 10, params: []string{"200"}},
			{topic: assignment, kind: 300, idType: 2, id: 1, params: []string{"200"}},
		},
		{{topic: app, kind: 1702, idType: 5, id: 1000, user: true, params: []string{"3"}}},
		{{topic: nothing, kind: 1000, idType: 6, id: 1, params: []string{a.link.host}}},
	} {
		var body strings.Builder
		for _, s := range states {
			body.WriteString(a.stateMessage(s))
		}
		err := a.tell(ctx, "state", outgoing{
			endpoint: "MP_RelayEndpoint", fileType: "SMX",
			text: xmlUTF16 + a.full(stateReport, body.String()),
		})
		if err != nil {
			return err
		}
	}
	return nil
}

const deployment = `
<StateMessage MessageTime="«time»"><Site Code="«code»"/>
<Topic ID="` + clientVersion + `" Type="800" IDType="0" User="" UserSID=""/><State ID="400" Criticality="0"/>
<StateDetails Type="1"><![CDATA[<ClientDeploymentMessage><ADSiteName>Lab-Site</ADSiteName><FQDN>«fqdn»</FQDN><MacAddress>«mac»</MacAddress></ClientDeploymentMessage>]]></StateDetails>
<UserParameters Flags="0" Count="0"></UserParameters></StateMessage>`

// tellFallbackStatus reports the installation, before there is a client id.
func (a *Agent) tellFallbackStatus(ctx context.Context) error {
	r := stateReport
	r.client = fill(`<ClientID IDType="2" IDFlag="0">«mac»</ClientID>`, a.names()...)
	reply, err := a.do(ctx, "fsp", request{
		method: http.MethodPost, target: "/SMS_FSP/.sms_fsp", agent: "ccmsetup",
		fields: []field{{"Content-Type", "text/xml"}},
		body:   withBOM(xmlUTF16 + a.full(r, fill(deployment, a.names()...))),
	})
	if err == nil && reply.status != http.StatusOK {
		err = reply.unexpected("fallback status point")
	}
	return err
}

const statusText = `
<Status SchemaVersion="1.0" CodePage="437" LocaleID="1033"><Type>«class»</Type>
<Properties>
<Property Name="ClientID">«id»</Property><Property Name="DateTime">«time»</Property><Property Name="MachineName">«name»</Property>
<Property Name="ProcessId">4312</Property><Property Name="SiteCode">«code»</Property><Property Name="ThreadId">7760</Property>
<slot name="properties"/><Property Name="Severity">«severity»</Property>
</Properties>
<Qualifiers><Qualifier Name="SMS_Component">«component»</Qualifier><Qualifier Name="SMS_MessageID">«message»</Qualifier>
<Qualifier Name="SMS_ModuleName">SMS Client</Qualifier></Qualifiers></Status>`

// status is one event of an agent.
type status struct {
	class, component, message, severity string
	properties                          []property
}

// sendStatus reports a program that was started and a policy that did not fit.
func (a *Agent) sendStatus(ctx context.Context) error {
	for _, s := range []status{
		{"SoftDistProgramStartedEvent", "Software Distribution", "10005", "0", []property{
			{"AdvertisementId", a.cfg.Site.cfg.Code + "20003"},
			{"PackageName", packageID},
			{"ProgramName", "Install"},
			{"CommandLine", "setup.exe /quiet"},
		}},
		{"SMS_PolicyAgent_PolicyMismatch", "PolicyAgent", "10805", "2", []property{
			{"PolicyID", "{" + guid(a.cfg.Seed, "mismatch") + "}"},
		}},
	} {
		var properties strings.Builder
		for _, p := range s.properties {
			fmt.Fprintf(&properties, `<Property Name="%s">%s</Property>`, p.name, escape(p.value))
		}
		err := a.tell(ctx, "status", outgoing{endpoint: "StatusReceiver", text: raw(fill(statusText,
			a.names("class", s.class, "component", s.component, "message", s.message, "severity", s.severity)...),
			"properties", properties.String())})
		if err != nil {
			return err
		}
	}
	return nil
}

// sendPeerStatus reports a download from a peer.
func (a *Agent) sendPeerStatus(ctx context.Context) error {
	return a.tell(ctx, "peer-dp", outgoing{endpoint: "MP_RelayEndpoint", fileType: "STA", text: xmlUTF16 + fill(`
<PeerDPDownloadStatus><ClientID>«id»</ClientID>
<Msg PkgID="«package»" SourceVersion="«packageVersion»" SiteCode="«code»" Type="2" Status="1" State="0" Personality="0" PackageServer="" ShareName="" HttpUrl="" Location="" UpdateTime="«time»"/>
</PeerDPDownloadStatus>`, a.names()...)})
}

func (a *Agent) askAppState(ctx context.Context) error {
	_, err := a.ask(ctx, "app-state", system, "AppstateManagerReply", outgoing{
		endpoint: "MP_AppStateManager", sync: true,
		text: fill(`<AppStateServicesRequest SchemaVersion="1.00"><AppStateRequest DeviceID="«id»" OfferName="«code»20011" UserSID="`+userSID+`"/></AppStateServicesRequest>`, a.names()...),
	})
	return err
}

func (a *Agent) askDrivers(ctx context.Context) error {
	_, err := a.ask(ctx, "drivers", system, "DriverCatalogResponse", outgoing{
		endpoint: "MP_DriverManager", sync: true,
		text: fill(`
<DriverCatalogRequest SchemaVersion="1" RequestType="Match">
<Categories><Category>DriverCategory:0B5E9C71-2D4F-4A08-86B3-F7C1E0D92A45</Category></Categories>
<Devices><Device DeviceID="PCI\VEN_8086&amp;DEV_15FB\3&amp;11583659&amp;0&amp;FE">
<HwId>PCI\VEN_8086&amp;DEV_15FB&amp;SUBSYS_00008086</HwId><HwId Compatible="true">PCI\VEN_8086&amp;DEV_15FB</HwId>
</Device></Devices></DriverCatalogRequest>`),
	})
	return err
}

// askClientID asks who the machine is, by its hardware.
func (a *Agent) askClientID(ctx context.Context) error {
	text, err := a.ask(ctx, "client-id", system, "ClientIDReply", outgoing{
		endpoint: "MP_ClientIdManager", sync: true,
		text: fill(`<ClientIDRequest><Identification><Machine><SMBIOS>«smbios»</SMBIOS><MacAddress>«mac»</MacAddress></Machine></Identification></ClientIDRequest>`,
			a.names("smbios", a.hardwareID())...),
	})
	if err == nil && !strings.Contains(text, a.smsid) {
		err = fmt.Errorf("the site knows this machine by another id: %s", text)
	}
	return err
}
