package mpsim

import "strings"

// appState says that an application is installed.
func (s *Site) appState(*exchange) string {
	return `<AppstateManagerReply AppState="1" ErrorCode="0"/>`
}

type driverRequest struct {
	Devices struct {
		Device []struct {
			DeviceID string `xml:"DeviceID,attr"`
		}
	}
}

// drivers finds a driver for each device. The reply's root is inferred.
func (s *Site) drivers(x *exchange) string {
	var request driverRequest
	if err := parse(x.message.text, &request); err != nil {
		return ""
	}
	var devices strings.Builder
	for _, device := range request.Devices.Device {
		devices.WriteString(fill(`
<Device DeviceID="«device»"><CompatibleDrivers>
  <Driver SDMPackageName="«code»_DRV_0009" SDMPackageVersion="1" SDMPackageHash="«hash»"/>
</CompatibleDrivers></Device>`, s.names("device", device.DeviceID, "hash", sha256Hex([]byte(device.DeviceID))[:40])...))
	}
	return raw(`<DriverCatalogResponse SchemaVersion="1" ResponseType="Match"><Devices><slot name="devices"/></Devices></DriverCatalogResponse>`,
		"devices", devices.String())
}

// clientID says who the sender is. The reply's root is inferred.
func (s *Site) clientID(x *exchange) string {
	c, ok := s.clientOf(x.message.SourceID)
	if !ok {
		return ""
	}
	return fill(`<ClientIDReply><ClientID>«id»</ClientID><NetbiosName>«name»</NetbiosName></ClientIDReply>`,
		"id", c.smsid, "name", c.name)
}

type uploadRequest struct{ MessageID string }

// uploadReply says where the attachments of a message may be uploaded: under
// the message's id (inferred).
func (s *Site) uploadReply(x *exchange) string {
	var request uploadRequest
	if err := parse(x.message.text, &request); err != nil || request.MessageID == "" {
		return ""
	}
	port := ":80"
	if strings.HasPrefix(s.url(x), "https:") {
		port = ":443"
	}
	return fill(`<UploadReply><Host>«mp»</Host><URL>«url»/CCM_Incoming/{«id»}</URL></UploadReply>`,
		s.names("url", s.url(x)+port, "id", plainID(request.MessageID))...)
}
