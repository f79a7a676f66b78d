package mpsim

import (
	"context"
	"crypto/rsa"
	"fmt"
	"net/http"
	"strings"
)

// sendsLists is the program that fetches lists and keys.
const sendsLists = "SMS CCM 5.0"

// fetchList fetches a list whose root is known.
func (a *Agent) fetchList(ctx context.Context, kind, query, root string) (string, error) {
	reply, err := a.get(ctx, kind, "/SMS_MP/.sms_aut?"+query, sendsLists)
	if err != nil {
		return "", err
	}
	text := string(reply.body)
	if got := rootName(text); got != root {
		return "", fmt.Errorf("%s: <%s> instead of <%s>", query, got, root)
	}
	return text, nil
}

func (a *Agent) fetchMPList(ctx context.Context) error {
	if _, err := a.fetchList(ctx, "mplist", "MPLIST", "MPList"); err != nil {
		return err
	}
	_, err := a.fetchList(ctx, "mplist", "MPLIST1&"+a.cfg.Site.cfg.Code, "MPList")
	return err
}

func (a *Agent) fetchKeys(ctx context.Context) error {
	if _, err := a.fetchList(ctx, "mpkeyinformation", "MPKEYINFORMATION", "MPKEYINFORMATION"); err != nil {
		return err
	}
	if _, err := a.fetchList(ctx, "mpcert", "MPCERT", "MPCertificate"); err != nil {
		return err
	}
	_, err := a.fetchList(ctx, "mpcert", "MPCERT2", "MPCertificates")
	return err
}

// fetchSiteSigningCertificate gets the key that policies are checked with.
func (a *Agent) fetchSiteSigningCertificate(ctx context.Context) error {
	text, err := a.fetchList(ctx, "sitesigncert", "SITESIGNCERT", "MPSITESIGNCERT")
	if err != nil {
		return err
	}
	var list struct{ X509Certificate string }
	if err := parse(text, &list); err != nil {
		return fmt.Errorf("site signing certificate: %w", err)
	}
	cert, err := hexCertificate(list.X509Certificate)
	if err != nil {
		return fmt.Errorf("site signing certificate: %w", err)
	}
	key, ok := cert.PublicKey.(*rsa.PublicKey)
	if !ok {
		return fmt.Errorf("site signing certificate: the key is a %T", cert.PublicKey)
	}
	a.siteKey = key
	return nil
}

func (a *Agent) fetchAffinity(ctx context.Context) error {
	_, err := a.fetchList(ctx, "affinity", "GETCLIENTAFFINITY&"+a.smsid, "MachineAffinity")
	return err
}

// place is where the client is, as location requests say it.
const place = `
<ADSite Name="Lab-Site"/><Forest Name="«domain»"/><Domain Name="«domain»"/>
<IPAddresses><IPAddress SubnetAddress="«subnet»" Address="«ip»"/></IPAddresses>`

// names are the values that the agent's documents need, after those of the one
// at hand, which win.
func (a *Agent) names(own ...string) []string {
	site := a.cfg.Site.cfg
	return append(own,
		"code", site.Code,
		"domain", site.Domain,
		"netbios", strings.ToUpper(strings.SplitN(site.Domain, ".", 2)[0]),
		"name", a.cfg.Name,
		"fqdn", a.fqdn,
		"user", a.user(),
		"ip", a.ip,
		"subnet", a.subnet,
		"mac", a.mac,
		"id", a.smsid,
		"package", packageID,
		"packageVersion", packageVersion,
		"group", boundaryGroup,
		"time", cimTime(a.cfg.Now()),
		"isoTime", isoTime(a.cfg.Now()),
	)
}

func (a *Agent) user() string { return strings.ToLower(a.cfg.Name) + ".user" }

// locate asks MP_LocationManager. The Windows agent does so without waiting
// for the reply, which comes all the same.
func (a *Agent) locate(ctx context.Context, kind, reply, template string) (string, error) {
	return a.ask(ctx, kind, system, reply, outgoing{
		endpoint: "MP_LocationManager", queue: "LS_ReplyLocations", sync: a.sdk, unsigned: true,
		text:  fill(template, a.names()...),
		plain: kind == "wsus-location",
	})
}

func (a *Agent) askSiteInformation(ctx context.Context) error {
	_, err := a.locate(ctx, "site-information", "SiteInformationReply",
		`<SiteInformationRequest SchemaVersion="1.00"><SiteCode Name="«code»"/></SiteInformationRequest>`)
	return err
}

func (a *Agent) askAssignedSite(ctx context.Context) error {
	_, err := a.locate(ctx, "assigned-site", "AssignedSiteReply",
		`<AssignedSiteRequest SchemaVersion="1.00"><ClientLocationInfo OnInternet="0">`+place+`</ClientLocationInfo></AssignedSiteRequest>`)
	return err
}

