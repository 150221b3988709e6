-- name: database
-- Whether the session's role may do in a database what its owner may.
SELECT pg_catalog.pg_has_role(datdba, 'USAGE'), session_user FROM pg_catalog.pg_database WHERE datname = %(name)s

-- name: unused_databases
-- Databases with the given prefix in their name and without a session.
SELECT datname
  FROM pg_catalog.pg_database d
 WHERE starts_with(datname, %(prefix)s)
   AND NOT EXISTS (SELECT FROM pg_catalog.pg_stat_activity a WHERE a.datid = d.oid)

-- name: lock_scratch
-- Only one schema at a time is loaded into the kept scratch database.
SELECT pg_advisory_xact_lock(hashtextextended('stonescriptdb gateway scratch', 0))
