-- name: create_tables
-- The five tracking tables. Their columns are those of an earlier gateway, which adopted databases have; others are added.
CREATE TABLE IF NOT EXISTS public._stonescriptdb_gateway_migrations (
    id serial PRIMARY KEY,
    migration_file text NOT NULL UNIQUE,
    checksum text NOT NULL,
    applied_at timestamptz DEFAULT now()
);
ALTER TABLE public._stonescriptdb_gateway_migrations ADD COLUMN IF NOT EXISTS statements_done integer;
ALTER TABLE public._stonescriptdb_gateway_migrations ADD COLUMN IF NOT EXISTS folded_checksum text;
CREATE TABLE IF NOT EXISTS public._stonescriptdb_gateway_types (
    id serial PRIMARY KEY,
    type_name text NOT NULL UNIQUE,
    type_kind text NOT NULL,
    checksum text NOT NULL,
    source_file text,
    deployed_at timestamptz DEFAULT now()
);
CREATE TABLE IF NOT EXISTS public._stonescriptdb_gateway_functions (
    id serial PRIMARY KEY,
    function_name text NOT NULL,
    signature text NOT NULL,
    param_types text[] NOT NULL,
    return_type text NOT NULL,
    body_checksum text NOT NULL,
    source_file text NOT NULL,
    deployed_at timestamptz DEFAULT now(),
    UNIQUE (function_name, param_types)
);
ALTER TABLE public._stonescriptdb_gateway_functions ADD COLUMN IF NOT EXISTS fingerprint text;
CREATE TABLE IF NOT EXISTS public._stonescriptdb_gateway_changelog (
    id serial PRIMARY KEY,
    change_type text NOT NULL,
    object_name text NOT NULL,
    change_detail jsonb,
    forced boolean DEFAULT false,
    executed_at timestamptz DEFAULT now()
);
ALTER TABLE public._stonescriptdb_gateway_changelog ADD COLUMN IF NOT EXISTS platform text;
ALTER TABLE public._stonescriptdb_gateway_changelog ADD COLUMN IF NOT EXISTS request_id text;
CREATE TABLE IF NOT EXISTS public._stonescriptdb_gateway_tables (
    id serial PRIMARY KEY,
    table_name text NOT NULL UNIQUE,
    checksum text NOT NULL,
    source_file text NOT NULL,
    deployed_at timestamptz DEFAULT now()
);
ALTER TABLE public._stonescriptdb_gateway_tables ADD COLUMN IF NOT EXISTS definition jsonb

-- name: lock
-- Take the deploy lock if it is free, apply the settings of a deploy, and return whether there is a tracking table.
-- The lock is polled, because a waiting session would deadlock with CREATE INDEX CONCURRENTLY.
SELECT pg_try_advisory_xact_lock(hashtextextended('stonescriptdb gateway deploy', 0)) AS locked,
       set_config('search_path', %(search_path)s, true) AS search_path,
       set_config('lock_timeout', %(lock_timeout_ms)s, true) AS lock_timeout,
       set_config('check_function_bodies', 'off', true) AS check_function_bodies,
       set_config('jit', 'off', true) AS jit,
       to_regclass('public._stonescriptdb_gateway_tables') IS NOT NULL AS has_tables

-- name: probe
-- The state of the database for a deploy that is not a repetition.
SELECT 5 = (SELECT count(*) FROM pg_catalog.pg_attribute
             WHERE (attrelid, attname) IN (
                 (to_regclass('public._stonescriptdb_gateway_migrations'), 'folded_checksum'),
                 (to_regclass('public._stonescriptdb_gateway_types'), 'checksum'),
                 (to_regclass('public._stonescriptdb_gateway_functions'), 'fingerprint'),
                 (to_regclass('public._stonescriptdb_gateway_changelog'), 'request_id'),
                 (to_regclass('public._stonescriptdb_gateway_tables'), 'definition'))) AS tracked,
       NOT EXISTS (SELECT FROM pg_catalog.pg_class
                    WHERE relnamespace NOT IN ('pg_catalog'::regnamespace, 'information_schema'::regnamespace,
                                               'pg_toast'::regnamespace))
       AND NOT EXISTS (SELECT FROM pg_catalog.pg_type
                        WHERE typnamespace NOT IN ('pg_catalog'::regnamespace, 'information_schema'::regnamespace,
                                                   'pg_toast'::regnamespace)) AS empty,
       shobj_description((SELECT oid FROM pg_catalog.pg_database WHERE datname = current_database()), 'pg_database')
           AS database_comment

-- name: database_comment
-- The oid of the session's database is in the paths of its files, base/16384/1259. Looking up its name in pg_database (1262)
-- would double the cost, and shobj_description() would be planned once more.
SELECT (SELECT description FROM pg_catalog.pg_shdescription
        WHERE classoid = 1262 AND objoid = split_part(pg_relation_filepath(1259), '/', -2)::oid)

-- name: lock_session
-- The deploy lock for the whole session. The transaction that has it already gets it without waiting.
SELECT pg_advisory_lock(hashtextextended('stonescriptdb gateway deploy', 0))

