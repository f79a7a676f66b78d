package diff

import (
	"cmp"
	"slices"

	"mpproxy/capture"
	"mpproxy/compare"
)

// Places counts the differences of many pairs by where they are, so that a
// change of the site that all agents see is one line.
type Places struct {
	all map[placeKey]*PlaceCount
	// More is how many differences are at places beyond those counted.
	More int
}

// PlaceCount is how often pairs differ at a place.
type PlaceCount struct {
	// Part is "request" or "reply".
	Part  string
	Count int
	// First is the first of the differences, of exchange Row of the first side.
	First compare.Difference
	Row   *capture.Row
	// Alike is true when all have the values of the first.
	Alike bool
}

// placeKey is where a difference is; the conditions of a path do not tell.
type placeKey struct {
	part  string
	place compare.Place
	how   compare.How
}

// maxPlaces is how many places are told apart.
const maxPlaces = 1000

func (p *Places) add(row *capture.Row, part string, r *compare.Result) {
	if r == nil {
		return
	}
	if p.all == nil {
		p.all = map[placeKey]*PlaceCount{}
	}
	p.More += r.More
	for _, d := range r.Differences {
		if d.Vary != nil {
			continue
		}
		k := placeKey{part, d.Place.Bare(), d.How}
		switch known := p.all[k]; {
		case known != nil:
			known.Count++
			known.Alike = known.Alike && d.A == known.First.A && d.B == known.First.B
		case len(p.all) >= maxPlaces:
			p.More++
		default:
			p.all[k] = &PlaceCount{Part: part, Count: 1, First: d, Row: row, Alike: true}
		}
	}
}

// Sorted are the places, those where most pairs differ first.
func (p *Places) Sorted() []*PlaceCount {
	var all []*PlaceCount
	for _, c := range p.all {
		all = append(all, c)
	}
	slices.SortFunc(all, func(a, b *PlaceCount) int {
		return cmp.Or(cmp.Compare(b.Count, a.Count), cmp.Compare(a.First.Place, b.First.Place), cmp.Compare(a.Part, b.Part), cmp.Compare(a.First.How, b.First.How))
	})
	return all
}
