package evidence

import (
	"context"
	"maps"
	"slices"
	"time"

	"mpproxy/capture"
	"mpproxy/diagnose"
	"mpproxy/traffic"
)

// Standing is what was found on a capture's connections so far, kept up to date
// while it grows. A connection is judged for good a minute after it was closed:
// what its agent does later counts for it only in a new Standing. It belongs to
// one goroutine at a time.
type Standing struct {
	survey  *Survey
	settled diagnose.Folding
	// young are connections that are open, or were until just now, with what was
	// found on them so far; turn is the one that was judged anew last.
	young map[traffic.ConnID]diagnose.ConnDiagnosis
	turn  traffic.ConnID
	last  traffic.ConnID
	since time.Time
}

// The bounds of what is judged again.
const (
	settleTime = time.Minute
	maxYoung   = 10_000
	maxAgain   = 200
)

// NewStanding begins with nothing. Connections that were opened before since
// are not judged; zero takes all. now is nil for the real clock.
func NewStanding(s *capture.Store, since time.Time, now func() time.Time) *Standing {
	return &Standing{survey: New(s, now), since: since, young: map[traffic.ConnID]diagnose.ConnDiagnosis{}}
}

// Update judges what has come since the last time. It calls step now and then;
// what it has come to by then is there when ctx ends it.
func (s *Standing) Update(ctx context.Context, step func()) error {
	if err := s.survey.Update(ctx); err != nil {
		return err
	}
	for _, id := range s.again() {
		c, err := s.survey.store.Conn(ctx, id)
		if err != nil {
			return err
		}
		if err := s.judge(ctx, c); err != nil {
			return err
		}
		s.turn = id
	}
	n := 0
	return s.survey.each(ctx, s.last, func(c *traffic.Conn) error {
		if !c.Opened.Before(s.since) {
			if err := s.judge(ctx, c); err != nil {
				return err
			}
		}
		s.last = c.ID
		if n++; n%connPage == 0 {
			step()
		}
		return nil
	})
}

// again are the young connections whose turn it is.
func (s *Standing) again() []traffic.ConnID {
	ids := slices.Sorted(maps.Keys(s.young))
	at, _ := slices.BinarySearch(ids, s.turn+1)
	ids = slices.Concat(ids[at:], ids[:at])
	return ids[:min(len(ids), maxAgain)]
}

func (s *Standing) judge(ctx context.Context, c *traffic.Conn) error {
	found, err := s.survey.judge(ctx, c)
	if err != nil {
		return err
	}
	d := diagnosed(c, found)
	_, known := s.young[c.ID]
	if settled := !c.Closed.IsZero() && s.survey.now().Sub(c.Closed) >= settleTime; settled || !known && len(s.young) >= maxYoung {
		delete(s.young, c.ID)
		s.settled.Add(d)
		return nil
	}
	s.young[c.ID] = d
	return nil
}

// Judged is how many connections were.
func (s *Standing) Judged() int { return s.settled.Conns + len(s.young) }

// Groups are what was found so far, as [diagnose.Folding.Groups] gives it.
func (s *Standing) Groups() []diagnose.Group {
	var young []diagnose.ConnDiagnosis
	for _, id := range slices.Sorted(maps.Keys(s.young)) {
		young = append(young, s.young[id])
	}
	return s.settled.With(young).Groups()
}
