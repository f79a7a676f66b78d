package pki

import (
	"crypto/x509"
	"slices"
	"testing"
	"time"
)

// A leaf says where its list is, and the list is signed, empty and in force.
func TestLeafHasRevocationList(t *testing.T) {
	now := time.Now()
	ca, err := NewCA("test", now)
	if err != nil {
		t.Fatal(err)
	}
	m := ca.Minter(nil)
	m.CRL = "http://192.0.2.1:8081/mpproxy.crl"
	leaf, err := m.Leaf([]string{"mp01.lab.example"}, true)
	if err != nil {
		t.Fatal(err)
	}
	if !slices.Equal(leaf.Leaf.CRLDistributionPoints, []string{m.CRL}) {
		t.Errorf("the leaf names %v", leaf.Leaf.CRLDistributionPoints)
	}
	der, err := ca.CRL(now)
	if err != nil {
		t.Fatal(err)
	}
	list, err := x509.ParseRevocationList(der)
	if err != nil {
		t.Fatal(err)
	}
	if err := list.CheckSignatureFrom(ca.Cert); err != nil {
		t.Error(err)
	}
	if len(list.RevokedCertificateEntries) > 0 || !list.ThisUpdate.Before(now) || !list.NextUpdate.After(now) {
		t.Errorf("list %+v", list)
	}
}
