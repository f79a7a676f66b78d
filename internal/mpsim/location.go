package mpsim

import (
	"fmt"
	"strconv"
	"strings"
)

// capabilities is how each server describes itself.
const capabilities = `<Capabilities SchemaVersion="1.0"><Property Name="SSLState" Value="«sslState»"/></Capabilities>`

// names are the values that most documents of the site need, after those of
// the one at hand, which win.
func (s *Site) names(own ...string) []string {
	return append(own,
		"code", s.cfg.Code,
		"build", strconv.Itoa(s.cfg.Build),
		"version", fmt.Sprintf("5.00.%d.1000", s.cfg.Build),
		"mp", s.cfg.MPName,
		"MP", strings.ToUpper(s.cfg.MPName),
		"host", s.host(),
		"domain", s.cfg.Domain,
		"sslState", s.sslState(),
		"siteSigningCert", upperHex(s.signing.Leaf.Raw),
	)
}

const siteInformationReply = `
<SiteInformationReply SchemaVersion="1.00"><Sites><Site>
  <SiteCode>«code»</SiteCode><Version>«version»</Version><BuildNumber>«build»</BuildNumber>
  <ClientOperationalSettings>
    <Version>«version»</Version>
    <SecurityConfiguration>
      <SecurityModeMask>«mode»</SecurityModeMask><SecurityModeMaskEx>«modeEx»</SecurityModeMaskEx>
      <HTTPPort>80</HTTPPort><HTTPSPort>443</HTTPSPort>
      <CertificateStoreName/><CertificateSelectionCriteria/><CertificateSelectFirstFlag>1</CertificateSelectFirstFlag>
      <SiteSigningCert>«siteSigningCert»</SiteSigningCert>
    </SecurityConfiguration>
  </ClientOperationalSettings>
  <DefaultMP>«mp»</DefaultMP>` + capabilities + `
</Site></Sites></SiteInformationReply>`

// siteInformation answers what ports and security the site has. The bits of
// the masks are not published.
func (s *Site) siteInformation(*exchange) string {
	mode, modeEx := "0", "480"
	if s.cfg.Native {
		mode, modeEx = "1", "63"
	}
	return fill(siteInformationReply, s.names("mode", mode, "modeEx", modeEx)...)
}

func (s *Site) assignedSite(*exchange) string {
	return fill(`
<AssignedSiteReply SchemaVersion="1.00"><Site>
  <SiteCode>«code»</SiteCode><Version>«version»</Version><BuildNumber>«build»</BuildNumber>
  <DefaultMP>«mp»</DefaultMP>`+capabilities+`
</Site></AssignedSiteReply>`, s.names()...)
}

func (s *Site) enumerateMPs(*exchange) string {
	return fill(`
<EnumerateMPLocationReply SchemaVersion="1.00">
  <MPSite SiteCode="«code»" MasterSiteCode="«code»" SiteLocality="LOCAL" IISPreferedPort="80" IISSSLPreferedPort="443"/>
  <LocationRecords><LocationRecord>
    <IntranetName Value="«mp»"/><InternetName Value=""/><Version>«build»</Version>`+capabilities+`<Windows Trust="1"/>
  </LocationRecord></LocationRecords>
</EnumerateMPLocationReply>`, s.names()...)
}

func (s *Site) localMPs(*exchange) string {
	return fill(`
<LocalMPLocationReply SchemaVersion="1.00"><Sites><Site>
  <MPSite SiteCode="«code»" MasterSiteCode="«code»" SiteLocality="LOCAL" Locality="LOCAL" IISPreferedPort="80" IISSSLPreferedPort="443"/>
  <LocationRecords><LocationRecord><ServerRemoteName>«mp»</ServerRemoteName><Version>«build»</Version></LocationRecord></LocationRecords>
</Site></Sites></LocalMPLocationReply>`, s.names()...)
}

// wsusLocation names an update server that the simulation does not have: the
// agent would talk SOAP to it, past the management point.
func (s *Site) wsusLocation(*exchange) string {
	url := "http://sup01." + s.cfg.Domain + ":8530"
	if s.cfg.Native {
		url = "https://sup01." + s.cfg.Domain + ":8531"
	}
	return fill(`
<WSUSLocationReply SchemaVersion="1.00"><Sites><Site><MPSite SiteCode="«code»"/>
  <LocationRecords><LocationRecord WSUSURL="«url»" ServerName="sup01.«domain»" Version="38"/></LocationRecords>
</Site></Sites></WSUSLocationReply>`, s.names("url", url)...)
}

const contentLocationReply = `
<ContentLocationReply SchemaVersion="1.00" ContentFlags="16777216" HashAlgorithm="32780" AlgorithmPreference="4" Hash="«hash»" ExcludeFileListHash="" RelatedContentID="">
  <BoundaryGroups BoundaryGroupListRetrieveTime="«time»"><BoundaryGroup GroupID="16777217" GroupGUID="«group»"/></BoundaryGroups>
  <ContentInfo PackageFlags="16777216"><ContentHashValues><Hash Algorithm="32780" HashString="«hash»" HashPreference="4"/></ContentHashValues></ContentInfo>
  <Sites><Site>
    <MPSite SiteCode="«code»" MasterSiteCode="«code»" SiteLocality="LOCAL" IISPreferedPort="80" IISSSLPreferedPort="443"/>
    <LocationRecords><slot name="records"/></LocationRecords>
  </Site></Sites>
  <RelatedContentIDs/>
</ContentLocationReply>`

const locationRecord = `
<LocationRecord>
  <URL Name="«url»/SMS_DP_SMSPKG$/«package»" Signature="«url»/SMS_DP_SMSSIG$/«package».«version».tar" Capability="0"/>
  <ADSite Name="Lab-Site"/><IPSubnets><IPSubnet Address="«subnet»"/><IPSubnet Address=""/></IPSubnets>
  <Metric Value=""/><Version>«build»</Version>` + capabilities + `
  <ServerRemoteName>«mp»</ServerRemoteName><DPType>SERVER</DPType><Windows Trust="1"/><Locality>LOCAL</Locality>
</LocationRecord>`

type contentLocationRequest struct {
	Package struct {
		ID      string `xml:"ID,attr"`
		Version string `xml:"Version,attr"`
	}
	ClientLocationInfo struct {
		IPAddresses struct {
			IPAddress struct {
				SubnetAddress string `xml:"SubnetAddress,attr"`
			}
		}
	}
}

// contentLocation says where a package is: here, or nowhere.
func (s *Site) contentLocation(x *exchange) string {
	var request contentLocationRequest
	if err := parse(x.message.text, &request); err != nil {
		return ""
	}
	records := ""
	if request.Package.ID == packageID {
		records = fill(locationRecord, s.names(
			"url", s.url(x),
			"package", packageID,
			"version", request.Package.Version,
			"subnet", request.ClientLocationInfo.IPAddresses.IPAddress.SubnetAddress)...)
	}
	return s.contentLocations(records)
}

func (s *Site) contentLocations(records string) string {
	return raw(fill(contentLocationReply, s.names(
		"hash", sha256Hex([]byte(packageID)),
		"time", s.cfg.Now().UTC().Format("2006-01-02T15:04:05.000"),
		"group", boundaryGroup)...), "records", records)
}

// boundaryGroup is where all agents are.
const boundaryGroup = "3F5A9C02-7B1E-4D88-A0C6-1E9F72D4B805"
