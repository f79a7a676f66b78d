package tlsrecord

import "fmt"

// nameOr is a number's name in a table, or the number in hex.
func nameOr[K ~uint8 | ~uint16 | ~uint32](table map[K]string, k K, digits int) string {
	if name, ok := table[k]; ok {
		return name
	}
	return hexName(uint64(k), digits)
}

func hexName(v uint64, digits int) string { return fmt.Sprintf("0x%0*x", digits, v) }

// Version is a protocol version's number.
type Version uint16

// The versions.
const (
	SSL20 Version = 0x0002
	SSL30 Version = 0x0300
	TLS10 Version = 0x0301
	TLS11 Version = 0x0302
	TLS12 Version = 0x0303
	TLS13 Version = 0x0304
)

// String is the version's name, or 0xNNNN.
func (v Version) String() string {
	if v>>8 == 0x7f {
		return fmt.Sprintf("TLS 1.3 draft %d", uint8(v))
	}
	return nameOr(versions, v, 4)
}

var versions = map[Version]string{
	SSL20: "SSL 2.0",
	SSL30: "SSL 3.0",
	TLS10: "TLS 1.0",
	TLS11: "TLS 1.1",
	TLS12: "TLS 1.2",
	TLS13: "TLS 1.3",
}

// ContentType is the type of a record.
type ContentType uint8

// The types of records.
const (
	ContentChangeCipherSpec ContentType = 20
	ContentAlert            ContentType = 21
	ContentHandshake        ContentType = 22
	ContentApplicationData  ContentType = 23
	ContentHeartbeat        ContentType = 24
)

// String is the type's name, or 0xNN.
func (t ContentType) String() string { return nameOr(contentTypes, t, 2) }

var contentTypes = map[ContentType]string{
	ContentChangeCipherSpec: "ChangeCipherSpec",
	ContentAlert:            "alert",
	ContentHandshake:        "handshake",
	ContentApplicationData:  "application data",
	ContentHeartbeat:        "heartbeat",
}

// HandshakeType is the type of a handshake message.
type HandshakeType uint8

// The types of handshake messages.
const (
	TypeHelloRequest          HandshakeType = 0
	TypeClientHello           HandshakeType = 1
	TypeServerHello           HandshakeType = 2
	TypeHelloVerifyRequest    HandshakeType = 3
	TypeNewSessionTicket      HandshakeType = 4
	TypeEndOfEarlyData        HandshakeType = 5
	TypeHelloRetryRequest     HandshakeType = 6
	TypeEncryptedExtensions   HandshakeType = 8
	TypeCertificate           HandshakeType = 11
	TypeServerKeyExchange     HandshakeType = 12
	TypeCertificateRequest    HandshakeType = 13
	TypeServerHelloDone       HandshakeType = 14
	TypeCertificateVerify     HandshakeType = 15
	TypeClientKeyExchange     HandshakeType = 16
	TypeFinished              HandshakeType = 20
	TypeCertificateURL        HandshakeType = 21
	TypeCertificateStatus     HandshakeType = 22
	TypeSupplementalData      HandshakeType = 23
	TypeKeyUpdate             HandshakeType = 24
	TypeCompressedCertificate HandshakeType = 25
	TypeNextProtocol          HandshakeType = 67
	TypeMessageHash           HandshakeType = 254
)

// String is the type's name, or 0xNN.
func (t HandshakeType) String() string { return nameOr(handshakeTypes, t, 2) }

var handshakeTypes = map[HandshakeType]string{
	TypeHelloRequest:          "HelloRequest",
	TypeClientHello:           "ClientHello",
	TypeServerHello:           "ServerHello",
	TypeHelloVerifyRequest:    "HelloVerifyRequest",
	TypeNewSessionTicket:      "NewSessionTicket",
	TypeEndOfEarlyData:        "EndOfEarlyData",
	TypeHelloRetryRequest:     "HelloRetryRequest", // only in drafts
	TypeEncryptedExtensions:   "EncryptedExtensions",
	TypeCertificate:           "Certificate",
	TypeServerKeyExchange:     "ServerKeyExchange",
	TypeCertificateRequest:    "CertificateRequest",
	TypeServerHelloDone:       "ServerHelloDone",
	TypeCertificateVerify:     "CertificateVerify",
	TypeClientKeyExchange:     "ClientKeyExchange",
	TypeFinished:              "Finished",
	TypeCertificateURL:        "CertificateURL",
	TypeCertificateStatus:     "CertificateStatus",
	TypeSupplementalData:      "SupplementalData",
	TypeKeyUpdate:             "KeyUpdate",
	TypeCompressedCertificate: "CompressedCertificate",
	TypeNextProtocol:          "NextProtocol",
	TypeMessageHash:           "MessageHash",
}

