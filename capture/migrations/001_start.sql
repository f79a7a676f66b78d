-- Times are microseconds since 1970, UTC; sizes are bytes; severities are
-- 0 none, 1 info, 2 warning, 3 error; dir is 1 request, 2 reply; leg is
-- 1 agent, 2 upstream. The tables may change with the version of the file,
-- the views at the end only grow. docs/schema.md describes both.

-- Words that repeat. Columns that hold a name's id say so with "-> name".
CREATE TABLE name (
	id   INTEGER PRIMARY KEY,
	text TEXT NOT NULL UNIQUE
) STRICT;

INSERT INTO name (id, text) VALUES (0, '');

-- One row for each combination of name, client id and address that was seen.
CREATE TABLE agent (
	id        INTEGER PRIMARY KEY,
	name      TEXT NOT NULL,
	client    TEXT NOT NULL,
	address   TEXT NOT NULL,
	auth      INTEGER NOT NULL, -- -> name; the last one
	first_us  INTEGER NOT NULL,
	last_us   INTEGER NOT NULL,
	exchanges INTEGER NOT NULL,
	errors    INTEGER NOT NULL,
	warnings  INTEGER NOT NULL,
	bytes     INTEGER NOT NULL,
	UNIQUE (name, client, address)
) STRICT;

CREATE TABLE conn (
	id               INTEGER PRIMARY KEY,
	listener         INTEGER NOT NULL, -- -> name
	mode             INTEGER NOT NULL, -- -> name
	agent            TEXT NOT NULL,
	upstream         INTEGER NOT NULL, -- -> name
	opened_us        INTEGER NOT NULL,
	closed_us        INTEGER,
	agent_address    TEXT NOT NULL,
	agent_in         INTEGER NOT NULL,
	agent_out        INTEGER NOT NULL,
	agent_end        INTEGER NOT NULL, -- -> name
	agent_ended_us   INTEGER,
	agent_err        TEXT NOT NULL,
	agent_tls        INTEGER NOT NULL, -- -> name; empty without TLS
	agent_after      TEXT, -- JSON: what TLS did after the handshake
	upstream_address TEXT NOT NULL,
	upstream_in      INTEGER NOT NULL,
	upstream_out     INTEGER NOT NULL,
	upstream_end     INTEGER NOT NULL, -- -> name
	upstream_ended_us INTEGER,
	upstream_err     TEXT NOT NULL,
	upstream_tls     INTEGER NOT NULL, -- -> name
	upstream_after   TEXT,
	sev              INTEGER NOT NULL
) STRICT;

CREATE INDEX conn_sev ON conn (sev) WHERE sev > 0;

CREATE TABLE handshake (
	id           INTEGER PRIMARY KEY,
	conn         INTEGER NOT NULL,
	leg          INTEGER NOT NULL,
	began_us     INTEGER,
	ended_us     INTEGER,
	bytes_in     BLOB NOT NULL,
	bytes_out    BLOB NOT NULL,
	marks_in     TEXT, -- JSON: [[offset, microseconds since began], …]
	marks_out    TEXT,
	err          TEXT NOT NULL,
	passed       INTEGER NOT NULL, -- 1: passed through unopened
	version      INTEGER, -- NULL: the handshake failed, or was passed through
	suite        INTEGER,
	version_name TEXT,
	suite_name   TEXT,
	server_name  TEXT,
	alpn         TEXT,
	resumed      INTEGER,
	client_cert_asked INTEGER NOT NULL,
	asked        TEXT -- JSON: how the management point asked, and what it was shown
) STRICT;

CREATE INDEX handshake_conn ON handshake (conn);

CREATE TABLE certificate (
	id     INTEGER PRIMARY KEY,
	sha256 BLOB NOT NULL UNIQUE,
	der    BLOB NOT NULL
) STRICT;

CREATE TABLE handshake_certificate (
	handshake   INTEGER NOT NULL,
	own         INTEGER NOT NULL, -- 1: shown by mpproxy, 0: by the peer
	pos         INTEGER NOT NULL, -- 0 is the leaf
	certificate INTEGER NOT NULL,
	PRIMARY KEY (handshake, own, pos)
) STRICT, WITHOUT ROWID;

