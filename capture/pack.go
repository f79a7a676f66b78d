package capture

import (
	"database/sql"
	"encoding/json"
	"time"

	"mpproxy/traffic"
)

// packed is a value as JSON for a column, where SQL can look into it; NULL for
// none.
func packed[T any](v *T) any {
	if v == nil {
		return nil
	}
	b, err := json.Marshal(v)
	if err != nil { // no type that is kept so can fail
		return nil
	}
	return string(b)
}

// unpacked reads a column that packed wrote; nil for NULL, and for what
// somebody else wrote into it.
func unpacked[T any](s sql.NullString) *T {
	v := new(T)
	if !s.Valid || json.Unmarshal([]byte(s.String), v) != nil {
		return nil
	}
	return v
}

// packedMarks is a list of pairs: the offset, and microseconds.
func packedMarks(marks traffic.Marks) any {
	if len(marks) == 0 {
		return nil
	}
	pairs := make([][2]int64, len(marks))
	for i, m := range marks {
		pairs[i] = [2]int64{int64(m.Offset), m.After.Microseconds()}
	}
	return packed(&pairs)
}

func unpackedMarks(s sql.NullString) traffic.Marks {
	pairs := unpacked[[][2]int64](s)
	if pairs == nil {
		return nil
	}
	var out traffic.Marks
	for _, p := range *pairs {
		out.Add(int(p[0]), time.Duration(p[1])*time.Microsecond)
	}
	return out
}
