package mpsim

import (
	"context"
	"fmt"
	"strconv"
	"strings"
)

const (
	clientVersion = "5.00.9128.1007"
	xmlUTF16      = `<?xml version="1.0" encoding="UTF-16"?>`
)

// The ids of inventory actions.
const (
	hardwareAction  = "{00000000-0000-0000-0000-000000000001}"
	softwareAction  = "{00000000-0000-0000-0000-000000000002}"
	discoveryAction = "{00000000-0000-0000-0000-000000000003}"
	filesAction     = "{00000000-0000-0000-0000-000000000010}"
	idmifAction     = "{00000000-0000-0000-0000-000000000011}"
)

const reportHeader = `
<ReportHeader>
<Identification><Machine>
<ClientInstalled>1</ClientInstalled><ClientType>1</ClientType><slot name="client"/>
<ClientVersion>` + clientVersion + `</ClientVersion><NetBIOSName>«name»</NetBIOSName>
<CodePage>«codePage»</CodePage><SystemDefaultLCID>«lcid»</SystemDefaultLCID><slot name="priority"/>
</Machine></Identification>
<ReportDetails><ReportContent>«content»</ReportContent><ReportType>«type»</ReportType><Date>«time»</Date>
<Version>«reportVersion».0</Version><Format>«format»</Format></ReportDetails>
<slot name="action"/>
</ReportHeader>`

// report is what a <Report> says about itself.
type report struct {
	content, kind, format string
	// action is the header's last element; empty for none.
	action string
	// client replaces the client id's element; empty is the agent's own.
	client string
	// priority is said in state messages only.
	priority bool
}

// header is the report's <ReportHeader>.
func (a *Agent) reportHeader(r report) string {
	codePage, lcid := "437", "1033"
	if pick(3, a.cfg.Seed, a.cfg.Name, "locale") == 0 {
		codePage, lcid = "850", "1031"
	}
	priority := ""
	if r.priority {
		priority = "<Priority>5</Priority>"
	}
	header := fill(reportHeader, a.names("codePage", codePage, "lcid", lcid, "content", r.content,
		"type", r.kind, "format", r.format, "reportVersion", strconv.Itoa(a.lives+1))...)
	header = raw(header, "client", or(r.client, fill(`<ClientID>«id»</ClientID>`, a.names()...)))
	header = raw(header, "priority", priority)
	return raw(header, "action", r.action)
}

// full is a whole report.
func (a *Agent) full(r report, body string) string {
	return "<Report>" + a.reportHeader(r) + "<ReportBody>" + body + "</ReportBody></Report>"
}

// empty is a report whose content is in an attachment.
func (a *Agent) empty(r report) string {
	return "<Report>" + a.reportHeader(r) + "<ReportBody/></Report>"
}

// inventory is the report of an inventory action.
func (a *Agent) inventory(kind, action, description string) report {
	return report{content: "Inventory Data", kind: kind, format: "1.1", action: fill(`
<InventoryAction ActionType="Predefined"><InventoryActionID>«action»</InventoryActionID>
<Description>«description»</Description><InventoryActionLastUpdateTime>«time»</InventoryActionLastUpdateTime></InventoryAction>`,
		a.names("action", action, "description", description)...)}
}

func fileCollection(action string) report {
	return report{content: "File Collection", kind: "Full", format: "1.1", action: fill(`
<FileCollectionAction ActionType="Predefined"><FileCollectionActionID>«action»</FileCollectionActionID>
<Description>File Collection</Description></FileCollectionAction>`, "action", action)}
}

var stateReport = report{content: "State Message Data", kind: "Full", format: "1.0", priority: true}

// property of a WMI instance.
type wmi struct{ name, value string }

// instance is one WMI object of a report.
func (a *Agent) instance(namespace, class, content string, properties ...wmi) string {
	var b strings.Builder
	b.WriteString(fill(`<Instance ParentClass="«class»" Class="«class»" Namespace="\\«name»\root\«namespace»" Content="«content»"><«class»>`,
		a.names("class", class, "namespace", namespace, "content", content)...))
	for _, p := range properties {
		fmt.Fprintf(&b, "<%s>%s</%s>", p.name, escape(p.value), p.name)
	}
	b.WriteString("</" + class + "></Instance>")
	return b.String()
}