-- name: unlock_session
SELECT pg_advisory_unlock(hashtextextended('stonescriptdb gateway deploy', 0))

-- name: state
-- The records of earlier deploys, and whether the deployed functions are as they were deployed.
SELECT json_build_object(
    'migrations', (SELECT coalesce(json_agg(json_build_object(
                       'file', migration_file, 'checksum', checksum, 'folded_checksum', folded_checksum,
                       'statements_done', statements_done) ORDER BY id), '[]')
                     FROM public._stonescriptdb_gateway_migrations),
    'functions', (SELECT coalesce(json_agg(json_build_object(
                      'identity', f.signature, 'checksum', f.body_checksum, 'file', f.source_file,
                      'fingerprint', f.fingerprint,
                      'intact', f.signature = '' OR f.fingerprint IS NOT DISTINCT FROM live.fingerprint,
                      'exists', live.identity IS NOT NULL) ORDER BY f.id), '[]')
                    FROM public._stonescriptdb_gateway_functions f
                    LEFT JOIN (SELECT i.identity, {{routine_fingerprint}} AS fingerprint
                                 FROM pg_catalog.pg_proc p
                                CROSS JOIN LATERAL pg_identify_object('pg_catalog.pg_proc'::regclass, p.oid, 0) i
                                WHERE p.pronamespace NOT IN ('pg_catalog'::regnamespace,
                                                             'information_schema'::regnamespace)) live
                           ON live.identity = f.signature
                    WHERE f.fingerprint IS NOT NULL),
    'left_behind', (SELECT coalesce(json_agg(DISTINCT function_name), '[]')
                      FROM public._stonescriptdb_gateway_functions WHERE fingerprint IS NULL),
    'extensions', (SELECT coalesce(json_object_agg(extname, extversion), '{}') FROM pg_catalog.pg_extension),
    'deployed', (SELECT json_build_object('checksum', checksum, 'definition', definition)
                   FROM public._stonescriptdb_gateway_tables WHERE table_name = '*'))

-- name: record_migration
INSERT INTO public._stonescriptdb_gateway_migrations (migration_file, checksum, folded_checksum, statements_done)
VALUES (%(file)s, %(checksum)s, %(folded_checksum)s, %(statements_done)s)
ON CONFLICT (migration_file)
DO UPDATE SET checksum = excluded.checksum, folded_checksum = excluded.folded_checksum,
              statements_done = excluded.statements_done, applied_at = now()

-- name: free_migration_names
-- Rows that get another name, and those that have it, get a temporary name first, because two may exchange their names.
-- A row without a file keeps it.
UPDATE public._stonescriptdb_gateway_migrations
   SET migration_file = format('%%s (%%s)', migration_file, left(checksum, 12))
 WHERE migration_file = ANY (%(names)s)

-- name: rename_migrations
UPDATE public._stonescriptdb_gateway_migrations m
   SET migration_file = r.file, checksum = r.checksum, folded_checksum = r.folded_checksum
  FROM jsonb_to_recordset(%(rows)s) AS r (path text, file text, checksum text, folded_checksum text)
 WHERE m.migration_file = format('%%s (%%s)', r.path, left(m.checksum, 12))

-- name: statements_done
SELECT statements_done FROM public._stonescriptdb_gateway_migrations WHERE migration_file = %(file)s

-- name: record_types
INSERT INTO public._stonescriptdb_gateway_types (type_name, type_kind, checksum, source_file)
SELECT name, kind, checksum, file
  FROM jsonb_to_recordset(%(rows)s) AS r (name text, kind text, checksum text, file text)
ON CONFLICT (type_name)
DO UPDATE SET type_kind = excluded.type_kind, checksum = excluded.checksum, source_file = excluded.source_file,
              deployed_at = now()

-- name: record_functions
INSERT INTO public._stonescriptdb_gateway_functions
       (function_name, signature, param_types, return_type, body_checksum, source_file, fingerprint)
SELECT name, identity, arguments, result, checksum, file, fingerprint
  FROM jsonb_to_recordset(%(rows)s)
       AS r (name text, identity text, arguments text[], result text, checksum text, file text, fingerprint text)
ON CONFLICT (function_name, param_types)
DO UPDATE SET signature = excluded.signature, return_type = excluded.return_type,
              body_checksum = excluded.body_checksum, source_file = excluded.source_file,
              fingerprint = excluded.fingerprint, deployed_at = now()

-- name: forget_functions
-- Rows without a fingerprint were written by an earlier gateway.
DELETE FROM public._stonescriptdb_gateway_functions
 WHERE signature = ANY (%(identities)s) OR (signature = '' AND source_file = ANY (%(files)s)) OR fingerprint IS NULL

-- name: record_note
-- The row '*' has the last deploy as a whole.
INSERT INTO public._stonescriptdb_gateway_tables (table_name, checksum, source_file, definition)
VALUES ('*', %(checksum)s, '', %(note)s)
ON CONFLICT (table_name)
DO UPDATE SET checksum = excluded.checksum, definition = excluded.definition, deployed_at = now()

