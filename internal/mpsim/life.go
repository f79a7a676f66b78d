package mpsim

import (
	"context"
	"errors"
	"fmt"
	"net/url"
)

// step is a part of an agent's life.
type step struct {
	name string
	// once is done in the first life only; registered needs a client id.
	once, registered bool
	live             func(*Agent, context.Context) error
}

// life is what an agent does, in the order in which a management point sees it.
var life = []step{
	{name: "mplist", live: (*Agent).fetchMPList},
	{name: "mpkeyinformation", once: true, live: (*Agent).fetchKeys},
	{name: "sitesigncert", once: true, live: (*Agent).fetchSiteSigningCertificate},
	{name: "site-information", once: true, live: (*Agent).askSiteInformation},
	{name: "assigned-site", once: true, live: (*Agent).askAssignedSite},
	{name: "enumerate-mp", live: (*Agent).askManagementPoints},
	{name: "local-mp", once: true, live: (*Agent).askLocalManagementPoints},
	{name: "fsp", once: true, live: (*Agent).tellFallbackStatus},
	{name: "registration", once: true, live: (*Agent).register},
	{name: "policy", registered: true, live: (*Agent).requestPolicy},
	{name: "ci", once: true, live: (*Agent).fetchItem},
	{name: "ddr", registered: true, live: (*Agent).sendHeartbeat},
	{name: "status", registered: true, live: (*Agent).sendStatus},
	{name: "state", registered: true, live: (*Agent).sendStates},
	{name: "content", live: (*Agent).download},
	{name: "wsus-location", live: (*Agent).askWSUS},
	{name: "hinv", registered: true, live: (*Agent).sendHardware},
	{name: "sinv", registered: true, live: (*Agent).sendSoftware},
	{name: "upload", registered: true, live: (*Agent).uploadSoftware},
	{name: "filecoll", registered: true, live: (*Agent).sendFiles},
	{name: "metering", registered: true, live: (*Agent).sendMetering},
	{name: "idmif", registered: true, live: (*Agent).sendIDMIF},
	{name: "peer-dp", registered: true, live: (*Agent).sendPeerStatus},
	{name: "app-state", registered: true, live: (*Agent).askAppState},
	{name: "drivers", registered: true, live: (*Agent).askDrivers},
	{name: "client-id", registered: true, live: (*Agent).askClientID},
	{name: "affinity", registered: true, live: (*Agent).fetchAffinity},
	{name: "policy-delta", registered: true, live: (*Agent).requestPolicy},
}

// Live lives one life: everything that an agent does in a week, at once. The
// first one registers; later ones send deltas. A step that goes wrong does not
// keep the agent from the next one, except when the management point cannot be
// reached at all. The error has one line for each such step; nil means that
// every answer was as a healthy site gives it.
func (a *Agent) Live(ctx context.Context) error {
	var failures []error
	for _, s := range life {
		if s.once && a.lives > 0 && a.smsid != "" || s.registered && a.smsid == "" {
			continue
		}
		err := s.live(a, ctx)
		if ctx.Err() != nil {
			return errors.Join(append(failures, ctx.Err())...)
		}
		if err != nil {
			failures = append(failures, fmt.Errorf("%s, %s: %w", a.cfg.Name, s.name, err))
			a.fail(s.name)
		}
		if errors.Is(err, ErrUnreachable) {
			break
		}
	}
	a.lives++
	a.mu.Lock()
	defer a.mu.Unlock()
	a.account.Lives++
	return errors.Join(failures...)
}

func (a *Agent) fail(step string) {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.account.Failures[step]++
}

// pathOf is the path and query of a URL that the site sent: the host is the
// one that the agent is connected to.
func pathOf(text string) (string, error) {
	u, err := url.Parse(text)
	if err != nil {
		return "", fmt.Errorf("a URL of the management point: %w", err)
	}
	if u.RawQuery == "" {
		return u.Path, nil
	}
	return u.Path + "?" + u.RawQuery, nil
}