// sendInventory sends a report as inventories travel: its header in the body,
// the whole in an attachment named like the action.
func (a *Agent) sendInventory(ctx context.Context, kind, endpoint, action string, r report, body string) error {
	return a.tell(ctx, kind, outgoing{
		endpoint: endpoint, text: a.empty(r),
		attachments: []attachment{{action, withBOM(xmlUTF16 + a.full(r, body))}},
	})
}

// sendHeartbeat sends discovery data.
func (a *Agent) sendHeartbeat(ctx context.Context) error {
	now := a.cfg.Now().UTC()
	domain := strings.ToUpper(strings.SplitN(a.cfg.Site.cfg.Domain, ".", 2)[0])
	instances := []string{
		a.instance(`ccm\invagt`, "CCM_System", "New", wmi{"Name", a.cfg.Name}, wmi{"SMSID", a.smsid}, wmi{"Domain", domain},
			wmi{"SystemRole", "Workstation"}, wmi{"SystemType", "X64-based PC"}, wmi{"LocalDateTime", cimTime(now)}),
		a.instance(`ccm\invagt`, "CCM_ComputerSystem", "New", wmi{"Domain", domain}),
		a.instance(`ccm`, "CCM_Client", "New", wmi{"ClientId", a.smsid}, wmi{"ClientVersion", clientVersion},
			wmi{"ClientIdChangeDate", now.Format("01/02/2006 15:04:05")}, wmi{"PreviousClientId", "Unknown"}),
		a.instance(`ccm`, "SMS_Authority", "New", wmi{"Name", "SMS:" + a.cfg.Site.cfg.Code}),
		a.instance(`ccm`, "CCM_ADSiteInfo", "New", wmi{"ADSiteName", "Lab-Site"}),
		a.instance(`ccm\invagt`, "CCM_ExtNetworkAdapterConfiguration", "New", wmi{"FQDN", a.fqdn}),
		a.instance(`ccm\invagt`, "CCM_NetworkAdapterConfiguration", "New", wmi{"IPSubnet", a.subnet}),
		a.instance(`cimv2`, "Win32_NetworkAdapterConfiguration", "New", wmi{"Index", "1"}, wmi{"IPAddress", a.ip},
			wmi{"IPAddress", "fe80::42"}, wmi{"MACAddress", a.mac}),
		a.instance(`ccm\invagt`, "CCM_DiscoveryData", "New", wmi{"PlatformID", "Microsoft Windows NT Workstation 10.0"}),
		a.instance(`ccm`, "CCM_OperatingSystem", "New", wmi{"OSBranch", "0"}),
		a.instance(`cimv2`, "Win32_ComputerSystemProduct", "New", wmi{"IdentifyingNumber", "SN-" + a.cfg.Name},
			wmi{"UUID", a.hardwareID()}, wmi{"Name", "Lab Machine"}, wmi{"Version", "1.0"}),
	}
	return a.sendInventory(ctx, "ddr", "MP_DdrEndpoint", discoveryAction,
		a.inventory("Full", discoveryAction, "Discovery"), strings.Join(instances, ""))
}

func (a *Agent) hardwareID() string { return guid(a.cfg.Seed, a.cfg.Name, "smbios") }

// sendHardware sends everything the first time, later what changed.
func (a *Agent) sendHardware(ctx context.Context) error {
	kind, body := "Full", a.hardware()
	if a.lives > 0 {
		kind, body = "Delta", a.hardwareChanges()
	}
	return a.sendInventory(ctx, "hinv", "MP_HinvEndpoint", hardwareAction,
		a.inventory(kind, hardwareAction, "Hardware"), body)
}