// ExtensionType is the type of a hello's extension.
type ExtensionType uint16

// The extensions that this package looks into or looks for.
const (
	ExtServerName             ExtensionType = 0
	ExtStatusRequest          ExtensionType = 5
	ExtSupportedGroups        ExtensionType = 10
	ExtPointFormats           ExtensionType = 11
	ExtSignatureAlgorithms    ExtensionType = 13
	ExtHeartbeat              ExtensionType = 15
	ExtALPN                   ExtensionType = 16
	ExtStatusRequestV2        ExtensionType = 17
	ExtSCT                    ExtensionType = 18
	ExtPadding                ExtensionType = 21
	ExtEncryptThenMAC         ExtensionType = 22
	ExtExtendedMasterSecret   ExtensionType = 23
	ExtCompressCertificate    ExtensionType = 27
	ExtRecordSizeLimit        ExtensionType = 28
	ExtDelegatedCredential    ExtensionType = 34
	ExtSessionTicket          ExtensionType = 35
	ExtPreSharedKey           ExtensionType = 41
	ExtEarlyData              ExtensionType = 42
	ExtSupportedVersions      ExtensionType = 43
	ExtCookie                 ExtensionType = 44
	ExtPSKModes               ExtensionType = 45
	ExtAuthorities            ExtensionType = 47
	ExtPostHandshakeAuth      ExtensionType = 49
	ExtSignatureAlgorithmsCrt ExtensionType = 50
	ExtKeyShare               ExtensionType = 51
	ExtEncryptedClientHello   ExtensionType = 0xfe0d
	ExtRenegotiationInfo      ExtensionType = 0xff01
)

// String is the extension's name, or 0xNNNN.
func (t ExtensionType) String() string {
	if isGREASE(int(t)) {
		return "GREASE " + hexName(uint64(t), 4)
	}
	return nameOr(extensionTypes, t, 4)
}

// extensionTypes are the registered ones (IANA TLS ExtensionType Values), and
// drafts that are seen.
var extensionTypes = map[ExtensionType]string{
	0:      "server_name",
	1:      "max_fragment_length",
	2:      "client_certificate_url",
	3:      "trusted_ca_keys",
	4:      "truncated_hmac",
	5:      "status_request",
	6:      "user_mapping",
	7:      "client_authz",
	8:      "server_authz",
	9:      "cert_type",
	10:     "supported_groups",
	11:     "ec_point_formats",
	12:     "srp",
	13:     "signature_algorithms",
	14:     "use_srtp",
	15:     "heartbeat",
	16:     "application_layer_protocol_negotiation",
	17:     "status_request_v2",
	18:     "signed_certificate_timestamp",
	19:     "client_certificate_type",
	20:     "server_certificate_type",
	21:     "padding",
	22:     "encrypt_then_mac",
	23:     "extended_master_secret",
	24:     "token_binding",
	25:     "cached_info",
	26:     "tls_lts",
	27:     "compress_certificate",
	28:     "record_size_limit",
	29:     "pwd_protect",
	30:     "pwd_clear",
	31:     "password_salt",
	32:     "ticket_pinning",
	33:     "tls_cert_with_extern_psk",
	34:     "delegated_credential",
	35:     "session_ticket",
	41:     "pre_shared_key",
	42:     "early_data",
	43:     "supported_versions",
	44:     "cookie",
	45:     "psk_key_exchange_modes",
	47:     "certificate_authorities",
	48:     "oid_filters",
	49:     "post_handshake_auth",
	50:     "signature_algorithms_cert",
	51:     "key_share",
	52:     "transparency_info",
	53:     "connection_id_deprecated",
	54:     "connection_id",
	55:     "external_id_hash",
	56:     "external_session_id",
	57:     "quic_transport_parameters",
	58:     "ticket_request",
	59:     "dnssec_chain",
	60:     "sequence_number_encryption_algorithms",
	61:     "rrc",
	62:     "tls_flags",
	13172:  "next_protocol_negotiation",
	17513:  "application_settings_old",
	17613:  "application_settings",
	30031:  "channel_id_old",
	30032:  "channel_id",
	0xfd00: "ech_outer_extensions",
	0xfe0d: "encrypted_client_hello",
	0xff01: "renegotiation_info",
	0xffa5: "quic_transport_parameters_draft",
}

