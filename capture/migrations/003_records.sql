-- With run --keep-records: TLS as it crossed a leg, encrypted, and the secrets
-- that open it. leg is 1 for the agent's, 2 for the management point's.
CREATE TABLE tls_bytes (
	id    INTEGER PRIMARY KEY,
	conn  INTEGER NOT NULL,
	leg   INTEGER NOT NULL,
	dir   INTEGER NOT NULL, -- 1 from the peer, 2 to it
	at_us INTEGER NOT NULL,
	bytes BLOB NOT NULL
) STRICT;

CREATE INDEX tls_bytes_conn ON tls_bytes (conn, id);

CREATE TABLE tls_secret (
	conn INTEGER NOT NULL,
	leg  INTEGER NOT NULL,
	line TEXT NOT NULL -- NSS key log
) STRICT;

CREATE INDEX tls_secret_conn ON tls_secret (conn);
