package capture

// caches are what the writer knows of the file's rows. They are thrown away
// with a failed transaction.
type caches struct {
	names        map[string]int64
	kinds        map[string]kindRow
	agents       map[agentKey]*agentRow
	minutes      map[minuteKey]*minuteRow
	certificates map[[32]byte]int64
	// changedAgents and changedMinutes have sums that the file has not.
	changedAgents  []*agentRow
	changedMinutes []*minuteRow
}

func newCaches() caches {
	return caches{
		names:        map[string]int64{"": 0},
		kinds:        map[string]kindRow{},
		agents:       map[agentKey]*agentRow{},
		minutes:      map[minuteKey]*minuteRow{},
		certificates: map[[32]byte]int64{},
	}
}

// cacheLimit is how many entries a cache may have before it starts anew,
// minuteLimit how many minutes: a row has half a kilobyte.
const (
	cacheLimit  = 20_000
	minuteLimit = 1000
)

// trim bounds the memory of a capture with ever new names, once nothing in
// the caches waits to be written.
func (c *caches) trim() {
	if len(c.names) > cacheLimit {
		c.names = map[string]int64{"": 0}
	}
	if len(c.agents) > cacheLimit {
		clear(c.agents)
	}
	if len(c.minutes) > minuteLimit {
		clear(c.minutes)
	}
	if len(c.certificates) > cacheLimit {
		clear(c.certificates)
	}
}
