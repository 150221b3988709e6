-- name: routine_versions
-- A text for each routine that changes whenever the routine is created, replaced or altered.
SELECT format('%%s%%s', oid, ctid)
  FROM pg_catalog.pg_proc
 WHERE (%(names)s::text[] IS NULL OR proname = ANY (%(names)s::text[]))
   AND pronamespace NOT IN ('pg_catalog'::regnamespace, 'information_schema'::regnamespace)

-- name: routines_made
-- Routines of the given names or oids, without those of the given versions.
SELECT p.oid::bigint AS oid, format('%%s%%s', p.oid, p.ctid) AS version, i.identity, p.proname AS name,
       n.nspname AS schema, p.prokind::text AS kind, l.lanname AS language, p.proargtypes::text AS argument_types,
       (SELECT coalesce(array_agg(format_type(t, NULL) ORDER BY o), '{}')
          FROM unnest(p.proargtypes) WITH ORDINALITY AS a (t, o)) AS arguments,
       coalesce(pg_get_function_result(p.oid), '') AS result,
       {{routine_fingerprint}} AS fingerprint
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
-- Routines of the given names, with the columns that show whether a new one replaces an old one.
SELECT p.oid::bigint AS oid, n.nspname AS schema, p.proname AS name, p.proargtypes::text AS argument_types, i.identity
  FROM pg_catalog.pg_proc p
  JOIN pg_catalog.pg_namespace n ON n.oid = p.pronamespace
 CROSS JOIN LATERAL pg_identify_object('pg_catalog.pg_proc'::regclass, p.oid, 0) i
 WHERE p.proname = ANY (%(names)s)
   AND p.pronamespace NOT IN ('pg_catalog'::regnamespace, 'information_schema'::regnamespace)
   AND NOT EXISTS (SELECT FROM pg_catalog.pg_depend d
                    WHERE d.classid = 'pg_catalog.pg_proc'::regclass AND d.objid = p.oid AND d.deptype = 'e')

-- name: routines_aside
SELECT p.oid::bigint AS oid, n.nspname AS schema, p.proname AS name, p.proargtypes::text AS argument_types, i.identity
  FROM pg_catalog.pg_proc p
  JOIN pg_catalog.pg_namespace n ON n.oid = p.pronamespace
 CROSS JOIN LATERAL pg_identify_object('pg_catalog.pg_proc'::regclass, p.oid, 0) i
 WHERE p.proname = %(prefix)s || p.oid

-- name: routine_by_identity
SELECT p.oid::bigint AS oid, n.nspname AS schema, p.proname AS name, p.proargtypes::text AS argument_types, i.identity
  FROM pg_catalog.pg_proc p
  JOIN pg_catalog.pg_namespace n ON n.oid = p.pronamespace
 CROSS JOIN LATERAL pg_identify_object('pg_catalog.pg_proc'::regclass, p.oid, 0) i
 WHERE p.pronamespace NOT IN ('pg_catalog'::regnamespace, 'information_schema'::regnamespace)
   AND i.identity = %(identity)s

-- name: dependent_routines
-- The routines that depend on some of the given ones.
SELECT DISTINCT i.identity
  FROM pg_catalog.pg_depend d
 CROSS JOIN LATERAL pg_identify_object(d.classid, d.objid, 0) i
 WHERE d.refclassid = 'pg_catalog.pg_proc'::regclass AND d.refobjid = ANY (%(oids)s::oid[])
   AND d.classid = 'pg_catalog.pg_proc'::regclass

-- name: argument_types
-- The names of the types in a proargtypes value, for ALTER and DROP ROUTINE.
SELECT coalesce(string_agg(format_type(t::oid, NULL), ', ' ORDER BY o), '')
  FROM unnest(string_to_array(%(argument_types)s, ' ')) WITH ORDINALITY AS a (t, o)
 WHERE t <> ''

-- name: dependants
-- The objects that depend on a routine, as PostgreSQL describes them.
SELECT DISTINCT pg_describe_object(d.classid, d.objid, d.objsubid) AS description
  FROM pg_catalog.pg_depend d
 WHERE d.refclassid = 'pg_catalog.pg_proc'::regclass AND d.refobjid = %(oid)s AND d.deptype IN ('n', 'a')
 ORDER BY 1

-- name: routine_fingerprints
SELECT i.identity,
       {{routine_fingerprint}}
  FROM pg_catalog.pg_proc p
 CROSS JOIN LATERAL pg_identify_object('pg_catalog.pg_proc'::regclass, p.oid, 0) i
 WHERE p.pronamespace NOT IN ('pg_catalog'::regnamespace, 'information_schema'::regnamespace)
   AND i.identity = ANY (%(identities)s)

-- name: all_routine_fingerprints
SELECT p.oid::bigint, {{routine_fingerprint}}
  FROM pg_catalog.pg_proc p
 WHERE p.oid >= 16384

-- name: set_path_of_routine
-- The body of a function that sets search_path is checked with that.
SELECT set_config('search_path', substr(setting, length('search_path=') + 1), true)
  FROM pg_catalog.pg_proc p
 CROSS JOIN LATERAL unnest(p.proconfig) AS setting
 WHERE p.oid = %(routine)s AND starts_with(setting, 'search_path=')

-- name: routine_oids
SELECT i.identity, p.oid::bigint
  FROM pg_catalog.pg_proc p
 CROSS JOIN LATERAL pg_identify_object('pg_catalog.pg_proc'::regclass, p.oid, 0) i
 WHERE p.pronamespace NOT IN ('pg_catalog'::regnamespace, 'information_schema'::regnamespace)
   AND i.identity = ANY (%(identities)s)

-- name: validate
-- Check the bodies of routines in SQL and PL/pgSQL. Aggregates have none.
SELECT CASE l.lanname WHEN 'sql' THEN fmgr_sql_validator(p.oid)::text ELSE plpgsql_validator(p.oid)::text END
  FROM pg_catalog.pg_proc p
  JOIN pg_catalog.pg_language l ON l.oid = p.prolang AND l.lanname IN ('sql', 'plpgsql')
 WHERE p.oid = ANY (%(routines)s::oid[]) AND p.prokind <> 'a'

-- name: check_bodies
SELECT set_config('check_function_bodies', %(check)s, true)
