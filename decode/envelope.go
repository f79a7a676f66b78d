package decode

// Envelope is an encrypted payload: what can be told of it without the key.
type Envelope struct {
	// Recipients are those who can open it.
	Recipients []Recipient
	// Content is the algorithm of the content, Size the encrypted bytes.
	Content string
	Size    int64
}

// Recipient is who can open an envelope.
type Recipient struct {
	// Issuer and Serial name the certificate.
	Issuer, Serial string
	// Algorithm is how the content's key is encrypted.
	Algorithm string
}

func parseEnvelope(b []byte) *Envelope { return nil }
