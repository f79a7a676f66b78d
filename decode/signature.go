package decode

import "crypto/rsa"

// Key is a public key that somebody is known to sign with.
type Key struct {
	// Origin says where the key came from: "registration", "file client.cer".
	Origin string
	Public *rsa.PublicKey
}

// Signature is one signature of a message and what became of checking it.
type Signature struct{ What string }

// Words says what became of checking it.
func (s Signature) Words() string { return "" }

// signedWhat says what a header claims to be signed.
func (d *decoder) signedWhat() string {
	hook := d.m.Header.Hook(hookAuth)
	if hook == nil {
		return ""
	}
	id, payload, token := "", "", ""
	if hook.Get("PayloadSignature") != "" {
		payload = "payload"
	}
	if hook.Get("ClientIDSignature") != "" {
		id = "client id"
	}
	if hook.Get("Token") != "" {
		token = "token"
	}
	return joined(", ", payload, id, token)
}

func (d *decoder) verify() {}
func (d *decoder) lint()   {}
