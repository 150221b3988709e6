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

-- name: routine_versions
-- A text for each routine that changes whenever the routine is made, replaced or altered.
SELECT format('%%s%%s', oid, ctid)
  FROM pg_catalog.pg_proc
 WHERE (%(names)s::text[] IS NULL OR proname = ANY (%(names)s::text[]))
   AND pronamespace NOT IN ('pg_catalog'::regnamespace, 'information_schema'::regnamespace)

-- name: routines_made
-- Routines as the server understood them, of the given names or oids where they are given, less those that were there
-- before in the same version.
SELECT p.oid::bigint AS oid, format('%%s%%s', p.oid, p.ctid) AS version, i.identity, p.proname AS name,
       n.nspname AS schema, p.prokind::text AS kind, l.lanname AS language, p.proargtypes::text AS argument_types,
       (SELECT coalesce(array_agg(format_type(t, NULL) ORDER BY o), '{}')
          FROM unnest(p.proargtypes) WITH ORDINALITY AS a (t, o)) AS arguments,
       coalesce(pg_get_function_result(p.oid), '') AS result,
       md5(concat_ws('|', p.prokind, p.prolang, p.procost, p.prorows, p.prosecdef, p.proleakproof, p.proisstrict,
                     p.proretset, p.provolatile, p.proparallel, p.prorettype, p.proallargtypes::text,
                     p.proargmodes::text, p.proargnames::text, p.proargdefaults::text, p.prosrc, p.prosqlbody::text,
                     p.proconfig::text)) AS fingerprint
  FROM pg_catalog.pg_proc p
  JOIN pg_catalog.pg_namespace n ON n.oid = p.pronamespace
  JOIN pg_catalog.pg_language l ON l.oid = p.prolang
 CROSS JOIN LATERAL pg_identify_object('pg_catalog.pg_proc'::regclass, p.oid, 0) i
 WHERE (%(names)s::text[] IS NULL OR p.proname = ANY (%(names)s::text[]))
   AND (%(oids)s::oid[] IS NULL OR p.oid = ANY (%(oids)s::oid[]))
   AND p.pronamespace NOT IN ('pg_catalog'::regnamespace, 'information_schema'::regnamespace)
   AND format('%%s%%s', p.oid, p.ctid) <> ALL (%(before)s::text[])
   AND NOT EXISTS (SELECT FROM pg_catalog.pg_depend d
                    WHERE d.classid = 'pg_catalog.pg_proc'::regclass AND d.objid = p.oid AND d.deptype = 'e')
 ORDER BY p.oid

-- name: routines_named
-- Routines of the given names, with what tells whether a new one takes an old one's place.
SELECT p.oid::bigint AS oid, n.nspname AS schema, p.proname AS name, p.proargtypes::text AS argument_types, i.identity
  FROM pg_catalog.pg_proc p
  JOIN pg_catalog.pg_namespace n ON n.oid = p.pronamespace
 CROSS JOIN LATERAL pg_identify_object('pg_catalog.pg_proc'::regclass, p.oid, 0) i
 WHERE p.proname = ANY (%(names)s)
   AND p.pronamespace NOT IN ('pg_catalog'::regnamespace, 'information_schema'::regnamespace)
   AND NOT EXISTS (SELECT FROM pg_catalog.pg_depend d
                    WHERE d.classid = 'pg_catalog.pg_proc'::regclass AND d.objid = p.oid AND d.deptype = 'e')

-- name: routine_by_identity
SELECT p.oid::bigint AS oid, n.nspname AS schema, p.proname AS name, p.proargtypes::text AS argument_types, i.identity
  FROM pg_catalog.pg_proc p
  JOIN pg_catalog.pg_namespace n ON n.oid = p.pronamespace
 CROSS JOIN LATERAL pg_identify_object('pg_catalog.pg_proc'::regclass, p.oid, 0) i
 WHERE p.pronamespace NOT IN ('pg_catalog'::regnamespace, 'information_schema'::regnamespace)
   AND i.identity = %(identity)s

-- name: dependent_routines
-- The routines that hang on some of the given ones.
SELECT DISTINCT i.identity
  FROM pg_catalog.pg_depend d
 CROSS JOIN LATERAL pg_identify_object(d.classid, d.objid, 0) i
 WHERE d.refclassid = 'pg_catalog.pg_proc'::regclass AND d.refobjid = ANY (%(oids)s::oid[])
   AND d.classid = 'pg_catalog.pg_proc'::regclass

-- name: argument_types
-- A proargtypes value spelt out, for ALTER and DROP ROUTINE.
SELECT coalesce(string_agg(format_type(t::oid, NULL), ', ' ORDER BY o), '')
  FROM unnest(string_to_array(%(argument_types)s, ' ')) WITH ORDINALITY AS a (t, o)
 WHERE t <> ''

