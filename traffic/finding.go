package traffic

// Severity says how bad a finding is. Stored as this number, shown as one
// letter.
type Severity int8

// The severities, from "nothing odd" to "this does not work".
const (
	None    Severity = 0
	Info    Severity = 1
	Warning Severity = 2
	Error   Severity = 3
)

// Letter is the severity as the screen's first column shows it.
func (s Severity) Letter() string {
	switch s {
	case Info:
		return "i"
	case Warning:
		return "W"
	case Error:
		return "E"
	}
	return " "
}

// String is the severity as a word: "error", "warning", "info", "".
func (s Severity) String() string {
	switch s {
	case Info:
		return "info"
	case Warning:
		return "warning"
	case Error:
		return "error"
	}
	return ""
}

// FindingKind is the static record behind a finding: one row of a table, made
// once and never changed.
type FindingKind struct {
	// Code is a slug with its area first: "msg-no-terminator".
	Code string
	// Ref is the number in the reference: "L101", "M07". May be empty.
	Ref      string
	Severity Severity
	// Title says in one sentence what was found.
	Title string
	// Why says what it leads to, Remedy what to do about it.
	Why, Remedy string
	// Inferred marks a rule that rests on our conclusion, not on a document.
	Inferred bool
	// Moot lists the codes of weaker findings that this one explains.
	Moot []string
}

// Finding is one occurrence of a kind, with its evidence.
type Finding struct {
	Kind *FindingKind
	// Dir is the message it is about; for a connection's finding it is Both.
	Dir Dir
	// Leg is the side it is about, or NoLeg.
	Leg Side
	// Layer names what Offset counts in: "wire", "head", "header", "payload",
	// "text". Empty when Offset means nothing.
	Layer string
	// Offset is in bytes of the layer ("text": bytes of its UTF-8 form), -1
	// when there is no place to point at.
	Offset int64
	// Evidence says what was found and what was expected, in one line.
	Evidence string
	// Sure says how certain it is; empty means certain.
	Sure string
	// Who is the side that has to act: "agent", "proxy", "mp", "network", "".
	Who string
}

// Worst is the highest severity among the findings.
func Worst(fs []Finding) Severity {
	worst := None
	for _, f := range fs {
		worst = max(worst, f.Kind.Severity)
	}
	return worst
}
