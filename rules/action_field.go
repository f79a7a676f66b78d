package rules

import (
	"strings"

	"mpproxy/traffic"
)

// setField sets an HTTP field.
type setField struct{ name, value string }

func (setField) needs() Need              { return HeadOnly }
func (a setField) apply(e *edit, _ *Rule) { e.setField(a.name, a.value) }

// setField replaces the value of the first field of that name where it
// stands, or adds one at the end.
func (e *edit) setField(name, value string) {
	for i, f := range e.head.Fields {
		if strings.EqualFold(f.Name, name) {
			e.setValue(i, value)
			return
		}
	}
	end := len(e.head.Raw)
	for end > 0 && (e.head.Raw[end-1] == '\n' || e.head.Raw[end-1] == '\r') {
		end--
	}
	e.replaceHead(end, end, "\r\n"+name+": "+value)
}

// setValue replaces the value of the i-th field.
func (e *edit) setValue(i int, value string) {
	from, to := valueSpan(e.head.Raw, e.head.Fields[i])
	e.replaceHead(from, to, value)
}

// valueSpan is where a field's value stands, without the white space around.
func valueSpan(raw []byte, f traffic.Field) (from, to int) {
	from, to = f.Offset+len(f.Name)+1, f.End
	const space = " \t\r\n"
	for from < to && strings.IndexByte(" \t", raw[from]) >= 0 {
		from++
	}
	for to > from && strings.IndexByte(space, raw[to-1]) >= 0 {
		to--
	}
	if from < to {
		return from, to
	}
	return from, from
}

// removeField removes every HTTP field of a name.
type removeField struct{ name string }

func (removeField) needs() Need { return HeadOnly }

func (a removeField) apply(e *edit, r *Rule) {
	found := false
	for i := len(e.head.Fields) - 1; i >= 0; i-- {
		if f := e.head.Fields[i]; strings.EqualFold(f.Name, a.name) {
			e.replaceHead(f.Offset, f.End, "")
			found = true
		}
	}
	if !found {
		e.find(&nothingFound, r, "no field "+a.name)
	}
}

// replaceField replaces text within an HTTP field's value.
type replaceField struct {
	name string
	by   replacement
}

func (replaceField) needs() Need { return HeadOnly }

func (a replaceField) apply(e *edit, r *Rule) {
	found := false
	for i := len(e.head.Fields) - 1; i >= 0; i-- {
		f := e.head.Fields[i]
		if !strings.EqualFold(f.Name, a.name) {
			continue
		}
		from, to := valueSpan(e.head.Raw, f)
		if value, ok := a.by.in(string(e.head.Raw[from:to])); ok {
			e.replaceHead(from, to, value)
			found = true
		}
	}
	if !found {
		e.find(&nothingFound, r, "no "+a.by.String()+" in field "+a.name)
	}
}

func makeRemove(args arguments) (Action, error) {
	name, err := args.fieldName("field")
	if err != nil {
		return nil, err
	}
	return removeField{name}, args.done()
}
