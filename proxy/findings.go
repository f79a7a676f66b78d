package proxy

import (
	"mpproxy/traffic"
)

// What the proxy itself finds: places where the wire is odd or a peer is not
// there. Why a peer is not there is for a diagnosis to say.
var (
	framingLost = traffic.FindingKind{
		Code: "http-framing-lost", Severity: traffic.Error,
		Title:  "The end of this message cannot be known",
		Why:    "Conflicting lengths are read in different ways by different servers: this is how requests are smuggled. From here on the connection is passed as raw bytes.",
		Remedy: "Send one Content-Length, or Transfer-Encoding: chunked, never both.",
	}
	notHTTP = traffic.FindingKind{
		Code: "http-not-http", Severity: traffic.Warning,
		Title:  "These bytes are not HTTP",
		Why:    "They were passed both ways and recorded, but not decoded.",
		Remedy: "Look at the first bytes: another protocol on this port, or TLS on a plain listener.",
	}
	headTooLong = traffic.FindingKind{
		Code: "http-head-too-long", Severity: traffic.Error,
		Title:  "A head of more than 64 KiB",
		Why:    "Management points refuse heads above 16 KiB. The connection is passed as raw bytes from here on.",
		Remedy: "Look for a Kerberos ticket or a token that grew too large.",
	}
	oddHead = traffic.FindingKind{
		Code: "http-odd-head", Severity: traffic.Warning,
		Title:  "A strict server would refuse this head",
		Why:    "It was passed as it came. http.sys is strict and answers such a head with 400.",
		Remedy: "Correct the sender.",
	}
	cutShort = traffic.FindingKind{
		Code: "http-cut-short", Severity: traffic.Error,
		Title:  "The message ends before its end",
		Why:    "The side that was sending went away in the middle of it.",
		Remedy: "See which leg ended first, and how.",
	}
	noReply = traffic.FindingKind{
		Code: "upstream-no-reply", Severity: traffic.Error,
		Title:  "The management point ended the connection without an answer",
		Why:    "It closed or reset the connection while a request was waiting.",
		Remedy: "Look at the System event log (http.sys, Schannel) and the IIS logs of the management point.",
	}
	notAwaited = traffic.FindingKind{
		Code: "http-not-awaited", Severity: traffic.Warning,
		Title:  "The agent did not wait for the answer",
		Why:    "It ended the connection while its request was with the management point, which may have done the work all the same.",
		Remedy: "See how long it waited: management points that are slow make agents give up (12002).",
	}
	unasked = traffic.FindingKind{
		Code: "http-unasked-reply", Severity: traffic.Warning,
		Title:  "Bytes from the management point that no request asked for",
		Why:    "They were passed on. A server that closes an idle connection may say 408 first; anything else is a broken server.",
		Remedy: "See the bytes.",
	}
	upstreamUnreachable = traffic.FindingKind{
		Code: "upstream-unreachable", Severity: traffic.Error,
		Title:  "The management point cannot be reached",
		Why:    "The agent was answered with 502 by mpproxy.",
		Remedy: "Check name, port and firewall from this machine.",
		Moot:   []string{"upstream-no-reply"},
	}
	upstreamTLS = traffic.FindingKind{
		Code: "upstream-tls-failed", Severity: traffic.Error,
		Title:  "TLS with the management point failed",
		Why:    "The agent was answered with 502 by mpproxy.",
		Remedy: "See the handshake of the upstream leg; --upstream-ca names the authority to trust.",
		Moot:   []string{"upstream-no-reply"},
	}
	agentTLS = traffic.FindingKind{
		Code: "tls-agent-handshake-failed", Severity: traffic.Error,
		Title:  "TLS with the agent failed",
		Why:    "No request could be sent on this connection.",
		Remedy: "See the handshake of the agent leg. Most often the agent does not trust the authority of the certificate that it was shown, mpproxy's or, where TLS is passed through, the management point's: import it into the computer's root store.",
	}
	upstreamUnverified = traffic.FindingKind{
		Code: "upstream-unverified", Severity: traffic.Warning,
		Title:  "The management point's certificate was not verified",
		Why:    "mpproxy runs with --upstream-insecure: anybody could stand in for the management point.",
		Remedy: "Use --upstream-ca with the site's root certificate instead.",
	}
	bridged = traffic.FindingKind{
		Code: "tls-bridged", Severity: traffic.Warning,
		Title:  "HTTP on one side, HTTPS on the other",
		Why:    "Agents and management point believe in different site modes; the vendor calls such bridges unsupported.",
		Remedy: "Listen with the scheme of the management point: --listen https://… for an https upstream, http://… for an http one.",
	}
	nameHidden = traffic.FindingKind{
		Code: "tls-name-not-in-mp-certificate", Severity: traffic.Warning,
		Title:  "The name that the agent uses is not in the management point's certificate",
		Why:    "Through mpproxy it works, as mpproxy's certificate has the name; without it the agent would refuse.",
		Remedy: "Add the name to the subject alternative names of the management point's certificate, or let the agent use the right name.",
	}
	passedThrough = traffic.FindingKind{
		Code: "tls-passed-through", Severity: traffic.Info,
		Title:  "TLS was passed through unopened",
		Why:    "This agent has refused mpproxy's certificate before, so it speaks with the management point itself.",
		Remedy: "Let the agent's computer trust mpproxy's authority (mpproxy ca install-hint) to see its messages.",
	}
	noDestination = traffic.FindingKind{
		Code: "http-no-destination", Severity: traffic.Warning,
		Title:  "A transparent listener was connected to without a redirect",
		Why:    "Nothing says for which management point the connection is.",
		Remedy: "Redirect agents' connections with iptables (docs/transparent.md), or use --mode reverse.",
	}
	oldTLS = traffic.FindingKind{
		Code: "tls-old", Severity: traffic.Warning,
		Title:  "A leg speaks old TLS",
		Why:    "It works only because of the legacy profile: a modern peer refuses such a version or cipher.",
		Remedy: "Enable TLS 1.2 with ECDHE ciphers on that side: on old Windows the WinHTTP update and DefaultSecureProtocols.",
	}
	ruleTooLarge = traffic.FindingKind{
		Code: "rule-body-too-large", Severity: traffic.Warning,
		Title:  "Too large for a rule to read",
		Why:    "A rule asks for the text, but the body is above 16 MiB: it was passed unchanged.",
		Remedy: "Let the rule ask for fields of the head only.",
	}
	doorRefused = traffic.FindingKind{
		Code: "http-proxy-refused", Severity: traffic.Warning,
		Title:  "mpproxy did not let this request through",
		Why:    "The forward listener could not make out its target, or asks for a name and password. Many programs come without credentials first, and again with them.",
		Remedy: "Use absolute URLs or CONNECT, and the credentials of --proxy-auth-file; agents that take mpproxy for their management point want --mode reverse.",
	}
)

// FindingKinds lists every kind that the proxy reports.
var FindingKinds = []*traffic.FindingKind{
	&framingLost, &notHTTP, &headTooLong, &oddHead, &cutShort, &noReply, &notAwaited, &unasked,
	&upstreamUnreachable, &upstreamTLS, &agentTLS, &upstreamUnverified, &bridged, &nameHidden, &passedThrough, &noDestination, &oldTLS,
	&ruleTooLarge, &doorRefused,
}

func found(k *traffic.FindingKind, dir traffic.Dir, evidence string) traffic.Finding {
	return traffic.Finding{Kind: k, Dir: dir, Offset: -1, Evidence: evidence}
}

func foundAt(k *traffic.FindingKind, dir traffic.Dir, offset int64, evidence string) traffic.Finding {
	return traffic.Finding{Kind: k, Dir: dir, Layer: "wire", Offset: offset, Evidence: evidence}
}