func (a *Agent) hardware() string {
	var b strings.Builder
	b.WriteString(a.instance("cimv2", "Win32_OperatingSystem", "New", wmi{"Caption", "Microsoft Windows 11 Enterprise"},
		wmi{"Version", "10.0.26100"}, wmi{"BuildNumber", "26100"}, wmi{"InstallDate", cimTime(a.cfg.Now().AddDate(0, -4, 0))},
		wmi{"LastBootUpTime", cimTime(a.cfg.Now().AddDate(0, 0, -1))}, wmi{"OSLanguage", "1033"},
		wmi{"TotalVisibleMemorySize", "16631412"}))
	b.WriteString(a.instance("cimv2", "Win32_ComputerSystem", "New", wmi{"Name", a.cfg.Name}, wmi{"Domain", a.cfg.Site.cfg.Domain},
		wmi{"Manufacturer", "Lab Computers"}, wmi{"Model", "LC-14"}, wmi{"NumberOfProcessors", "1"}))
	for i, disk := range []string{"C:", "D:"} {
		b.WriteString(a.instance("cimv2", "Win32_LogicalDisk", "New", wmi{"DeviceID", disk}, wmi{"DriveType", "3"},
			wmi{"FileSystem", "NTFS"}, wmi{"Size", strconv.Itoa(511000 >> i)},
			wmi{"FreeSpace", strconv.Itoa(pick(200000, a.cfg.Seed, a.cfg.Name, disk))}))
	}
	for i := range 40 {
		b.WriteString(a.program(i, "New"))
	}
	return b.String()
}

// program is an installed one; the first has letters beyond ASCII.
func (a *Agent) program(i int, content string) string {
	name := fmt.Sprintf("Lab Tool %02d", i)
	if i == 0 {
		name = "Übung & Test"
	}
	return a.instance("cimv2", "Win32Reg_AddRemovePrograms64", content, wmi{"DisplayName", name},
		wmi{"InstallDate", a.cfg.Now().UTC().AddDate(0, 0, -i).Format("20060102")},
		wmi{"ProdID", "{" + guid(a.cfg.Seed, "product", strconv.Itoa(i)) + "}"},
		wmi{"Publisher", "Lab Software GmbH"}, wmi{"Version", fmt.Sprintf("%d.%d.%d", 1+i%7, i%10, a.lives)})
}

func (a *Agent) hardwareChanges() string {
	return a.program(1+a.lives%30, "Update") +
		a.instance("cimv2", "Win32_LogicalDisk", "New", wmi{"DeviceID", "E:"}, wmi{"DriveType", "3"}, wmi{"Size", "32000"})
}

// sendSoftware sends a short software inventory.
func (a *Agent) sendSoftware(ctx context.Context) error {
	kind := "Full"
	if a.lives > 0 {
		kind = "Delta"
	}
	return a.sendInventory(ctx, "sinv", "MP_SinvEndpoint", softwareAction,
		a.inventory(kind, softwareAction, "Software"), a.files(12))
}