-- What a list shows of an exchange. The bytes are elsewhere, so that walking
-- this table does not read them.
CREATE TABLE list (
	id         INTEGER PRIMARY KEY,
	conn       INTEGER NOT NULL,
	begun_us   INTEGER NOT NULL,
	replied_us INTEGER,
	ended_us   INTEGER,
	agent      INTEGER NOT NULL, -- -> agent
	method     INTEGER NOT NULL, -- -> name
	status     INTEGER,
	kind       INTEGER NOT NULL, -- -> name
	endpoint   INTEGER NOT NULL, -- -> name
	sev        INTEGER NOT NULL,
	fate       INTEGER NOT NULL, -- -> name
	origin     INTEGER NOT NULL, -- -> name
	auth       INTEGER NOT NULL, -- -> name
	tls        INTEGER NOT NULL, -- -> name; empty without TLS
	code       INTEGER NOT NULL, -- -> name; BITS-Error of the reply
	flags      INTEGER NOT NULL, -- 1 new, 2 signed, 4 attachment, 8 compressed
	req_bytes  INTEGER NOT NULL,
	resp_bytes INTEGER NOT NULL,
	target     TEXT NOT NULL,
	summary    TEXT NOT NULL,
	long       TEXT NOT NULL,
	err        TEXT NOT NULL
) STRICT;

CREATE INDEX list_agent ON list (agent);
CREATE INDEX list_conn ON list (conn);
CREATE INDEX list_sev ON list (sev) WHERE sev > 0;

-- One row for each message that crossed a leg, with what it means. forwarded
-- is 1 for what mpproxy wrote instead of what it received.
CREATE TABLE wire (
	exchange    INTEGER NOT NULL,
	dir         INTEGER NOT NULL,
	forwarded   INTEGER NOT NULL,
	interim     INTEGER NOT NULL,
	head        INTEGER NOT NULL,
	size        INTEGER NOT NULL,
	framing     INTEGER NOT NULL, -- 0 none, 1 length, 2 chunked, 3 until end, 4 tunnel
	whole       INTEGER NOT NULL,
	same_body   INTEGER NOT NULL, -- 1: only the head is kept, the body is the received one
	form        INTEGER NOT NULL, -- -> name
	endpoint    INTEGER NOT NULL, -- -> name
	kind        INTEGER NOT NULL, -- -> name
	root        INTEGER NOT NULL, -- -> name
	signature   INTEGER NOT NULL, -- -> name
	hooks       INTEGER NOT NULL, -- -> name; a JSON array
	client      INTEGER NOT NULL, -- -> name
	msgid       TEXT NOT NULL,
	corr        TEXT NOT NULL,
	text_bytes  INTEGER NOT NULL,
	attachments INTEGER NOT NULL,
	decoder     INTEGER NOT NULL, -- version of the decoder, 0: not decoded
	depth       INTEGER NOT NULL, -- 0 summary, 1 whole
	PRIMARY KEY (exchange, dir, forwarded)
) STRICT, WITHOUT ROWID;

CREATE INDEX wire_kind ON wire (kind, exchange) WHERE kind > 0;
CREATE INDEX wire_endpoint ON wire (endpoint, exchange) WHERE endpoint > 0;

-- The wire bytes, in pieces of at most 256 KiB: interim heads, head, body with
-- its framing, trailer.
CREATE TABLE chunk (
	id        INTEGER PRIMARY KEY,
	exchange  INTEGER NOT NULL,
	dir       INTEGER NOT NULL,
	forwarded INTEGER NOT NULL,
	offset    INTEGER NOT NULL,
	bytes     BLOB NOT NULL
) STRICT;

CREATE UNIQUE INDEX chunk_place ON chunk (exchange, dir, forwarded, offset);

