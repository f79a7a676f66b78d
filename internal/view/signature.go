package view

import (
	"context"
	"fmt"
	"strings"
	"time"

	"mpproxy/capture"
	"mpproxy/decode"
	"mpproxy/filter"
	"mpproxy/traffic"
)

// SignatureWords says whether a signature verifies, and against what key. How it
// was made is in its Form.
func SignatureWords(s decode.Signature) string {
	switch s.State {
	case decode.Verified:
		key := s.Key
		if strings.HasPrefix(key, "message") {
			key = "the " + key
		}
		return fmt.Sprintf("%s verifies, key of %s", s.What, key)
	case decode.Consistent:
		return fmt.Sprintf("%s is consistent with the key in the %s, not verified", s.What, s.Key)
	case decode.Unfit:
		return s.What + " does not verify"
	}
	return s.What + " not checked: no key was seen"
}

// registrations is how many of an agent's registrations are tried for its key:
// one that registers anew has another key from then on.
const registrations = 3

// registeredKeys are the keys that an exchange's agent has registered before it
// in the capture, the last first.
func registeredKeys(ctx context.Context, s *capture.Store, r capture.Row) (keys []decode.Key, err error) {
	who := r.Agent
	if who == "" {
		who = r.Client
	}
	if who == "" {
		return nil, nil
	}
	f, err := filter.Parse(fmt.Sprintf("kind:registration agent:%s id:<%d", quoteTerm(who), r.ID), time.Time{}, time.UTC)
	if err != nil {
		return nil, nil // a name that no filter can ask for
	}
	rows, err := s.Page(ctx, f, r.ID, capture.Older, registrations)
	if err != nil {
		return nil, err
	}
	for i := len(rows) - 1; i >= 0; i-- {
		m, err := s.Message(ctx, rows[i].ID, traffic.Request, decode.Content)
		if err != nil {
			continue // it is not whole: the next one may be
		}
		if k := m.SigningKey(); k != nil {
			k.Origin = fmt.Sprintf("the registration in exchange %d", rows[i].ID)
			keys = append(keys, *k)
		}
	}
	return keys, nil
}

// quoteTerm is a value as a filter takes it.
func quoteTerm(s string) string {
	return `"` + strings.NewReplacer(`\`, `\\`, `"`, `\"`).Replace(s) + `"`
}
