-- name: storage
-- Where each relation of the application is stored, by oid: a plan tells of locks and rewrites of what was there before.
SELECT coalesce(json_object_agg(oid, pg_relation_filenode(oid)::bigint), '{}')
  FROM pg_catalog.pg_class
 WHERE relkind IN ('r', 'p', 'm', 'i', 'I')
   AND relnamespace NOT IN ('pg_catalog'::regnamespace, 'information_schema'::regnamespace, 'pg_toast'::regnamespace)
   AND NOT starts_with(relname, '_stonescriptdb_gateway_')

-- name: strong_locks
-- The strongest lock of this transaction on each relation, of those that keep the application out, and its storage now.
SELECT l.relation::text, l.relation::regclass::text,
       (array_agg(l.mode ORDER BY array_position(
           '{AccessExclusiveLock,ExclusiveLock,ShareRowExclusiveLock,ShareLock,ShareUpdateExclusiveLock}', l.mode)))[1],
       pg_relation_filenode(l.relation)::bigint
  FROM pg_catalog.pg_locks l
 WHERE l.pid = pg_backend_pid() AND l.locktype = 'relation' AND l.granted
   AND l.mode IN ('AccessExclusiveLock', 'ExclusiveLock', 'ShareRowExclusiveLock', 'ShareLock',
                  'ShareUpdateExclusiveLock')
   AND l.relation::text = ANY (%(relations)s)
   AND EXISTS (SELECT FROM pg_catalog.pg_class c WHERE c.oid = l.relation)
 GROUP BY l.relation
 ORDER BY 2

-- name: available_extensions
-- What the server could install, and what is installed, of the extensions asked for.
SELECT v.name, v.version, e.extversion AS installed, n.nspname AS schema, v.version = a.default_version AS is_default
  FROM pg_catalog.pg_available_extension_versions v
  JOIN pg_catalog.pg_available_extensions a ON a.name = v.name
  LEFT JOIN pg_catalog.pg_extension e ON e.extname = v.name
  LEFT JOIN pg_catalog.pg_namespace n ON n.oid = e.extnamespace
 WHERE v.name = ANY (%(names)s)

-- name: database_search_path
-- What this database sets as search_path for every session, if it does.
SELECT substr(setting, length('search_path=') + 1)
  FROM pg_catalog.pg_db_role_setting s
 CROSS JOIN LATERAL unnest(s.setconfig) AS setting
 WHERE s.setdatabase = (SELECT oid FROM pg_catalog.pg_database WHERE datname = current_database())
   AND s.setrole = 0 AND setting LIKE 'search\_path=%%'

-- name: deferred_constraints
-- The constraints and constraint triggers that wait for the end of the transaction unless told otherwise.
SELECT string_agg(format('%I.%I', n.nspname, k.conname), ', ')
  FROM (SELECT DISTINCT connamespace, conname FROM pg_catalog.pg_constraint WHERE condeferred) AS k
  JOIN pg_catalog.pg_namespace AS n ON n.oid = k.connamespace

-- name: settings
-- The deploy's own settings, after a file that may have changed them.
SELECT set_config('search_path', %(search_path)s, true), set_config('check_function_bodies', 'off', true),
       set_config('jit', 'off', true)

-- name: reset_role
SET SESSION AUTHORIZATION DEFAULT; RESET ROLE