-- Rules that acted (sort 1) and tags that they attached (sort 2).
CREATE TABLE label (
	exchange INTEGER NOT NULL,
	sort     INTEGER NOT NULL,
	pos      INTEGER NOT NULL,
	text     TEXT NOT NULL,
	PRIMARY KEY (exchange, sort, pos)
) STRICT, WITHOUT ROWID;

CREATE TABLE finding_kind (
	id       INTEGER PRIMARY KEY,
	code     TEXT NOT NULL UNIQUE,
	ref      TEXT NOT NULL,
	sev      INTEGER NOT NULL,
	title    TEXT NOT NULL,
	why      TEXT NOT NULL,
	remedy   TEXT NOT NULL,
	inferred INTEGER NOT NULL
) STRICT;

CREATE TABLE found (
	id       INTEGER PRIMARY KEY,
	exchange INTEGER, -- NULL: about the connection
	conn     INTEGER NOT NULL,
	kind     INTEGER NOT NULL, -- -> finding_kind
	leg      INTEGER NOT NULL,
	dir      INTEGER NOT NULL,
	layer    TEXT NOT NULL,
	offset   INTEGER NOT NULL,
	evidence TEXT NOT NULL,
	sure     TEXT NOT NULL,
	who      TEXT NOT NULL,
	moot_by  INTEGER, -- -> finding_kind
	origin   INTEGER NOT NULL -- 0 proxy and recorder, 1 decoder
) STRICT;

CREATE INDEX found_exchange ON found (exchange) WHERE exchange IS NOT NULL;
CREATE INDEX found_conn ON found (conn) WHERE exchange IS NULL;
CREATE INDEX found_kind ON found (kind, exchange);

-- BITS uploads: one row for each session of a host, whatever connections it
-- used, and its packets.
CREATE TABLE upload (
	id      INTEGER PRIMARY KEY,
	host    TEXT NOT NULL,
	session TEXT NOT NULL,
	target  TEXT NOT NULL,
	name    TEXT NOT NULL, -- Content-Name, or empty
	UNIQUE (host, session)
) STRICT;

CREATE TABLE upload_packet (
	exchange INTEGER PRIMARY KEY,
	upload   INTEGER NOT NULL,
	packet   TEXT NOT NULL, -- in lower case: create-session, fragment, ...
	first    INTEGER, -- Content-Range of a fragment
	last     INTEGER,
	total    INTEGER,
	status   INTEGER,
	next     INTEGER  -- BITS-Received-Content-Range of the reply
) STRICT;

CREATE INDEX upload_packet_upload ON upload_packet (upload);

-- Sums for each minute and endpoint. took is 64 counts of 4 bytes, low byte
-- first; count n is of exchanges that took from 1.35^n to 1.35^(n+1) * 100 us.
CREATE TABLE minute (
	minute     INTEGER NOT NULL, -- minutes since 1970
	endpoint   INTEGER NOT NULL, -- -> name
	exchanges  INTEGER NOT NULL,
	errors     INTEGER NOT NULL,
	req_bytes  INTEGER NOT NULL,
	resp_bytes INTEGER NOT NULL,
	max_us     INTEGER NOT NULL,
	took       BLOB NOT NULL,
	PRIMARY KEY (minute, endpoint)
) STRICT, WITHOUT ROWID;

-- What could not be recorded.
CREATE TABLE loss (
	at_us  INTEGER NOT NULL,
	events INTEGER NOT NULL,
	bytes  INTEGER NOT NULL,
	cause  TEXT NOT NULL
) STRICT;

-- Rows of list that changed after they were first written, the newest ones:
-- whoever follows the file reads what is above the last seq it knows.
CREATE TABLE change (
	seq      INTEGER PRIMARY KEY,
	exchange INTEGER NOT NULL
) STRICT;

-- What people add.
CREATE TABLE mark (
	exchange INTEGER PRIMARY KEY,
	author   TEXT NOT NULL,
	at_us    INTEGER NOT NULL
) STRICT;