func (a *Agent) files(n int) string {
	var b strings.Builder
	for i := range n {
		size := 4096 + pick(4_000_000, a.cfg.Seed, a.cfg.Name, "file", strconv.Itoa(i))
		b.WriteString(a.instance(`ccm\invagt`, "FileSystemFile", "New", wmi{"Name", fmt.Sprintf("tool%03d.exe", i)},
			wmi{"Path", fmt.Sprintf(`C:\Program Files\Lab Tool %02d\`, i%40)}, wmi{"Size", strconv.Itoa(size)},
			wmi{"LastWriteDate", cimTime(a.cfg.Now().AddDate(0, 0, -1-i%300))}, wmi{"CompanyName", "Lab Software"},
			wmi{"FileDescription", "Lab Tool"}, wmi{"FileVersion", fmt.Sprintf("%d.%d.0.0", 1+i%7, i%10)},
			wmi{"ProductName", "Lab Tool"}, wmi{"ProductVersion", fmt.Sprintf("%d.%d", 1+i%7, i%10)}, wmi{"ProductLanguage", "1033"}))
	}
	return b.String()
}

type uploadLocation struct{ URL string }

// uploadSoftware sends a large software inventory: it asks where to, uploads
// the attachment by BITS, and then sends the message that it belongs to. How a
// message names what was uploaded is not published: the upload has the name of
// the message's id, the header the attachment's length (inferred).
func (a *Agent) uploadSoftware(ctx context.Context) error {
	r := a.inventory("Full", softwareAction, "Software")
	report := withBOM(xmlUTF16 + a.full(r, a.files(400)))
	id := a.id()
	text, err := a.ask(ctx, "upload", system, "UploadReply", outgoing{
		endpoint: "UploadManager", sync: true,
		text: fill(`<UploadRequest><MessageID>«message»</MessageID><NetworkType>Intranet</NetworkType></UploadRequest>`, "message", id),
	})
	if err != nil {
		return err
	}
	var location uploadLocation
	if err := parse(text, &location); err != nil {
		return fmt.Errorf("upload reply: %w", err)
	}
	path, err := pathOf(location.URL)
	if err != nil {
		return err
	}
	if err := a.uploadBITS(ctx, path, id, report); err != nil {
		return err
	}
	return a.tell(ctx, "sinv", outgoing{
		endpoint: "MP_SinvEndpoint", id: id, text: a.empty(r),
		elsewhere: &byteRange{Name: softwareAction, Type: "ByteRange", Length: len(report)},
	})
}

const collectedFile = `
<CollectedFile ID="«number»" Content="«content»"><Name>«file»</Name><Path>C:\Lab\</Path>
<Size>«size»</Size><LastWriteDate>«written»</LastWriteDate></CollectedFile>`

// sendFiles collects two files, one of them binary.
func (a *Agent) sendFiles(ctx context.Context) error {
	return a.collect(ctx, "filecoll", outgoing{endpoint: "MP_SinvCollFileEndpoint"}, filesAction, []attachment{
		{"lab.ini", []byte("[lab]\r\nname=" + a.cfg.Name + "\r\n")},
		{"lab.bin", noise(2048, a.cfg.Seed, a.cfg.Name, "collected", strconv.Itoa(a.lives))},
	})
}

func (a *Agent) sendIDMIF(ctx context.Context) error {
	mif := "Start Component\r\n  Name = \"Printer\"\r\nEnd Component\r\n"
	return a.collect(ctx, "idmif", outgoing{endpoint: "MP_RelayEndpoint", fileType: "IDMIF"}, idmifAction,
		[]attachment{{"printer.mif", []byte(mif)}})
}

// collect sends files, whose attachments are named like their ids (inferred).
func (a *Agent) collect(ctx context.Context, kind string, m outgoing, action string, files []attachment) error {
	var body strings.Builder
	for i, file := range files {
		number, content := strconv.Itoa(i+1), "New"
		if a.lives > 0 {
			content = "Updated"
		}
		body.WriteString(fill(collectedFile, "number", number, "content", content, "file", file.name,
			"size", strconv.Itoa(len(file.data)), "written", cimTime(a.cfg.Now().AddDate(0, 0, -2))))
		m.attachments = append(m.attachments, attachment{number, file.data})
	}
	fmt.Fprintf(&body, `<CollectedFileSum Count="%d"/>`, len(files))
	m.text = a.full(fileCollection(action), body.String())
	return a.tell(ctx, kind, m)
}

const meteringBody = `
<ProductInfo CompanyName="Lab Software" ProductName="Lab Tool" ProductVersion="4.2" ProductLanguage="1033">
<SoftwareFileInfo FileName="tool001.exe" FileVersion="4.2.1.0" FileDescription="Lab Tool" FileSize="1843200">
<HistoricalMeterData MeteredDataID="{«data»}" UserName="«netbios»\«user»" StartTime="«start»" EndTime="«end»" Status="0"/>
</SoftwareFileInfo></ProductInfo>`

// sendMetering sends usage data as the Windows agent does: only the header in
// the body, the declaration of the attachment in single quotes.
func (a *Agent) sendMetering(ctx context.Context) error {
	r := report{content: `Software\x0020Metering\x0020Data`, kind: "Full", format: "1.1"}
	body := fill(meteringBody, a.names(
		"data", guid(a.cfg.Seed, a.cfg.Name, "metered", strconv.Itoa(a.lives)),
		"start", cimTime(a.cfg.Now().Add(-75*minute)), "end", cimTime(a.cfg.Now().Add(-30*minute)))...)
	return a.tell(ctx, "metering", outgoing{
		endpoint: "MP_RelayEndpoint", fileType: "SWM",
		text: "<Report>" + a.reportHeader(r) + "</Report>",
		attachments: []attachment{{
			"{" + guid(a.cfg.Seed, a.cfg.Name, "metering", strconv.Itoa(a.lives)) + "}",
			withBOM(`<?xml version='1.0' encoding='UTF-16'?>` + a.full(r, body)),
		}},
	})
}
