package tui

import (
	"context"
	"os/user"

	"mpproxy/capture"
)

// annotate writes into the capture. What it changes comes back as a notice.
func (a *app) annotate(what ...capture.Annotation) {
	l := &lane{app: a}
	l.read(func(ctx context.Context) func() {
		if err := a.cfg.Store.Annotate(ctx, what...); err != nil {
			return func() { a.say("%v", err) }
		}
		return func() {}
	})
}

// author is who annotates.
func author() string {
	u, err := user.Current()
	if err != nil {
		return ""
	}
	return u.Username
}
