package tlsrecord

// Stack is a guess at the TLS library of a client.
type Stack struct {
	Name    string
	Basis   Basis
	Reasons []string
}

// Basis is how the features of a stack are known.
type Basis string

// The bases of guesses.
const (
	Measured   Basis = "measured"   // from hellos that this package's tests make
	Documented Basis = "documented" // from published hellos
	Inferred   Basis = "inferred"   // from documentation, no hello seen
)

// Stacks guesses the client's TLS library. It is never certain: a program can
// set every feature, and a proxy in between has a hello of its own. The result
// is empty when nothing fits or the hello is cut short.
func (h *ClientHello) Stacks() []Stack { return nil }