-- name: dependants
-- The objects that hang on a routine, as PostgreSQL describes them.
SELECT DISTINCT pg_describe_object(d.classid, d.objid, d.objsubid) AS description
  FROM pg_catalog.pg_depend d
 WHERE d.refclassid = 'pg_catalog.pg_proc'::regclass AND d.refobjid = %(oid)s AND d.deptype IN ('n', 'a')
 ORDER BY 1

-- name: routine_oids
SELECT i.identity, p.oid::bigint
  FROM pg_catalog.pg_proc p
 CROSS JOIN LATERAL pg_identify_object('pg_catalog.pg_proc'::regclass, p.oid, 0) i
 WHERE p.pronamespace NOT IN ('pg_catalog'::regnamespace, 'information_schema'::regnamespace)
   AND i.identity = ANY (%(identities)s)

-- name: validate
-- Check the bodies of routines in SQL and PL/pgSQL, which checks itself; aggregates have none.
SELECT CASE l.lanname WHEN 'sql' THEN fmgr_sql_validator(p.oid)::text ELSE plpgsql_validator(p.oid)::text END
  FROM pg_catalog.pg_proc p
  JOIN pg_catalog.pg_language l ON l.oid = p.prolang AND l.lanname IN ('sql', 'plpgsql')
 WHERE p.oid = ANY (%(routines)s::oid[]) AND p.prokind <> 'a'

-- name: sequences_behind
-- The sequences that feed a column of the given tables, with the column.
SELECT c.oid::regclass::text AS table_name, a.attname AS column_name,
       pg_get_serial_sequence(format('%%I.%%I', n.nspname, c.relname), a.attname) AS sequence
  FROM pg_catalog.pg_class c
  JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace
  JOIN pg_catalog.pg_attribute a ON a.attrelid = c.oid AND a.attnum > 0 AND NOT a.attisdropped
 WHERE c.oid = ANY (%(tables)s::oid[])
   AND pg_get_serial_sequence(format('%%I.%%I', n.nspname, c.relname), a.attname) IS NOT NULL

-- name: seeded_table
-- A table a seeder fills: its columns in order with their types, its keys (primary key first), the tables that its
-- foreign keys refer to, and whether triggers may change what goes in.
SELECT c.oid::bigint AS oid, c.oid::regclass::text AS name,
       concat_ws('.', nullif(c.relnamespace::regnamespace::text, 'public'), c.relname) AS label,
       (SELECT json_agg(json_build_object('name', a.attname, 'type', format_type(a.atttypid, a.atttypmod),
                                          'category', t.typcategory, 'generated', a.attgenerated <> '')
                        ORDER BY a.attnum)
          FROM pg_catalog.pg_attribute a JOIN pg_catalog.pg_type t ON t.oid = a.atttypid
         WHERE a.attrelid = c.oid AND a.attnum > 0 AND NOT a.attisdropped) AS columns,
       (SELECT coalesce(json_agg(key.columns ORDER BY key.is_primary DESC, key.oid), '[]')
          FROM (SELECT x.indexrelid AS oid, x.indisprimary AS is_primary,
                       (SELECT json_agg(a.attname ORDER BY k.o)
                          FROM unnest(x.indkey::int2[]) WITH ORDINALITY AS k (attnum, o)
                          JOIN pg_catalog.pg_attribute a ON a.attrelid = c.oid AND a.attnum = k.attnum
                         WHERE k.o <= x.indnkeyatts) AS columns
                  FROM pg_catalog.pg_index x
                 WHERE x.indrelid = c.oid AND x.indisunique AND x.indpred IS NULL AND x.indexprs IS NULL) key)
           AS keys,
       ARRAY(SELECT confrelid::bigint FROM pg_catalog.pg_constraint
              WHERE conrelid = c.oid AND contype = 'f' AND confrelid <> c.oid) AS needs,
       EXISTS (SELECT FROM pg_catalog.pg_trigger WHERE tgrelid = c.oid AND NOT tgisinternal) AS has_triggers
  FROM pg_catalog.pg_class c
 WHERE c.oid = to_regclass(concat_ws('.', quote_ident(%(schema)s::text), quote_ident(%(table)s::text)))

-- name: deferred_constraints
-- The constraints and constraint triggers that wait for the end of the transaction unless told otherwise.
SELECT string_agg(format('%I.%I', n.nspname, k.conname), ', ')
  FROM (SELECT DISTINCT connamespace, conname FROM pg_catalog.pg_constraint WHERE condeferred) AS k
  JOIN pg_catalog.pg_namespace AS n ON n.oid = k.connamespace
