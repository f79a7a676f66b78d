-- What fetches of revocation lists, delta lists and issuers came to: one row
-- for each URL and certificate, the newest.
CREATE TABLE revocation (
	issuer         TEXT NOT NULL,
	serial         TEXT NOT NULL,
	kind           TEXT NOT NULL, -- crl, delta, issuer
	url            TEXT NOT NULL,
	result         TEXT NOT NULL, -- good, skipped, unreachable, status, page, unreadable, too-large
	fetched_us     INTEGER NOT NULL,
	took_us        INTEGER NOT NULL,
	status         INTEGER NOT NULL,
	content_type   TEXT NOT NULL,
	size           INTEGER NOT NULL,
	err            TEXT NOT NULL,
	this_update_us INTEGER,
	next_update_us INTEGER,
	entries        INTEGER NOT NULL,
	signature      TEXT NOT NULL, -- good, bad, empty when it is not known
	revoked        INTEGER NOT NULL,
	reason         TEXT NOT NULL,
	revoked_us     INTEGER,
	PRIMARY KEY (issuer, serial, kind, url)
) STRICT, WITHOUT ROWID;
