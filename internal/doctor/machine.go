package doctor

import (
	"context"
	"crypto/x509"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"time"

	"mpproxy/internal/pki"
	"mpproxy/internal/revocation"
	"mpproxy/traffic"
)

// MachineOptions say where things are on this machine.
type MachineOptions struct {
	// CA is the folder of the authority, Dirs are folders that have to be
	// writable.
	CA   string
	Dirs []string
	// Listen are addresses that the listeners would take.
	Listen []string
	// CRL is where mpproxy serves its own list; empty for nowhere.
	CRL string
	// Roots are the system's; nil reads them.
	Roots *x509.CertPool
	Now   time.Time
}

// minSpace is how much room there should be for captures, in bytes.
const minSpace = 1 << 30

// Machine checks this machine.
func Machine(ctx context.Context, o MachineOptions) []Line {
	var l lines
	ca := l.authority(o)
	l.clock(o, ca)
	for _, address := range o.Listen {
		l.port(ctx, address)
	}
	for _, dir := range o.Dirs {
		l.folder(dir)
	}
	if o.CRL != "" {
		l.ownList(ctx, o, ca)
	} else if ca != nil {
		l.add(Note, "own list", "certificates are made without a revocation list unless mpproxy run has --crl; agents that insist on one refuse them")
	}
	return l
}

// authority checks the authority's files; nil when there is none.
func (l *lines) authority(o MachineOptions) *pki.CA {
	certFile, keyFile := filepath.Join(o.CA, pki.CAFile), filepath.Join(o.CA, pki.CAKeyFile)
	if _, err := os.Stat(certFile); os.IsNotExist(err) {
		l.add(Note, "authority", "none yet in %s: it is made on first use (mpproxy ca init)", o.CA)
		return nil
	}
	ca, err := pki.LoadCA(certFile, keyFile)
	if err != nil {
		l.add(Bad, "authority", "%v", err)
		return nil
	}
	inForce := !o.Now.Before(ca.Cert.NotBefore) && !o.Now.After(ca.Cert.NotAfter)
	l.add(goodIf(inForce), "authority", "%s, %s to %s; its key fits", ca.Cert.Subject, day(ca.Cert.NotBefore), day(ca.Cert.NotAfter))
	for _, file := range []string{o.CA, keyFile} {
		if pki.ReadableByOthers(file) {
			l.add(Bad, "authority", "%s can be read by others: whoever has the key can stand in for any server", file)
		} else {
			l.add(Good, "authority", "%s is for you alone", file)
		}
	}
	l.trusted(o, ca)
	return ca
}

// trusted says whether this machine's own programs trust the authority.
func (l *lines) trusted(o MachineOptions, ca *pki.CA) {
	_, err := ca.Cert.Verify(x509.VerifyOptions{Roots: o.Roots, CurrentTime: o.Now, KeyUsages: []x509.ExtKeyUsage{x509.ExtKeyUsageAny}})
	if err == nil {
		l.add(Good, "trust", "this machine trusts the authority")
		return
	}
	l.add(Note, "trust", "this machine does not trust the authority; that matters only for agents on it (mpproxy ca install-hint)")
}

// clock holds the clock against what has certainly been: files and certificates
// are not from the future.
func (l *lines) clock(o MachineOptions, ca *pki.CA) {
	latest, from := time.Time{}, ""
	look := func(t time.Time, what string) {
		if t.After(latest) {
			latest, from = t, what
		}
	}
	if ca != nil {
		look(ca.Cert.NotBefore, "the authority's certificate")
	}
	if program, err := os.Executable(); err == nil {
		if info, err := os.Stat(program); err == nil {
			look(info.ModTime(), program)
		}
	}
	for _, dir := range append(o.Dirs, o.CA) {
		if info, err := os.Stat(dir); err == nil {
			look(info.ModTime(), dir)
		}
	}
	if latest.After(o.Now.Add(time.Minute)) {
		l.add(Bad, "clock", "it is %s here, and %s is from %s: the clock is behind", day(o.Now), from, day(latest))
		return
	}
	l.add(Good, "clock", "%s; nothing looked at is from the future", day(o.Now))
}

// port says whether a listener could listen.
func (l *lines) port(ctx context.Context, address string) {
	listener, err := new(net.ListenConfig).Listen(ctx, "tcp", address)
	if err != nil {
		l.add(Bad, "port", "%s: %v", address, err)
		return
	}
	if err := listener.Close(); err != nil {
		l.add(Bad, "port", "%s: %v", address, err)
		return
	}
	l.add(Good, "port", "%s is free", address)
}

// folder says whether a folder, or what it would be made in, is writable, and
// how much room there is.
func (l *lines) folder(dir string) {
	there := dir
	for {
		if info, err := os.Stat(there); err == nil && info.IsDir() {
			break
		}
		parent := filepath.Dir(there)
		if parent == there {
			l.add(Bad, "folder", "%s cannot be made", dir)
			return
		}
		there = parent
	}
	f, err := os.CreateTemp(there, ".mpproxy-doctor-*")
	if err != nil {
		l.add(Bad, "folder", "%s is not writable: %v", there, err)
		return
	}
	f.Close()
	if err := os.Remove(f.Name()); err != nil {
		l.add(Bad, "folder", "%v", err)
		return
	}
	text := dir + " is writable"
	if there != dir {
		text = dir + " can be made"
	}
	free, err := freeSpace(there)
	if err != nil {
		l.add(Note, "folder", "%s; free space: %v", text, err)
		return
	}
	l.add(goodIf(free >= minSpace), "folder", "%s, %s free", text, size(free))
}

func size(n uint64) string {
	if n < 1<<30 {
		return fmt.Sprintf("%d MiB", n>>20)
	}
	return fmt.Sprintf("%.1f GiB", float64(n)/(1<<30))
}

// ownList fetches the list that mpproxy serves, as an agent would.
func (l *lines) ownList(ctx context.Context, o MachineOptions, ca *pki.CA) {
	if ca == nil {
		l.add(Bad, "own list", "%s: there is no authority yet whose list that could be", o.CRL)
		return
	}
	m := ca.Minter(func() time.Time { return o.Now })
	m.CRL = o.CRL
	leaf, err := m.Leaf([]string{"doctor.invalid"}, true)
	if err != nil {
		l.add(Bad, "own list", "%v", err)
		return
	}
	f := revocation.New(revocation.Options{Own: []string{o.CRL}, Now: func() time.Time { return o.Now }})
	for _, r := range f.Chain(ctx, leaf.Certificate[:1], []*x509.Certificate{ca.Cert}) {
		switch {
		case r.Result != traffic.RevocationGood:
			l.add(Bad, "own list", "%s: %s", o.CRL, r.Err)
		case r.Signature != "good":
			l.add(Bad, "own list", "%s: it is not signed by this authority", o.CRL)
		case r.NextUpdate.Before(o.Now):
			l.add(Bad, "own list", "%s: it expired on %s", o.CRL, day(r.NextUpdate))
		default:
			l.add(Good, "own list", "%s: reachable from here, good until %s", o.CRL, day(r.NextUpdate))
		}
	}
}
