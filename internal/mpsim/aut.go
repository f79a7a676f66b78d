package mpsim

import (
	"net/http"
	"strings"
)

// list is one query of .sms_aut.
type list struct {
	keyword, kind string
	answer        func(s *Site, argument string) reply
}

// lists are the queries that the site knows, keywords in upper case.
var lists = []list{
	{"MPLIST", "mplist", (*Site).mpList},
	{"MPLIST1", "mplist", (*Site).mpListOf},
	{"MPLIST2", "mplist", (*Site).mpList},
	{"MPCERT", "mpcert", (*Site).mpCert},
	{"MPCERT2", "mpcert", (*Site).mpCerts},
	{"SITESIGNCERT", "sitesigncert", (*Site).siteSignCert},
	{"MPKEYINFORMATION", "mpkeyinformation", (*Site).mpKeyInformation},
	{"MPKEYINFORMATIONEX", "mpkeyinformation", (*Site).mpKeyInformation},
	{"SMSTRC", "smstrc", (*Site).trace},
	{"GETCLIENTAFFINITY", "affinity", (*Site).affinity},
}

// sendList answers GET .sms_aut?KEYWORD&argument.
func (s *Site) sendList(x *exchange) {
	keyword, argument, _ := strings.Cut(x.query, "&")
	for _, l := range lists {
		if strings.EqualFold(l.keyword, keyword) {
			x.record.Kind = l.kind
			x.reply = l.answer(s, argument)
			x.record.ReplyText = string(x.reply.body)
			x.record.Reply = rootName(x.record.ReplyText)
			return
		}
	}
	x.reply = page(http.StatusInternalServerError, "", "The query is not known.")
}

func (s *Site) mpList(string) reply { return s.mpListWith("") }

// mpListOf lists the management points of a named site, and says so in each.
func (s *Site) mpListOf(code string) reply {
	if !strings.EqualFold(code, s.cfg.Code) {
		return xmlReply("<MPList></MPList>")
	}
	return s.mpListWith(` SiteCode="` + s.cfg.Code + `"`)
}

func (s *Site) mpListWith(attribute string) reply {
	return xmlReply(fill(`
<MPList><MP Name="«MP»" FQDN="«mp»"`+attribute+`>
  <Version>«build»</Version>`+capabilities+`
</MP></MPList>`, s.names()...))
}

// mpCert and the next have the server certificate as the management point's;
// the signatures are hex without meaning, since their form is not published.
func (s *Site) mpCert(string) reply {
	return xmlReply(fill(`<MPCertificate><Certificate Signature="«signature»">«cert»</Certificate></MPCertificate>`,
		s.certNames()...))
}

func (s *Site) mpCerts(string) reply {
	return xmlReply(fill(`
<MPCertificates>
  <Certificate1 Signature="«signature»">«cert»</Certificate1>
  <Certificate2 Signature="«signature»">«cert»</Certificate2>
</MPCertificates>`, s.certNames()...))
}

func (s *Site) certNames() []string {
	return s.names(
		"cert", upperHex(s.serverCert.Leaf.Raw),
		"rootKey", upperHex(publicKeyBlob(&s.signingKey().PublicKey)),
		"signature", upperHex(noise(256, s.cfg.Seed, "certificate signature")),
		"x86", guid(s.cfg.Seed, "x86"),
		"x64", guid(s.cfg.Seed, "x64"))
}

func (s *Site) siteSignCert(string) reply {
	return xmlReply(fill(`<MPSITESIGNCERT><X509Certificate Signature="«signature»">«siteSigningCert»</X509Certificate></MPSITESIGNCERT>`,
		s.certNames()...))
}

func (s *Site) mpKeyInformation(string) reply {
	return xmlReply(fill(`
<MPKEYINFORMATION>
  <MACHINENAME>«host»</MACHINENAME><FQDN>«mp»</FQDN>
  <SITECODE>«code»</SITECODE><AssignmentSiteCode>«code»</AssignmentSiteCode>
  <TRUSTEDROOTKEY>«rootKey»</TRUSTEDROOTKEY>
  <MPCERTIFICATE Signature="«signature»">«cert»</MPCERTIFICATE>
  <UnknownMachines x86UnknownMachineGUID="«x86»" x64UnknownMachineGUID="«x64»">«host»</UnknownMachines>
</MPKEYINFORMATION>`, s.certNames()...))
}

func (s *Site) trace(string) reply {
	return reply{kind: "text/plain", body: []byte("SMSTRC " + s.cfg.MPName + "\r\n")}
}

func (s *Site) affinity(id string) reply {
	user := ""
	if c, ok := s.clientOf(id); ok {
		user = s.cfg.Code + `\` + strings.ToLower(c.name) + ".user"
	}
	return xmlReply(fill(`<MachineAffinity><Affinity><Type>2</Type><User>«user»</User></Affinity></MachineAffinity>`, "user", user))
}
