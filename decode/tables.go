package decode

import (
	_ "embed"
	"encoding/csv"
	"strconv"
	"strings"
	"sync"
)

// The tables come from public lists of what the numbers mean; the labels are
// in our own words. Each is read when it is first asked for.
var (
	//go:embed tables/state_topics.csv
	stateTopicsCSV string
	//go:embed tables/state_ids.csv
	stateIDsCSV string
	//go:embed tables/status_event_classes.csv
	eventClassesCSV string
	//go:embed tables/status_messages.csv
	statusMessagesCSV string
	//go:embed tables/iis_substatus.csv
	iisSubstatusCSV string
	//go:embed tables/errors.csv
	errorsCSV string
)

// readTable calls row for each line of a table with a function that gives the
// fields by their names.
func readTable(table string, row func(field func(name string) string)) {
	lines, err := csv.NewReader(strings.NewReader(table)).ReadAll()
	if err != nil {
		panic("decode: embedded table: " + err.Error())
	}
	columns := make(map[string]int)
	for i, name := range lines[0] {
		columns[name] = i
	}
	for _, line := range lines[1:] {
		row(func(name string) string {
			i, ok := columns[name]
			if !ok {
				panic("decode: embedded table has no column " + name)
			}
			return line[i]
		})
	}
}

// stateTopic is a family of state messages.
type stateTopic struct{ Name, Area string }

var stateTopics = sync.OnceValue(func() map[string]stateTopic {
	topics := make(map[string]stateTopic)
	readTable(stateTopicsCSV, func(field func(string) string) {
		topics[field("topic_type")] = stateTopic{field("name"), field("area")}
	})
	return topics
})

// stateKey is a topic type and a state id, as written.
type stateKey struct{ topic, state string }

var stateLabels = sync.OnceValue(func() map[stateKey]string {
	labels := make(map[stateKey]string)
	readTable(stateIDsCSV, func(field func(string) string) {
		labels[stateKey{field("topic_type"), field("state_id")}] = field("label")
	})
	return labels
})

// eventClasses are the ids of status messages by their event class; "" where
// the message itself has to say it.
var eventClasses = sync.OnceValue(func() map[string]string {
	classes := make(map[string]string)
	readTable(eventClassesCSV, func(field func(string) string) {
		classes[field("event_class")] = field("message_id")
	})
	return classes
})

// statusKey is an id of a status message and its severity as a word. Two ids
// exist with more than one severity.
type statusKey struct{ id, severity string }

var statusLabels = sync.OnceValue(func() map[statusKey]string {
	labels := make(map[statusKey]string)
	readTable(statusMessagesCSV, func(field func(string) string) {
		id, label := field("message_id"), field("label")
		labels[statusKey{id, field("severity")}] = label
		labels[statusKey{id, ""}] = label
	})
	return labels
})

// Substatus is a status of IIS with what stands behind its dot. It is in the
// log of IIS and on its error pages, never in a head.
type Substatus struct {
	Code, Name, Cause, LookAt string
}

var substatuses = sync.OnceValue(func() map[string]Substatus {
	all := make(map[string]Substatus)
	readTable(iisSubstatusCSV, func(field func(string) string) {
		code := field("code")
		all[code] = Substatus{code, field("name"), field("cause"), field("look_at")}
	})
	return all
})

// IISSubstatus explains a code such as "403.7".
func IISSubstatus(code string) (Substatus, bool) {
	s, ok := substatuses()[code]
	return s, ok
}

// ErrorCode is a code of Windows, WinHTTP, BITS, IIS or ConfigMgr.
type ErrorCode struct {
	Code uint32
	// Name is empty for the codes of ConfigMgr.
	Name, Meaning, Area, LookAt string
}

var errorCodes = sync.OnceValue(func() map[uint32]ErrorCode {
	all := make(map[uint32]ErrorCode)
	readTable(errorsCSV, func(field func(string) string) {
		n, err := strconv.ParseUint(strings.TrimPrefix(field("code"), "0x"), 16, 32)
		if err != nil {
			return
		}
		all[uint32(n)] = ErrorCode{uint32(n), field("name"), field("meaning"), field("area"), field("look_at")}
	})
	return all
})

// ExplainCode looks up an error code. A code of Win32 within 0x8007xxxx is
// found by its low word.
func ExplainCode(code uint32) (ErrorCode, bool) {
	e, ok := errorCodes()[code]
	if !ok && code>>16 == 0x8007 {
		e, ok = errorCodes()[code&0xFFFF]
	}
	return e, ok
}

var errorNames = sync.OnceValue(func() map[string]ErrorCode {
	all := make(map[string]ErrorCode)
	for _, e := range errorCodes() {
		if e.Name != "" {
			all[e.Name] = e
		}
	}
	return all
})

// NamedCode looks up an error code by its name, such as "CERT_E_EXPIRED".
func NamedCode(name string) (ErrorCode, bool) {
	e, ok := errorNames()[strings.ToUpper(name)]
	return e, ok
}
