"""What inputs are made of: values that have broken programs before, and the functions that get them."""

from __future__ import annotations

PLATFORM = "fuzzed"  #: has FUNCTIONS, and is what most inputs name

FUNCTIONS = """
CREATE TYPE mood AS ENUM ('sad', 'ok');
CREATE TYPE address AS (street text, number int, tags text[], mood mood);
CREATE DOMAIN small AS int CHECK (VALUE BETWEEN 0 AND 9);
CREATE FUNCTION of_int(p int) RETURNS int LANGUAGE sql AS 'SELECT p';
CREATE FUNCTION of_small(p small, q smallint DEFAULT 3) RETURNS small LANGUAGE sql AS 'SELECT p';
CREATE FUNCTION of_text(p text) RETURNS text LANGUAGE sql AS 'SELECT p';
CREATE FUNCTION of_number(p numeric, q float8 DEFAULT 0) RETURNS numeric LANGUAGE sql AS 'SELECT p';
CREATE FUNCTION of_ints(p int[]) RETURNS int[] LANGUAGE sql AS 'SELECT p';
CREATE FUNCTION of_address(p address) RETURNS address LANGUAGE sql AS 'SELECT p';
CREATE FUNCTION of_addresses(p address[]) RETURNS SETOF address LANGUAGE sql AS 'SELECT unnest(p)';
CREATE FUNCTION of_json(p json, q jsonb) RETURNS jsonb LANGUAGE sql AS 'SELECT jsonb_build_array(p, q)';
CREATE FUNCTION of_bytes(p bytea) RETURNS bytea LANGUAGE sql AS 'SELECT p';
CREATE FUNCTION of_time(p timestamptz, q interval DEFAULT '1 day') RETURNS timestamptz LANGUAGE sql AS 'SELECT p + q';
CREATE FUNCTION of_range(p int4range, q daterange DEFAULT NULL) RETURNS int4range LANGUAGE sql AS 'SELECT p';
CREATE FUNCTION of_many(VARIADIC p text[]) RETURNS bigint LANGUAGE sql AS 'SELECT count(*) FROM unnest(p)';
CREATE FUNCTION of_any(p anyelement) RETURNS text LANGUAGE sql AS 'SELECT pg_typeof(p)::text';
CREATE FUNCTION of_mood(p mood) RETURNS mood LANGUAGE sql AS 'SELECT p';
CREATE FUNCTION of_uuid(p uuid, q inet DEFAULT NULL) RETURNS uuid LANGUAGE sql AS 'SELECT p';
CREATE FUNCTION of_class(p regclass) RETURNS text LANGUAGE sql AS 'SELECT p::text';
CREATE FUNCTION over(p int) RETURNS text LANGUAGE sql AS 'SELECT ''int''';
CREATE FUNCTION over(p text) RETURNS text LANGUAGE sql AS 'SELECT ''text''';
CREATE FUNCTION rows_of(p int) RETURNS TABLE (r int, j text, "$1" text) LANGUAGE sql
    AS 'SELECT n, repeat(''x'', n % 10), NULL FROM generate_series(1, least(p, 500)) n';
"""
FUNCTION_NAMES = (
    "of_int", "of_small", "of_text", "of_number", "of_ints", "of_address", "of_addresses", "of_json", "of_bytes", "of_time", "of_range",
    "of_many", "of_any", "of_mood", "of_uuid", "of_class", "over", "rows_of",
    "", "nosuch", "pg_sleep", "public.of_int", "pg_catalog.now", '"of_int"', "of_int(1)", "of_int;", "OF_INT", "x" * 64, "é", "a\0b", "of int",
)  # fmt: skip
#: Few that make databases, so that an hour of inputs makes no thousands of them.
PLATFORMS = (
    PLATFORM,
    PLATFORM,
    PLATFORM,
    "fuzz_a",
    "fuzz-a",
    "nosuch",
    "",
    "%",
    "../x",
    "x" * 64,
    "İ",
    "a\0",
    "a\nb",
    "_",
    "postgres",
    "template1",
)
TENANTS = (
    None,
    None,
    "",
    "null",
    "main",
    "t1",
    "T-1",
    "no such",
    "../../x",
    "x" * 63,
    "é",
    "%",
    "a'b",
    'a"b',
    "\u202e",
    7,
    True,
    [],
    {},
)
STRINGS = (
    "", "x", "0", "1", "-1", "1e400", "NaN", "infinity", "2020-02-30", "epoch", "{}", "{1,2}", "{{{{{{{1}}}}}}}", "[1,5)", "(1,,)", "\\x00",
    "00000000-0000-0000-0000-000000000000", "é", "\u0000", "\ud800", "\U0010ffff", "'", '"', "; DROP TABLE t", "%s", "$1", "a" * 3000, "nosuch.t", "ok",
)  # fmt: skip
NUMBERS = (0, 1, -1, 9, 10, 2**15, 2**31 - 1, 2**31, 2**63 - 1, 2**63, 10**40, 0.0, -0.0, 1.5, 1e300, 1.0)
#: JSON that no library writes.
RAW_JSON = (
    b"", b"null", b"[]", b"{}", b"1", b'"x"', b"{", b"[1,]", b'{"a":}', b"NaN", b"[Infinity]", b"\xef\xbb\xbf{}", b"\xff\xfe{\0}\0", b'"\xff"',
    b"[" * 1000, b"[" * 200_000, b'{"a":' * 5000 + b"1" + b"}" * 5000, b"1" * 100_000, b"1e" + b"9" * 1000, b'"' + b"\\" * 9999, b" " * 50_000 + b"{}",
    b'{"platform":"fuzzed","platform":"x","function":"of_int","params":[1]}', b'{"platform":"fuzzed","function":"of_int","params":[1]}x',
)  # fmt: skip
METHODS = (
    "GET",
    "POST",
    "PUT",
    "DELETE",
    "HEAD",
    "OPTIONS",
    "PATCH",
    "TRACE",
    "CONNECT",
    "get",
    "PRI",
    "X" * 50,
    "",
    "GE T",
    "G\0T",
)
HEADERS = (
    "Content-Type: application/json", "Content-Type: text/plain", "Content-Type: multipart/form-data", "Content-Type: application/json; charset=utf-16",
    "Content-Type: multipart/form-data; boundary=" + "b" * 300, "Content-Length: -1", "Content-Length: 1e3", "Content-Length: 99999999999999999999",
    "Content-Length: 0", "Content-Length: 5, 5", "Transfer-Encoding: chunked", "Transfer-Encoding: gzip, chunked", "Transfer-Encoding: identity",
    "Transfer-Encoding:\tchunked", "Expect: 100-continue", "Expect: 42", "Connection: close", "Connection: keep-alive", "Connection: Upgrade, HTTP2-Settings",
    "Upgrade: h2c", "X-Forwarded-For: 127.0.0.1", "X-Forwarded-For: " + "1.2.3.4, " * 500, "X-Forwarded-For: é\x80", "X-Forwarded-Proto: https",
    "X-Request-ID: abc", "X-Request-ID: " + "z" * 5000, "X-Request-ID: a\x0bb", "X-API-Key: x", "X-API-Key: é", "Authorization: Bearer", "Authorization: Basic !!",
    "Host: a, b", "Host:", "Host: [::1", "Cookie: " + "a=b;" * 1000, "Range: bytes=0-", "Accept-Encoding: *", "If-None-Match: *", ": nameless",
    "no colon", " folded: line", "Spaced : name", "Name\x00: zero", "Under_score: x", "X-Big: " + "x" * 20_000, "traceparent: 00-x", "Content-Encoding: gzip",
)  # fmt: skip
FOLDERS = ("extensions", "types", "tables", "migrations", "functions", "seeders", "elsewhere", "Tables", "")
NAMES = (
    "a.pssql", "b.sql", "c.pgsql", "deep/er/d.sql", "._a.sql", ".hidden.sql", "a.txt", "é.sql", "x" * 120 + ".sql", "con.sql",
    "../out.sql", "/etc/passwd", "a\\b.sql", "a//b.sql", "./c.sql", " .sql", "tab\t.sql", "line\n.sql", "null\0.sql", "100.sql",
)  # fmt: skip
STATEMENTS = (
    "CREATE TABLE t (id serial PRIMARY KEY, a text DEFAULT 'x;y', b numeric(10,2) CHECK (b > 0))",
    "CREATE TABLE u (id int REFERENCES t(id), \"quo\"\"ted\" int[], CONSTRAINT c UNIQUE (id))",
    "CREATE OR REPLACE FUNCTION f(p int DEFAULT 1) RETURNS int LANGUAGE sql AS $$ SELECT p $$",
    "CREATE FUNCTION g() RETURNS void LANGUAGE plpgsql AS $body$ BEGIN PERFORM 1; END $body$",
    "CREATE FUNCTION h() RETURNS int BEGIN ATOMIC SELECT 1; SELECT 2; END",
    "INSERT INTO t (id, a) VALUES (1, E'\\'x'), (2, U&'\\0041')",
    "ALTER TABLE t ADD COLUMN c date, ALTER a SET NOT NULL",
    "CREATE TYPE mood AS ENUM ('sad', 'ok')",
    "CREATE DOMAIN d AS text CHECK (VALUE <> '')",
    "DO $$ BEGIN EXECUTE 'CREATE TABLE made ()'; END $$",
    "CREATE VIEW v AS SELECT * FROM t",
    "COMMENT ON TABLE t IS 'it''s'",
    "DROP TABLE t CASCADE",
    "DROP DATABASE postgres",
    "COMMIT",
    "SET search_path = pg_catalog",
    "-- gateway: no-transaction\nCREATE INDEX CONCURRENTLY i ON t (a)",
    "COPY t FROM stdin;\n1\tx\n\\.",
)  # fmt: skip
PIECES = (
    "'", '"', "$$", "$a$", "/*", "*/", "--", "\n", ";", "(", ")", "\\", "E'", "U&\"", "BEGIN", "END", "ATOMIC", "CASE", "\ufeff", "\0",
    "é", "𝒳", " " * 50, "\t\r\n", ":", "::", "[", "{", "%", "%s", "{0}", "$1", "1e", ".", "..", "~", "@", "CREATE", "TABLE", "AS",
)  # fmt: skip
