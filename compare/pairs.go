package compare

import (
	"regexp"
	"strings"
)

// Item is what tells an exchange's meaning apart from others: two captures are
// paired by it.
type Item struct {
	// Agent is who asked, as far as it is the same in both captures: a name,
	// not an address. Empty is any.
	Agent string
	// Kind and Endpoint are the request's, Method and Target of the HTTP
	// request.
	Kind, Endpoint, Method, Target string
}

// Key is the same for exchanges that mean the same.
func (i Item) Key() string {
	return strings.Join([]string{strings.ToLower(i.Agent), i.Kind, i.Endpoint, i.Method, meaning(i.Target)}, "\x00")
}

var changing = regexp.MustCompile(`(?i)(\{?[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}\}?)`)

// braces are written as they are by some agents, and escaped by others.
var braces = strings.NewReplacer("%7b", "{", "%7d", "}")

// meaning is a target without what is made anew: the host and the ids of
// uploads.
func meaning(target string) string {
	if _, rest, absolute := strings.Cut(target, "://"); absolute {
		if i := strings.IndexByte(rest, '/'); i >= 0 {
			target = rest[i:]
		}
	}
	target = braces.Replace(strings.ToLower(target))
	if strings.HasPrefix(target, "/ccm_incoming/") {
		return changing.ReplaceAllString(target, "{}")
	}
	return target
}

// Pair is one exchange of each capture, as indexes; -1 where it has no
// counterpart.
type Pair struct{ A, B int }

// Pairs finds the counterparts: the first of each meaning with the first, the
// second with the second. They are in the order of A; what only B has stands
// behind what came before it there.
func Pairs(as, bs []Item) []Pair {
	at := map[string][]int{}
	for j, b := range bs {
		k := b.Key()
		at[k] = append(at[k], j)
	}
	var out []Pair
	taken := make([]bool, len(bs))
	for i, a := range as {
		k := a.Key()
		p := Pair{i, -1}
		if len(at[k]) > 0 {
			p.B, at[k] = at[k][0], at[k][1:]
			taken[p.B] = true
		}
		out = append(out, p)
	}
	return insert(out, taken)
}

// insert puts what only B has behind what stands before it in B.
func insert(pairs []Pair, taken []bool) []Pair {
	behind := map[int][]Pair{}
	last := -1
	for j, is := range taken {
		if is {
			last = j
			continue
		}
		behind[last] = append(behind[last], Pair{-1, j})
	}
	out := behind[-1]
	for _, p := range pairs {
		out = append(out, p)
		if p.B >= 0 {
			out = append(out, behind[p.B]...)
		}
	}
	return out
}