// Group is a group for key agreement: a curve, a field, or a hybrid.
type Group uint16

// The groups that stacks are told apart by.
const (
	GroupP256           Group = 23
	GroupP384           Group = 24
	GroupP521           Group = 25
	GroupX25519         Group = 29
	GroupX448           Group = 30
	GroupFFDHE2048      Group = 256
	GroupP256MLKEM768   Group = 4587
	GroupX25519MLKEM768 Group = 4588
	GroupX25519Kyber    Group = 25497
)

// String is the group's name, or 0xNNNN.
func (g Group) String() string { return nameOr(groups, g, 4) }

// groups are the registered ones (IANA TLS Supported Groups).
var groups = map[Group]string{
	1:      "sect163k1",
	2:      "sect163r1",
	3:      "sect163r2",
	4:      "sect193r1",
	5:      "sect193r2",
	6:      "sect233k1",
	7:      "sect233r1",
	8:      "sect239k1",
	9:      "sect283k1",
	10:     "sect283r1",
	11:     "sect409k1",
	12:     "sect409r1",
	13:     "sect571k1",
	14:     "sect571r1",
	15:     "secp160k1",
	16:     "secp160r1",
	17:     "secp160r2",
	18:     "secp192k1",
	19:     "secp192r1",
	20:     "secp224k1",
	21:     "secp224r1",
	22:     "secp256k1",
	23:     "secp256r1",
	24:     "secp384r1",
	25:     "secp521r1",
	26:     "brainpoolP256r1",
	27:     "brainpoolP384r1",
	28:     "brainpoolP512r1",
	29:     "x25519",
	30:     "x448",
	31:     "brainpoolP256r1tls13",
	32:     "brainpoolP384r1tls13",
	33:     "brainpoolP512r1tls13",
	34:     "GC256A",
	35:     "GC256B",
	36:     "GC256C",
	37:     "GC256D",
	38:     "GC512A",
	39:     "GC512B",
	40:     "GC512C",
	41:     "curveSM2",
	256:    "ffdhe2048",
	257:    "ffdhe3072",
	258:    "ffdhe4096",
	259:    "ffdhe6144",
	260:    "ffdhe8192",
	512:    "MLKEM512",
	513:    "MLKEM768",
	514:    "MLKEM1024",
	4587:   "SecP256r1MLKEM768",
	4588:   "X25519MLKEM768",
	4589:   "SecP384r1MLKEM1024",
	25497:  "X25519Kyber768Draft00",
	25498:  "SecP256r1Kyber768Draft00",
	0xff01: "arbitrary_explicit_prime_curves",
	0xff02: "arbitrary_explicit_char2_curves",
}

// SignatureScheme is a signature algorithm with its hash.
type SignatureScheme uint16

// String is the scheme's name, or 0xNNNN. Those of TLS 1.2 that TLS 1.3 dropped
// are named in the same way: dsa_sha1.
func (s SignatureScheme) String() string {
	if name, ok := signatureSchemes[s]; ok {
		return name
	}
	hash, signature := hashes[uint8(s>>8)], signatures[uint8(s)]
	if hash != "" && signature != "" {
		return signature + "_" + hash
	}
	return hexName(uint64(s), 4)
}

// SHA1 is true for the schemes of TLS 1.2 that sign a SHA-1.
func (s SignatureScheme) SHA1() bool { return s>>8 == 2 }