CREATE TABLE note (
	id       INTEGER PRIMARY KEY,
	exchange INTEGER NOT NULL,
	text     TEXT NOT NULL,
	author   TEXT NOT NULL,
	at_us    INTEGER NOT NULL
) STRICT;

CREATE INDEX note_exchange ON note (exchange);

CREATE TABLE silence (
	code   TEXT PRIMARY KEY,
	text   TEXT NOT NULL,
	author TEXT NOT NULL,
	at_us  INTEGER NOT NULL
) STRICT;

CREATE VIEW exchange AS SELECT
	x.id, x.conn, x.begun_us, x.ended_us,
	coalesce(nullif(a.name, ''), nullif(a.client, ''), a.address) AS agent,
	m.text AS method, x.target, x.status, k.text AS kind, e.text AS endpoint,
	x.summary, x.sev, f.text AS fate, o.text AS origin,
	ifnull((SELECT group_concat(text, ',') FROM
		(SELECT text FROM label WHERE exchange = x.id AND sort = 1 ORDER BY pos)), '') AS rule,
	x.req_bytes, x.resp_bytes,
	x.replied_us, a.client, a.address, x.long, t.text AS tls, h.text AS auth, x.err
FROM list x
	JOIN agent a ON a.id = x.agent
	JOIN name m ON m.id = x.method
	JOIN name k ON k.id = x.kind
	JOIN name e ON e.id = x.endpoint
	JOIN name f ON f.id = x.fate
	JOIN name o ON o.id = x.origin
	JOIN name t ON t.id = x.tls
	JOIN name h ON h.id = x.auth;

CREATE VIEW message AS SELECT
	w.exchange, CASE w.dir WHEN 1 THEN 'request' ELSE 'reply' END AS dir,
	f.text AS form, e.text AS endpoint, k.text AS kind, r.text AS root,
	w.msgid, w.corr, c.text AS client, w.text_bytes, w.attachments,
	s.text AS signature, w.decoder,
	w.depth, h.text AS hooks, w.size, w.whole
FROM wire w
	JOIN name f ON f.id = w.form
	JOIN name e ON e.id = w.endpoint
	JOIN name k ON k.id = w.kind
	JOIN name r ON r.id = w.root
	JOIN name c ON c.id = w.client
	JOIN name s ON s.id = w.signature
	JOIN name h ON h.id = w.hooks
WHERE w.forwarded = 0;

CREATE VIEW finding AS SELECT
	f.exchange, f.conn,
	CASE f.leg WHEN 1 THEN 'agent' WHEN 2 THEN 'upstream' ELSE '' END AS leg,
	CASE f.dir WHEN 1 THEN 'request' WHEN 2 THEN 'reply' ELSE '' END AS dir,
	k.code, k.ref, k.sev, f.who, f.sure, f.offset, f.evidence, m.code AS moot_by,
	f.layer, k.title, k.remedy
FROM found f
	JOIN finding_kind k ON k.id = f.kind
	LEFT JOIN finding_kind m ON m.id = f.moot_by;

CREATE VIEW connection AS SELECT
	c.id, l.text AS listener, m.text AS mode, c.agent, u.text AS upstream,
	c.opened_us, c.closed_us, t.text AS agent_tls, v.text AS upstream_tls,
	CASE
		WHEN ae.text NOT IN ('', 'fin', 'proxy') THEN 'agent ' || ae.text
		WHEN ue.text NOT IN ('', 'fin', 'proxy') THEN 'upstream ' || ue.text
		WHEN ae.text <> '' THEN ae.text
		ELSE ue.text
	END AS end,
	c.agent_in, c.agent_out, c.upstream_in, c.upstream_out, c.sev,
	c.agent_err, c.upstream_err
FROM conn c
	JOIN name l ON l.id = c.listener
	JOIN name m ON m.id = c.mode
	JOIN name u ON u.id = c.upstream
	JOIN name t ON t.id = c.agent_tls
	JOIN name v ON v.id = c.upstream_tls
	JOIN name ae ON ae.id = c.agent_end
	JOIN name ue ON ue.id = c.upstream_end;
