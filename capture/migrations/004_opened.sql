-- The encrypted records of failed TLS 1.3 handshakes as mpproxy could read them:
-- records in clear, one for each encrypted one.
CREATE TABLE handshake_opened (
	handshake INTEGER PRIMARY KEY,
	bytes_in  BLOB NOT NULL,
	bytes_out BLOB NOT NULL
) STRICT;
