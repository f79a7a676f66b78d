// Package replay plays a capture: its agents to a management point, or its
// management point to agents.
//
// [Prepare] reads a capture and says what can be replayed and what cannot;
// [Plan.Run] sends it. Requests go out in their order and as many at once as in
// the capture, with what has to be fresh made fresh and signed again where there
// are keys; each reply is compared with the captured one. [Server] answers live
// agents with what the capture's management point has answered to requests of
// the same meaning.
//
// Exchanges are read one at a time: a replay needs memory for its plan, some
// hundred bytes an exchange, and for what is under way.
package replay
