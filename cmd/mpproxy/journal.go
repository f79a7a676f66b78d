package main

import (
	"bufio"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"time"

	"mpproxy/replay"
	"mpproxy/traffic"
)

// journal is the file in which a replay notes what it has sent, so that it can
// go on after it was stopped.
type journal struct {
	path  string
	f     *os.File
	w     *bufio.Writer
	done  map[traffic.ExchangeID]bool
	given []replay.Given
	// differed is how many of those that are done did not come out the same.
	differed int
}

// entry is a line of a journal.
type entry struct {
	ID    traffic.ExchangeID `json:"id"`
	Given []replay.Given     `json:"given,omitempty"`
	// Differs makes the exit code that of the whole replay.
	Differs bool `json:"differs,omitempty"`
}

// journal opens the journal of this capture, which began at a time, and
// management point: the former one with --resume, else a new one. Another
// capture in the same file has another journal.
func (c *replayCommand) journal(e *env, began time.Time) (*journal, error) {
	path, err := filepath.Abs(c.File)
	if err != nil {
		return nil, fmt.Errorf("journal of the replay: %w", err)
	}
	sum := sha256.Sum256([]byte(fmt.Sprint(path, "\x00", c.To, "\x00", began.UnixMicro())))
	if path, err = e.place("state", "replays", hex.EncodeToString(sum[:8])+".jsonl"); err != nil {
		return nil, err
	}
	if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
		return nil, fmt.Errorf("journal of the replay: %w", err)
	}
	j := &journal{path: path, done: map[traffic.ExchangeID]bool{}}
	mode := os.O_CREATE | os.O_WRONLY | os.O_TRUNC
	if c.Resume {
		if err := j.read(); err != nil {
			return nil, err
		}
		mode = os.O_CREATE | os.O_WRONLY | os.O_APPEND
	}
	if j.f, err = os.OpenFile(path, mode, 0o600); err != nil {
		return nil, fmt.Errorf("journal of the replay: %w", err)
	}
	j.w = bufio.NewWriter(j.f)
	return j, nil
}

// read takes what a former replay has noted. A last line that is cut short is
// left out.
func (j *journal) read() error {
	f, err := os.Open(j.path)
	if errors.Is(err, os.ErrNotExist) {
		return usage(errors.New("nothing to go on with: no replay of this capture to this management point was stopped"), "Leave --resume out.")
	}
	if err != nil {
		return fmt.Errorf("journal of the replay: %w", err)
	}
	defer f.Close()
	lines := bufio.NewScanner(f)
	for lines.Scan() {
		var l entry
		if json.Unmarshal(lines.Bytes(), &l) != nil {
			break
		}
		j.done[l.ID] = true
		j.given = append(j.given, l.Given...)
		if l.Differs {
			j.differed++
		}
	}
	return lines.Err()
}

func (j *journal) skip(id traffic.ExchangeID) bool { return j.done[id] }

// note writes an exchange down at once, since the replay may be stopped at any
// time.
func (j *journal) note(p replay.Played) error {
	if err := json.NewEncoder(j.w).Encode(entry{p.A.ID, p.Given, !p.Same()}); err != nil {
		return fmt.Errorf("journal of the replay: %w", err)
	}
	return j.w.Flush()
}

// close ends the journal. A replay that came to its end needs none.
func (j *journal) close(whole bool) error {
	err := errors.Join(j.w.Flush(), j.f.Close())
	if whole {
		err = errors.Join(err, os.Remove(j.path))
	}
	return err
}
