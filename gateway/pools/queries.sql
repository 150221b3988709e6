-- name: backends_still_there
-- The backends of orphans that have not ended, of process ids each with the seconds since the orphan was found. A session
-- that started later only has the same process id. Sessions of the gateway are terminated: their client has ended.
SELECT pid,
       CASE WHEN starts_with(application_name, 'stonescriptdb-gateway') THEN pg_terminate_backend(pid) END AS terminated
  FROM unnest(%s::int[], %s::float8[]) AS orphan (pid, seconds)
       JOIN pg_stat_activity USING (pid)
 WHERE pg_has_role(usesysid, 'USAGE')
   AND backend_start <= statement_timestamp() - seconds * interval '1 second';

-- name: database_exists
-- Whether the server has a database of this name.
SELECT EXISTS (SELECT FROM pg_database WHERE datname = %s);