-- name: record_tables
INSERT INTO public._stonescriptdb_gateway_tables (table_name, checksum, source_file, definition)
SELECT name, checksum, file, definition
  FROM jsonb_to_recordset(%(rows)s) AS r (name text, checksum text, file text, definition jsonb)
ON CONFLICT (table_name)
DO UPDATE SET checksum = excluded.checksum, source_file = excluded.source_file, definition = excluded.definition,
              deployed_at = now()
        WHERE _stonescriptdb_gateway_tables.checksum <> excluded.checksum
           OR _stonescriptdb_gateway_tables.definition IS DISTINCT FROM excluded.definition
RETURNING table_name

-- name: records_digest
-- The records that a deploy reads besides the note, without the fingerprints of functions, which contain oids.
SELECT concat_ws(' ',
    (SELECT sum(hashtextextended(concat_ws('|', migration_file, checksum, folded_checksum, statements_done), 0))
       FROM public._stonescriptdb_gateway_migrations),
    (SELECT sum(hashtextextended(concat_ws('|', signature, body_checksum, source_file, fingerprint IS NULL), 0))
       FROM public._stonescriptdb_gateway_functions))

-- name: renew_fingerprints
-- The fingerprints of functions contain oids, which differ between databases.
UPDATE public._stonescriptdb_gateway_functions f
   SET fingerprint = {{routine_fingerprint}}
  FROM pg_catalog.pg_proc p
 CROSS JOIN LATERAL pg_identify_object('pg_catalog.pg_proc'::regclass, p.oid, 0) i
 WHERE p.pronamespace NOT IN ('pg_catalog'::regnamespace, 'information_schema'::regnamespace)
   AND i.identity = f.signature AND f.signature = ANY (%(identities)s)

-- name: record_mark
UPDATE public._stonescriptdb_gateway_tables
   SET definition = jsonb_set(definition, '{mark}', %(mark)s)
 WHERE table_name = '*'

-- name: definitions
SELECT table_name, definition::text
  FROM public._stonescriptdb_gateway_tables
 WHERE table_name = ANY (%(names)s) AND definition IS NOT NULL

-- name: record_changes
INSERT INTO public._stonescriptdb_gateway_changelog
       (change_type, object_name, change_detail, forced, platform, request_id)
SELECT change_type, object_name, detail, %(forced)s, %(platform)s, %(request_id)s
  FROM jsonb_to_recordset(%(rows)s) AS r (change_type text, object_name text, detail jsonb)

-- name: missing
-- The missing ones of the given extensions and of the recorded routines.
SELECT 'extension', name
  FROM unnest(%(extensions)s::text[]) AS name
 WHERE NOT EXISTS (SELECT FROM pg_catalog.pg_extension WHERE extname = name)
 UNION ALL
SELECT 'function', f.signature
  FROM public._stonescriptdb_gateway_functions f
 WHERE f.signature <> ''
   AND NOT EXISTS (SELECT FROM pg_catalog.pg_proc p
                    CROSS JOIN LATERAL pg_identify_object('pg_catalog.pg_proc'::regclass, p.oid, 0) i
                    WHERE p.pronamespace NOT IN ('pg_catalog'::regnamespace, 'information_schema'::regnamespace)
                      AND i.identity = f.signature)
 ORDER BY 1, 2

-- name: claim_copy
WITH deployed AS (
    UPDATE public._stonescriptdb_gateway_tables SET deployed_at = now() WHERE table_name = '*')
UPDATE public._stonescriptdb_gateway_changelog
   SET platform = %(platform)s, request_id = %(request_id)s, executed_at = now()

-- name: is_tracked
SELECT 5 = (SELECT count(*) FROM pg_catalog.pg_attribute
             WHERE (attrelid, attname) IN (
                 (to_regclass('public._stonescriptdb_gateway_migrations'), 'statements_done'),
                 (to_regclass('public._stonescriptdb_gateway_types'), 'checksum'),
                 (to_regclass('public._stonescriptdb_gateway_functions'), 'fingerprint'),
                 (to_regclass('public._stonescriptdb_gateway_changelog'), 'request_id'),
                 (to_regclass('public._stonescriptdb_gateway_tables'), 'definition'))) AS tracked

-- name: last_deploy
-- Three statements, because a new session plans them for less than one with subqueries and functions.
SELECT checksum, deployed_at, definition FROM public._stonescriptdb_gateway_tables WHERE table_name = '*';
SELECT request_id FROM public._stonescriptdb_gateway_changelog ORDER BY id DESC LIMIT 1;
SELECT migration_file, checksum, statements_done FROM public._stonescriptdb_gateway_migrations

-- name: note
SELECT checksum, definition FROM public._stonescriptdb_gateway_tables WHERE table_name = '*'

-- name: note_of_any_version
-- In a database of an earlier gateway there is no column definition and no such row.
SELECT checksum, to_jsonb(t) -> 'definition' FROM public._stonescriptdb_gateway_tables AS t WHERE table_name = '*'