// signatureSchemes are the registered ones (IANA TLS SignatureScheme).
var signatureSchemes = map[SignatureScheme]string{
	0x0401: "rsa_pkcs1_sha256",
	0x0501: "rsa_pkcs1_sha384",
	0x0601: "rsa_pkcs1_sha512",
	0x0403: "ecdsa_secp256r1_sha256",
	0x0503: "ecdsa_secp384r1_sha384",
	0x0603: "ecdsa_secp521r1_sha512",
	0x0420: "rsa_pkcs1_sha256_legacy",
	0x0520: "rsa_pkcs1_sha384_legacy",
	0x0620: "rsa_pkcs1_sha512_legacy",
	0x0704: "eccsi_sha256",
	0x0705: "iso_ibs1",
	0x0706: "iso_ibs2",
	0x0707: "iso_chinese_ibs",
	0x0708: "sm2sig_sm3",
	0x0709: "gostr34102012_256a",
	0x070a: "gostr34102012_256b",
	0x070b: "gostr34102012_256c",
	0x070c: "gostr34102012_256d",
	0x070d: "gostr34102012_512a",
	0x070e: "gostr34102012_512b",
	0x070f: "gostr34102012_512c",
	0x0804: "rsa_pss_rsae_sha256",
	0x0805: "rsa_pss_rsae_sha384",
	0x0806: "rsa_pss_rsae_sha512",
	0x0807: "ed25519",
	0x0808: "ed448",
	0x0809: "rsa_pss_pss_sha256",
	0x080a: "rsa_pss_pss_sha384",
	0x080b: "rsa_pss_pss_sha512",
	0x081a: "ecdsa_brainpoolP256r1tls13_sha256",
	0x081b: "ecdsa_brainpoolP384r1tls13_sha384",
	0x081c: "ecdsa_brainpoolP512r1tls13_sha512",
	0x0904: "mldsa44",
	0x0905: "mldsa65",
	0x0906: "mldsa87",
}

// hashes and signatures are the two bytes of a TLS 1.2 scheme (RFC 5246, 7.4.1.4.1).
var (
	hashes     = map[uint8]string{1: "md5", 2: "sha1", 3: "sha224", 4: "sha256", 5: "sha384", 6: "sha512"}
	signatures = map[uint8]string{1: "rsa_pkcs1", 2: "dsa", 3: "ecdsa"}
)

// CertificateType is a kind of client certificate that a server takes.
type CertificateType uint8

// String is the type's name, or 0xNN.
func (t CertificateType) String() string { return nameOr(certificateTypes, t, 2) }

// certificateTypes are the registered ones (IANA TLS ClientCertificateType
// Identifiers).
var certificateTypes = map[CertificateType]string{
	1:  "rsa_sign",
	2:  "dss_sign",
	3:  "rsa_fixed_dh",
	4:  "dss_fixed_dh",
	5:  "rsa_ephemeral_dh",
	6:  "dss_ephemeral_dh",
	20: "fortezza_dms",
	64: "ecdsa_sign",
	65: "rsa_fixed_ecdh",
	66: "ecdsa_fixed_ecdh",
	67: "gost_sign256",
	68: "gost_sign512",
}

// SSL2Suite is a cipher kind of SSL 2.0, of 3 bytes.
type SSL2Suite uint32

// String is the kind's name, or 0xNNNNNN.
func (s SSL2Suite) String() string { return nameOr(ssl2Suites, s, 6) }

var ssl2Suites = map[SSL2Suite]string{
	0x010080: "SSL2_RC4_128_WITH_MD5",
	0x020080: "SSL2_RC4_128_EXPORT40_WITH_MD5",
	0x030080: "SSL2_RC2_128_CBC_WITH_MD5",
	0x040080: "SSL2_RC2_128_CBC_EXPORT40_WITH_MD5",
	0x050080: "SSL2_IDEA_128_CBC_WITH_MD5",
	0x060040: "SSL2_DES_64_CBC_WITH_MD5",
	0x0700c0: "SSL2_DES_192_EDE3_CBC_WITH_MD5",
	0x080080: "SSL2_RC4_64_WITH_MD5",
}