func (a *Agent) askManagementPoints(ctx context.Context) error {
	_, err := a.locate(ctx, "enumerate-mp", "EnumerateMPLocationReply", `
<EnumerateMPLocationRequest SchemaVersion="1.00" RequestType="Assigned"><SiteCode Name="«code»"/>
<ClientLocationInfo OnInternet="0">`+place+`</ClientLocationInfo></EnumerateMPLocationRequest>`)
	return err
}

func (a *Agent) askLocalManagementPoints(ctx context.Context) error {
	_, err := a.locate(ctx, "local-mp", "LocalMPLocationReply", `
<LocalMPLocationRequest SchemaVersion="1.00"><Package ID="«package»" Version="«packageVersion»"/><AssignedSite SiteCode="«code»"/>
<ClientLocationInfo OnInternet="0">`+place+`</ClientLocationInfo></LocalMPLocationRequest>`)
	return err
}

func (a *Agent) askWSUS(ctx context.Context) error {
	_, err := a.locate(ctx, "wsus-location", "WSUSLocationReply", `
<WSUSLocationRequest SchemaVersion="1.00"><Content ID="{E1C7A5B2-0D94-4F38-8A6C-92B3F5D7E014}" Version="38"/><AssignedSite SiteCode="«code»"/>
<ClientLocationInfo OnInternet="0">`+place+`</ClientLocationInfo></WSUSLocationRequest>`)
	return err
}

const contentLocationRequestText = `
<ContentLocationRequest SchemaVersion="1.00" BGRVersion="1" ExcludeFileList="">
<Package ID="«package»" Version="«packageVersion»" DeploymentFlags="0"/><AssignedSite SiteCode="«code»"/>
<ClientLocationInfo LocationType="SMSPackage" DistributeOnDemand="0" UseProtected="0" AllowCaching="0" BranchDPFlags="0" AllowHTTP="1" AllowSMB="0" AllowMulticast="0" UseAzure="0" DPTokenAuth="1" UseInternetDP="0">` + place + `
<BoundaryGroups BoundaryGroupListRetrieveTime="«isoTime»"><BoundaryGroup GroupID="16777217" GroupGUID="«group»" GroupFlag="0"/></BoundaryGroups>
</ClientLocationInfo></ContentLocationRequest>`

type contentLocations struct {
	Sites struct {
		Site struct {
			LocationRecords struct {
				LocationRecord []struct {
					URL struct {
						Name      string `xml:"Name,attr"`
						Signature string `xml:"Signature,attr"`
					}
				}
			}
		}
	}
}

// download asks where a package is, and fetches it: the list, the size, the
// first file in ranges as BITS does, the rest whole.
func (a *Agent) download(ctx context.Context) error {
	text, err := a.locate(ctx, "content-location", "ContentLocationReply", contentLocationRequestText)
	if err != nil {
		return err
	}
	var locations contentLocations
	if err := parse(text, &locations); err != nil {
		return fmt.Errorf("content location: %w", err)
	}
	records := locations.Sites.Site.LocationRecords.LocationRecord
	if len(records) == 0 {
		return fmt.Errorf("no distribution point has %s", packageID)
	}
	base, err := pathOf(records[0].URL.Name)
	if err != nil {
		return err
	}
	signature, err := pathOf(records[0].URL.Signature)
	if err != nil {
		return err
	}
	list, err := a.do(ctx, "dp-list", request{
		method: "PROPFIND", target: base, agent: bitsAgent,
		fields: []field{{"Accept", "*/*"}, {"Depth", "1"}},
	})
	if err != nil || list.status != http.StatusMultiStatus {
		return fmt.Errorf("list of files: %s: %w", list.line, err)
	}
	if _, err := a.get(ctx, "dp-file", signature, bitsAgent); err != nil {
		return err
	}
	return a.downloadFiles(ctx, base)
}

func (a *Agent) downloadFiles(ctx context.Context, base string) error {
	first, last := packageFiles[0], packageFiles[1]
	target := base + "/" + first.name
	if _, err := a.do(ctx, "dp-head", request{
		method: http.MethodHead, target: target, agent: bitsAgent,
		fields: []field{{"Accept", "*/*"}},
	}); err != nil {
		return err
	}
	half := first.size / 2
	for _, want := range []string{fmt.Sprintf("bytes=0-%d", half-1), fmt.Sprintf("bytes=%d-", half)} {
		reply, err := a.do(ctx, "dp-file", request{
			method: http.MethodGet, target: target, agent: bitsAgent,
			fields: []field{{"Accept", "*/*"}, {"Range", want}},
		})
		if err != nil || reply.status != http.StatusPartialContent || len(reply.body) != half {
			return fmt.Errorf("range %s of %s: %s, %d bytes: %w", want, target, reply.line, len(reply.body), err)
		}
	}
	reply, err := a.get(ctx, "dp-file", base+"/"+last.name, bitsAgent)
	if err == nil && len(reply.body) != last.size {
		err = fmt.Errorf("%s has %d bytes instead of %d", last.name, len(reply.body), last.size)
	}
	return err
}
