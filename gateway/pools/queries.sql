-- name: backends_still_there
-- Which of these backends of ours have not ended. Those that are ours beyond doubt are told to: their client is gone.
SELECT pid,
       CASE WHEN starts_with(application_name, 'stonescriptdb-gateway') THEN pg_terminate_backend(pid) END AS told
  FROM pg_stat_activity
 WHERE pid = ANY (%s) AND usename = session_user;

-- name: database_exists
-- Whether the server has a database of this name.
SELECT EXISTS (SELECT FROM pg_database WHERE datname = %s);
