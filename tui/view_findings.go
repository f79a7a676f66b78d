package tui

import (
	"context"
	"errors"
	"fmt"
	"sync/atomic"
	"time"

	"mpproxy/capture"
	"mpproxy/diagnose"
	"mpproxy/internal/evidence"
	"mpproxy/internal/view"
)

// findings is the screen of what was found, by kind: what is stored, and what
// connections come to when they are judged.
type findings struct {
	*listing[view.FoundKind]
	// judging keeps standing up to date beside the screen; judged is what it has
	// come to.
	judging  lane
	standing *evidence.Standing
	judged   atomic.Pointer[judged]
	// news is true when something has come since the judging under way began,
	// due when to look at it.
	news bool
	due  time.Time
}

// judged is what so many connections have come to.
type judged struct {
	groups []diagnose.Group
	conns  int
}

// pause is how many times as long as judging took nothing is judged again.
const pause = 10

// openFindings lists what was found, by kind.
func (a *app) openFindings() {
	s := &findings{standing: evidence.NewStanding(a.cfg.Store, time.Time{}, a.cfg.Now)}
	s.judging.app = a
	s.judged.Store(&judged{})
	s.listing = newListing(a, listed[view.FoundKind]{
		crumb: "4 Findings", on: inFindings, table: view.Findings, none: "nothing odd was found",
		fetch: inMemory(func(ctx context.Context) ([]view.FoundKind, error) {
			stored, err := a.cfg.Store.FindingGroups(ctx, time.Time{})
			return view.FoundKinds(stored, s.judged.Load().groups), err
		}),
		same: view.FoundKind.Same,
		open: a.openKind,
		only: view.FoundKind.Filter,
		info: func(k view.FoundKind) piece { return piece{k.Line(a.cfg.Format), severity(k.Kind.Severity)} },
		role: func(column string, k view.FoundKind) role {
			if k.MootBy != "" {
				return roleDim
			}
			return sevRole(column, k.Kind.Severity)
		},
	})
	a.goToList(s)
	s.judge(s.judging.read)
}

// openKind goes into the connection of a diagnosis, or says what a kind means.
func (a *app) openKind(k view.FoundKind) {
	if k.Diagnosis != nil {
		a.openConn(k.Diagnosis.Conn)
		return
	}
	a.explainKind(k.Kind)
}

// explainFinding says what the chosen kind means.
func (a *app) explainFinding() {
	if s, here := a.top().(*findings); here && s.row() != nil {
		a.explainKind(s.row().thing.Kind)
	}
}

// judge judges what has come, in a lane's way.
func (s *findings) judge(way func(func(context.Context) func())) {
	s.news = false
	begun := s.app.cfg.Now()
	way(func(ctx context.Context) func() {
		err := s.standing.Update(ctx, func() {
			now := s.now()
			s.judging.progress(ctx, func() {
				s.judged.Store(now)
				s.stale = true
				s.listing.beat()
			})
		})
		now := s.now()
		return func() {
			if err != nil && !errors.Is(err, context.Canceled) {
				s.app.say("%v", err)
			}
			s.due = s.app.cfg.Now().Add(pause * s.app.cfg.Now().Sub(begun))
			s.judged.Store(now)
			s.reload()
		}
	})
}

// now is what judging has come to. It runs beside the screen.
func (s *findings) now() *judged { return &judged{s.standing.Groups(), s.standing.Judged()} }

// judgeNews judges what has come since, when it is due.
func (s *findings) judgeNews() {
	if s.news && !s.judging.busy() && !s.app.cfg.Now().Before(s.due) {
		s.judge(s.judging.glance)
	}
}

func (s *findings) notice(n capture.Notice) bool {
	s.news = true
	s.judgeNews()
	return s.listing.notice(n)
}

func (s *findings) beat() bool {
	s.judgeNews()
	return s.listing.beat()
}

func (s *findings) flags() []string {
	if s.judging.busy() {
		return []string{fmt.Sprintf("judging%s %d", s.app.sym.dots, s.judged.Load().conns)}
	}
	return s.listing.flags()
}

func (s *findings) close() {
	s.judging.stop()
	s.listing.close()
}
