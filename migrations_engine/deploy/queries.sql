-- name: storage
-- The file of each relation of the application, by oid: a plan shows locks and rewrites of existing relations.
SELECT coalesce(json_object_agg(oid, pg_relation_filenode(oid)::bigint), '{}')
  FROM pg_catalog.pg_class
 WHERE relkind IN ('r', 'p', 'm', 'i', 'I')
   AND relnamespace NOT IN ('pg_catalog'::regnamespace, 'information_schema'::regnamespace, 'pg_toast'::regnamespace)
   AND NOT starts_with(relname, '_stonescriptdb_gateway_')

-- name: strong_locks
-- The strongest lock of this transaction that blocks the application, for each relation, and its present file.
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
-- The available and the installed versions of the given extensions.
SELECT v.name, v.version, e.extversion AS installed, n.nspname AS schema, v.version = a.default_version AS is_default
  FROM pg_catalog.pg_available_extension_versions v
  JOIN pg_catalog.pg_available_extensions a ON a.name = v.name
  LEFT JOIN pg_catalog.pg_extension e ON e.extname = v.name
  LEFT JOIN pg_catalog.pg_namespace n ON n.oid = e.extnamespace
 WHERE v.name = ANY (%(names)s)

-- name: database_search_path
-- The search_path that this database sets for all sessions, if any.
SELECT substr(setting, length('search_path=') + 1)
  FROM pg_catalog.pg_db_role_setting s
 CROSS JOIN LATERAL unnest(s.setconfig) AS setting
 WHERE s.setdatabase = (SELECT oid FROM pg_catalog.pg_database WHERE datname = current_database())
   AND s.setrole = 0 AND setting LIKE 'search\_path=%%'

-- name: materialized_views
-- The materialized views that have their rows, those that others read before these.
SELECT n.nspname, c.relname
  FROM pg_catalog.pg_class c JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace
 WHERE c.relkind = 'm' AND c.relispopulated AND NOT EXISTS (
           SELECT FROM pg_catalog.pg_depend d
            WHERE d.classid = 'pg_catalog.pg_class'::regclass AND d.objid = c.oid AND d.deptype = 'e')
 ORDER BY c.oid

-- name: deferred_constraints
-- The constraints and constraint triggers that are initially deferred.
SELECT string_agg(format('%I.%I', n.nspname, k.conname), ', ')
  FROM (SELECT DISTINCT connamespace, conname FROM pg_catalog.pg_constraint WHERE condeferred) AS k
  JOIN pg_catalog.pg_namespace AS n ON n.oid = k.connamespace

-- name: settings
-- The deploy's own settings, after a file that may have changed them.
SELECT set_config('search_path', %(search_path)s, true), set_config('check_function_bodies', 'off', true),
       set_config('jit', 'off', true)

-- name: search_path
SELECT current_setting('search_path')

-- name: set_search_path
SELECT set_config('search_path', %(search_path)s, true)

-- name: reset_role
SET SESSION AUTHORIZATION DEFAULT; RESET ROLE

-- name: dependants_in_order
-- The direct and indirect dependants of a relation, of one of its columns or constraints, of a type or of a routine, each
-- before those that it uses. Indexes, constraints and defaults of a column are dropped with it and left out.
WITH RECURSIVE root AS (
    SELECT 'pg_catalog.pg_proc'::regclass::oid AS classid, %(routine)s::oid AS objid, 0 AS objsubid
     WHERE %(routine)s::oid IS NOT NULL
     UNION ALL
    SELECT 'pg_catalog.pg_type'::regclass, to_regtype(%(type)s::text)::oid, 0 WHERE to_regtype(%(type)s::text) IS NOT NULL
     UNION ALL
    SELECT 'pg_catalog.pg_constraint'::regclass, oid, 0
      FROM pg_catalog.pg_constraint
     WHERE conrelid = to_regclass(%(relation)s::text) AND conname = %(constraint)s::text
     UNION ALL
    SELECT o.classid, o.objid, 0
      FROM (SELECT DISTINCT classid, objid FROM pg_catalog.pg_depend WHERE objid >= 16384 AND %(object)s::text IS NOT NULL) o
     CROSS JOIN LATERAL pg_identify_object(o.classid, o.objid, 0) i
     WHERE i.type = %(kind)s::text AND i.identity = %(object)s::text
     UNION ALL
    SELECT 'pg_catalog.pg_class'::regclass, to_regclass(%(relation)s::text)::oid,
           coalesce((SELECT attnum FROM pg_catalog.pg_attribute
                      WHERE attrelid = to_regclass(%(relation)s::text) AND attname = %(column)s::text), 0)
     WHERE to_regclass(%(relation)s::text) IS NOT NULL AND %(constraint)s::text IS NULL
), generated AS (
    SELECT e.oid, e.adrelid, e.adnum
      FROM pg_catalog.pg_attrdef e
      JOIN pg_catalog.pg_attribute a ON a.attrelid = e.adrelid AND a.attnum = e.adnum AND a.attgenerated <> ''
), link AS (
    -- A view is its rule _RETURN, the index of a constraint is the constraint, and members of an operator class are the
    -- class; all others are themselves.
    SELECT CASE WHEN w.rulename = '_RETURN' THEN 'pg_catalog.pg_class'::regclass::oid
                ELSE coalesce(whole.refclassid, d.classid) END AS classid,
           CASE WHEN w.rulename = '_RETURN' THEN w.ev_class ELSE coalesce(whole.refobjid, d.objid) END AS objid,
           CASE WHEN w.rulename = '_RETURN' OR whole.objid IS NOT NULL THEN 0 ELSE d.objsubid END AS objsubid,
           d.refclassid, d.refobjid, d.refobjsubid,
           CASE WHEN whole.objid IS NOT NULL THEN 'n' ELSE d.deptype END AS deptype
      FROM pg_catalog.pg_depend d
      LEFT JOIN pg_catalog.pg_rewrite w ON d.classid = 'pg_catalog.pg_rewrite'::regclass AND w.oid = d.objid
      LEFT JOIN pg_catalog.pg_depend whole
        ON whole.classid = d.classid AND whole.objid = d.objid AND whole.deptype = 'i' AND d.deptype <> 'i'
       AND (whole.classid IN ('pg_catalog.pg_amop'::regclass, 'pg_catalog.pg_amproc'::regclass)
            OR whole.classid = 'pg_catalog.pg_class'::regclass AND whole.refclassid = 'pg_catalog.pg_constraint'::regclass)
     WHERE NOT (d.classid = 'pg_catalog.pg_attrdef'::regclass AND d.deptype IN ('a', 'i') AND EXISTS (
         SELECT FROM generated g WHERE g.oid = d.objid AND (g.adrelid, g.adnum) = (d.refobjid, d.refobjsubid)))
     UNION ALL
    -- A generated column is dropped with its expression, and computed again.
    SELECT 'pg_catalog.pg_class'::regclass, adrelid, adnum, 'pg_catalog.pg_attrdef'::regclass, oid, 0, 'n' FROM generated
), found AS (
    SELECT classid, objid, objsubid, 0 AS depth FROM root
     UNION
    SELECT l.classid, l.objid, l.objsubid, f.depth + 1
      FROM found f
      JOIN link l ON l.refclassid = f.classid AND l.refobjid = f.objid AND f.objsubid IN (0, l.refobjsubid)
     WHERE (l.classid, l.objid) <> (f.classid, f.objid) AND f.depth < 40
       AND (l.deptype IN ('n', 'a') OR (l.deptype = 'i' AND l.classid = 'pg_catalog.pg_type'::regclass))
       AND NOT (f.objsubid > 0 AND (
                l.classid = 'pg_catalog.pg_constraint'::regclass
                OR (l.classid = 'pg_catalog.pg_class'::regclass
                    AND EXISTS (SELECT FROM pg_catalog.pg_class i WHERE i.oid = l.objid AND i.relkind IN ('i', 'I', 'S')))
                OR (l.classid = 'pg_catalog.pg_attrdef'::regclass
                    AND EXISTS (SELECT FROM pg_catalog.pg_attrdef e
                                 WHERE e.oid = l.objid AND e.adrelid = f.objid AND e.adnum = f.objsubid))
                OR l.classid = 'pg_catalog.pg_statistic_ext'::regclass))
), object AS (
    SELECT f.classid, f.objid, max(f.depth) AS depth, coalesce(c.adnum, 0) AS objsubid
      FROM found f
      LEFT JOIN generated c ON f.classid = 'pg_catalog.pg_class'::regclass AND (c.adrelid, c.adnum) = (f.objid, f.objsubid)
     WHERE f.depth > 0 AND (f.classid, f.objid, coalesce(c.adnum, 0)) NOT IN (SELECT classid, objid, objsubid FROM root)
       AND (c.adnum IS NOT NULL OR (f.classid, f.objid) NOT IN (SELECT classid, objid FROM root))
       AND NOT (f.classid = 'pg_catalog.pg_attrdef'::regclass AND f.objid IN (SELECT oid FROM generated))
     GROUP BY f.classid, f.objid, c.adnum
), named AS (
    SELECT o.*, i.identity, i.type, pg_describe_object(o.classid, o.objid, o.objsubid) AS description,
           coalesce(w.ev_class, g.tgrelid, p.polrelid, nullif(k.conrelid, 0), e.adrelid, x.indrelid, a.attrelid, s.stxrelid) AS holder_oid,
           coalesce(w.rulename, g.tgname, p.polname, k.conname, a.attname, c.relname, s.stxname)::text AS object_name,
           c.relkind, k.contype, r.prokind,
           o.classid IN ('pg_catalog.pg_operator'::regclass, 'pg_catalog.pg_opclass'::regclass,
                         'pg_catalog.pg_opfamily'::regclass, 'pg_catalog.pg_cast'::regclass,
                         'pg_catalog.pg_conversion'::regclass, 'pg_catalog.pg_transform'::regclass,
                         'pg_catalog.pg_ts_config'::regclass, 'pg_catalog.pg_ts_dict'::regclass,
                         'pg_catalog.pg_event_trigger'::regclass, 'pg_catalog.pg_publication'::regclass) AS is_object,
           CASE WHEN k.contype = 'c' AND k.contypid <> 0 THEN
                (SELECT d.identity FROM pg_identify_object('pg_catalog.pg_type'::regclass, k.contypid, 0) d) END AS domain
      FROM object o
     CROSS JOIN LATERAL pg_identify_object(o.classid, o.objid, 0) i
      LEFT JOIN pg_catalog.pg_class c ON o.classid = 'pg_catalog.pg_class'::regclass AND c.oid = o.objid
      LEFT JOIN pg_catalog.pg_index x ON o.classid = 'pg_catalog.pg_class'::regclass AND x.indexrelid = o.objid
      LEFT JOIN pg_catalog.pg_rewrite w ON o.classid = 'pg_catalog.pg_rewrite'::regclass AND w.oid = o.objid
      LEFT JOIN pg_catalog.pg_trigger g ON o.classid = 'pg_catalog.pg_trigger'::regclass AND g.oid = o.objid
      LEFT JOIN pg_catalog.pg_policy p ON o.classid = 'pg_catalog.pg_policy'::regclass AND p.oid = o.objid
      LEFT JOIN pg_catalog.pg_constraint k ON o.classid = 'pg_catalog.pg_constraint'::regclass AND k.oid = o.objid
      LEFT JOIN pg_catalog.pg_attrdef e ON o.classid = 'pg_catalog.pg_attrdef'::regclass AND e.oid = o.objid
      LEFT JOIN pg_catalog.pg_attribute a
        ON (a.attrelid, a.attnum) IN ((e.adrelid, e.adnum), (CASE WHEN o.objsubid > 0 THEN o.objid END, o.objsubid))
      LEFT JOIN pg_catalog.pg_statistic_ext s ON o.classid = 'pg_catalog.pg_statistic_ext'::regclass AND s.oid = o.objid
      LEFT JOIN pg_catalog.pg_proc r ON o.classid = 'pg_catalog.pg_proc'::regclass AND r.oid = o.objid
     -- The row type of a relation goes with it, as an array type with that of its elements, and the checks of a domain.
     WHERE NOT (o.classid = 'pg_catalog.pg_type'::regclass AND EXISTS (
         SELECT FROM pg_catalog.pg_type t LEFT JOIN pg_catalog.pg_type element ON element.typarray = t.oid
           LEFT JOIN pg_catalog.pg_class v ON v.oid = t.typrelid
          WHERE t.oid = o.objid AND (element.oid IS NOT NULL OR v.relkind <> 'c')))
       AND ('pg_catalog.pg_type'::regclass, coalesce(k.contypid, 0)) NOT IN (SELECT classid, objid FROM root)
)
SELECT CASE WHEN n.relkind IN ('v', 'm') THEN 'view' WHEN n.relkind IN ('i', 'I') THEN 'index'
            WHEN n.type IN ('rule', 'trigger', 'policy') THEN n.type
            WHEN n.type = 'statistics object' THEN 'statistics'
            WHEN n.domain IS NOT NULL THEN 'domain check' WHEN n.contype IN ('c', 'p', 'u', 'x') THEN 'constraint'
            WHEN n.is_object THEN 'object'
            WHEN n.objsubid > 0 THEN 'generated column' WHEN n.classid = 'pg_catalog.pg_attrdef'::regclass THEN 'default'
            WHEN n.prokind IS NOT NULL THEN 'routine' ELSE 'other' END AS kind,
       CASE WHEN n.relkind IN ('v', 'm') THEN regexp_replace(n.identity, '^public\.', '')
            WHEN n.is_object THEN n.type ELSE n.object_name END AS name,
       regexp_replace(coalesce(h.identity, n.domain), '^public\.', '') AS holder, n.description, n.identity,
       CASE WHEN n.relkind = 'v' THEN format('DROP VIEW IF EXISTS %%s', n.identity)
            WHEN n.relkind = 'm' THEN format('DROP MATERIALIZED VIEW IF EXISTS %%s', n.identity)
            WHEN n.relkind IN ('i', 'I') THEN format('DROP INDEX IF EXISTS %%s', n.identity)
            WHEN n.type = 'statistics object' THEN format('DROP STATISTICS IF EXISTS %%s', n.identity)
            WHEN n.type IN ('rule', 'trigger', 'policy')
                THEN format('DROP %%s IF EXISTS %%I ON %%s', upper(n.type), n.object_name, h.identity)
            WHEN n.contype IN ('c', 'p', 'u', 'x') AND h.identity IS NOT NULL
                THEN format('ALTER TABLE %%s DROP CONSTRAINT IF EXISTS %%I', h.identity, n.object_name)
            WHEN n.domain IS NOT NULL THEN format('ALTER DOMAIN %%s DROP CONSTRAINT IF EXISTS %%I', n.domain, n.object_name)
            WHEN n.is_object THEN format('DROP %%s IF EXISTS %%s', upper(n.type), n.identity)
            WHEN n.objsubid > 0 THEN format('ALTER TABLE %%s DROP COLUMN IF EXISTS %%I', h.identity, n.object_name)
            WHEN n.classid = 'pg_catalog.pg_attrdef'::regclass THEN format('ALTER TABLE %%s ALTER COLUMN %%I DROP DEFAULT', h.identity, n.object_name)
            WHEN n.prokind IS NOT NULL THEN format('DROP ROUTINE IF EXISTS %%s', n.identity) END AS statement
  FROM named n
  LEFT JOIN LATERAL pg_identify_object('pg_catalog.pg_class'::regclass, n.holder_oid, 0) h ON n.holder_oid IS NOT NULL
 WHERE NOT (n.type = 'trigger' AND EXISTS (SELECT FROM pg_catalog.pg_trigger t WHERE t.oid = n.objid AND t.tgisinternal))
 ORDER BY n.depth DESC, n.description

-- name: expressions_over_column
-- What a table has that computes with one of its columns: checks, exclusion constraints, its default, and indexes and
-- statistics with expressions or conditions. ALTER COLUMN TYPE converts them, which PostgreSQL may refuse.
SELECT CASE WHEN k.oid IS NOT NULL THEN 'constraint' WHEN x.indexrelid IS NOT NULL THEN 'index'
            WHEN s.oid IS NOT NULL THEN 'statistics' ELSE 'default' END AS kind,
       coalesce(k.conname, c.relname, s.stxname, a.attname) AS name,
       regexp_replace(h.identity, '^public\.', '') AS holder,
       pg_describe_object(d.classid, d.objid, 0) AS description,
       CASE WHEN k.oid IS NOT NULL THEN format('ALTER TABLE %%s DROP CONSTRAINT IF EXISTS %%I', h.identity, k.conname)
            WHEN x.indexrelid IS NOT NULL THEN format('DROP INDEX IF EXISTS %%s', i.identity)
            WHEN s.oid IS NOT NULL THEN format('DROP STATISTICS IF EXISTS %%s', i.identity)
            ELSE format('ALTER TABLE %%s ALTER COLUMN %%I DROP DEFAULT', h.identity, a.attname) END AS statement,
       i.identity
  FROM pg_catalog.pg_attribute a
  JOIN (SELECT DISTINCT classid, objid, refobjid, refobjsubid FROM pg_catalog.pg_depend
         WHERE refclassid = 'pg_catalog.pg_class'::regclass) d ON (d.refobjid, d.refobjsubid) = (a.attrelid, a.attnum)
 CROSS JOIN LATERAL pg_identify_object('pg_catalog.pg_class'::regclass, a.attrelid, 0) h
 CROSS JOIN LATERAL pg_identify_object(d.classid, d.objid, 0) i
  LEFT JOIN pg_catalog.pg_constraint k
    ON k.conrelid = a.attrelid
   AND (d.classid = 'pg_catalog.pg_constraint'::regclass AND k.oid = d.objid AND k.contype = 'c'
        OR d.classid = 'pg_catalog.pg_class'::regclass AND k.conindid = d.objid AND k.contype = 'x')
  LEFT JOIN pg_catalog.pg_index x
    ON d.classid = 'pg_catalog.pg_class'::regclass AND x.indexrelid = d.objid AND x.indrelid = a.attrelid
   AND (x.indexprs IS NOT NULL OR x.indpred IS NOT NULL)
   AND NOT EXISTS (SELECT FROM pg_catalog.pg_constraint WHERE conindid = x.indexrelid)
  LEFT JOIN pg_catalog.pg_class c ON c.oid = x.indexrelid
  LEFT JOIN pg_catalog.pg_statistic_ext s
    ON d.classid = 'pg_catalog.pg_statistic_ext'::regclass AND s.oid = d.objid AND s.stxexprs IS NOT NULL
  LEFT JOIN pg_catalog.pg_attrdef e
    ON d.classid = 'pg_catalog.pg_attrdef'::regclass AND e.oid = d.objid
   AND (e.adrelid, e.adnum) = (a.attrelid, a.attnum) AND a.attgenerated = ''
 WHERE a.attrelid = to_regclass(%(relation)s::text) AND a.attname = %(column)s::text
   AND num_nonnulls(k.oid, x.indexrelid, s.oid, e.oid) > 0
 ORDER BY description

-- name: blockers
-- The sessions that block a session. An ordinary role sees only the pid of other roles' sessions.
SELECT b.pid, coalesce(a.application_name, '') AS application, coalesce(a.usename::text, '') AS role,
       coalesce(a.state, CASE WHEN b.pid = 0 THEN 'prepared transaction' ELSE 'state unknown' END) AS state,
       coalesce(extract(epoch FROM clock_timestamp() - a.xact_start), 0)::int AS transaction_seconds,
       coalesce(extract(epoch FROM clock_timestamp() - a.query_start), 0)::int AS query_seconds,
       coalesce((SELECT virtualtransaction FROM pg_catalog.pg_locks l WHERE l.pid = b.pid LIMIT 1), '') AS transaction
  FROM unnest(pg_blocking_pids(%(pid)s)) AS b (pid)
  LEFT JOIN pg_catalog.pg_stat_activity a ON a.pid = b.pid

-- name: transactions_open
SELECT EXISTS (SELECT FROM pg_catalog.pg_locks WHERE virtualtransaction = ANY (%(transactions)s))

-- name: objects_of_other_roles
-- The objects of roles whose privileges the deploying role does not have, with the statements that make it their owner.
-- Indexes and sequences of columns belong to their table.
SELECT i.type, i.identity, coalesce(btrim(i.name, '"'), a.object_names[cardinality(a.object_names)]) AS name,
       quote_ident(pg_get_userbyid(o.owner)) AS owner,
       CASE WHEN i.type <> 'extension' THEN
            format('ALTER %s %s OWNER TO %I',
                   CASE i.type WHEN 'composite type' THEN 'TYPE' WHEN 'statistics object' THEN 'STATISTICS'
                               WHEN 'foreign-data wrapper' THEN 'FOREIGN DATA WRAPPER' ELSE upper(i.type) END,
                   i.identity, current_user) END AS command
  FROM (SELECT tableoid, oid, nspowner AS owner FROM pg_catalog.pg_namespace WHERE nspname !~ '^pg_'
         UNION ALL
        SELECT c.tableoid, c.oid, c.relowner FROM pg_catalog.pg_class c
         WHERE c.relkind IN ('r', 'p', 'f', 'v', 'm', 'S') AND NOT EXISTS (
               SELECT FROM pg_catalog.pg_depend d
                WHERE d.classid = c.tableoid AND d.objid = c.oid AND d.deptype IN ('a', 'i') AND d.refobjsubid > 0)
         UNION ALL
        SELECT t.tableoid, t.oid, t.typowner FROM pg_catalog.pg_type t
         WHERE NOT EXISTS (SELECT FROM pg_catalog.pg_depend d
                            WHERE d.classid = t.tableoid AND d.objid = t.oid AND d.deptype = 'i'
                              AND NOT EXISTS (SELECT FROM pg_catalog.pg_class c WHERE c.oid = d.refobjid AND c.relkind = 'c'))
         UNION ALL SELECT tableoid, oid, proowner FROM pg_catalog.pg_proc
         UNION ALL {{owners}}
         UNION ALL SELECT tableoid, oid, stxowner FROM pg_catalog.pg_statistic_ext
         UNION ALL SELECT tableoid, oid, extowner FROM pg_catalog.pg_extension) AS o
 CROSS JOIN LATERAL pg_identify_object(o.tableoid, o.oid, 0) i
 CROSS JOIN LATERAL pg_identify_object_as_address(o.tableoid, o.oid, 0) a
 WHERE (o.oid >= 16384 OR o.tableoid = 'pg_catalog.pg_namespace'::regclass AND i.identity = 'public')
   AND NOT pg_has_role(o.owner, 'USAGE')
   AND NOT EXISTS (SELECT FROM pg_catalog.pg_depend d
                    WHERE d.classid = o.tableoid AND d.objid = o.oid AND d.deptype = 'e')
 ORDER BY 1, 2

-- name: stored_results
-- What has stored results of changed routines and text search objects, of their operators or of routines that call them:
-- indexes, by their names, and columns, constraints and partition keys, as people call them; each with the changed
-- object and the name of its table. A body that is a string depends on nothing, so it is searched for the names. On
-- PostgreSQL 14 a generated column depends on the routine itself.
WITH RECURSIVE named AS (
    SELECT tableoid AS classid, oid AS objid, proname AS name FROM pg_catalog.pg_proc
     WHERE pronamespace NOT IN ('pg_catalog'::regnamespace, 'information_schema'::regnamespace)
     UNION ALL SELECT tableoid, oid, cfgname FROM pg_catalog.pg_ts_config WHERE oid >= 16384
     UNION ALL SELECT tableoid, oid, dictname FROM pg_catalog.pg_ts_dict WHERE oid >= 16384
), used AS (
    SELECT d.classid AS user_class, d.objid AS user_id, d.objsubid AS user_column, d.refclassid AS classid, d.refobjid AS objid
      FROM pg_catalog.pg_depend d
      LEFT JOIN pg_catalog.pg_class c ON d.classid = 'pg_catalog.pg_class'::regclass AND c.oid = d.objid AND d.objsubid = 0
      LEFT JOIN pg_catalog.pg_constraint k ON d.classid = 'pg_catalog.pg_constraint'::regclass AND k.oid = d.objid
     WHERE d.objid >= 16384 AND d.refobjid >= 16384
       AND d.refclassid IN ('pg_catalog.pg_proc'::regclass, 'pg_catalog.pg_operator'::regclass,
                            'pg_catalog.pg_opclass'::regclass, 'pg_catalog.pg_ts_config'::regclass,
                            'pg_catalog.pg_ts_dict'::regclass)
       AND (c.relkind IN ('i', 'p') OR k.contype = 'c' OR d.classid = 'pg_catalog.pg_attrdef'::regclass
            OR d.classid = 'pg_catalog.pg_class'::regclass AND d.objsubid > 0)
     UNION
    SELECT u.user_class, u.user_id, u.user_column, next.classid, next.objid
      FROM used u
     CROSS JOIN LATERAL (
         SELECT d.refclassid, d.refobjid FROM pg_catalog.pg_depend d
          WHERE (d.classid, d.objid) = (u.classid, u.objid) AND d.refobjid >= 16384
            AND d.refclassid NOT IN ('pg_catalog.pg_class'::regclass, 'pg_catalog.pg_type'::regclass,
                                     'pg_catalog.pg_namespace'::regclass)
          UNION ALL
         SELECT d.classid, d.objid FROM pg_catalog.pg_depend d
          WHERE (d.refclassid, d.refobjid) = (u.classid, u.objid)
            AND d.classid IN ('pg_catalog.pg_amop'::regclass, 'pg_catalog.pg_amproc'::regclass)
          UNION ALL
         SELECT n.classid, n.objid
           FROM pg_catalog.pg_proc p
           JOIN named n ON p.prosrc ~* format('\m%%s\M', regexp_replace(n.name, '(\W)', '\\\1', 'g'))
          WHERE u.classid = 'pg_catalog.pg_proc'::regclass AND p.oid = u.objid
     ) AS next (classid, objid)
)
SELECT DISTINCT changed.name, c.relkind IS NOT DISTINCT FROM 'i' AS is_index, stored.user,
       coalesce(e.adrelid, k.conrelid, c.oid, u.user_id)::regclass::text AS "table"
  FROM used u
 CROSS JOIN LATERAL pg_identify_object(u.classid, u.objid, 0) o
 CROSS JOIN LATERAL (SELECT CASE WHEN u.classid = 'pg_catalog.pg_proc'::regclass THEN o.identity
                                 ELSE concat(o.type, ' ', o.identity) END) AS changed (name)
 CROSS JOIN LATERAL pg_identify_object(u.user_class, u.user_id, 0) i
  LEFT JOIN pg_catalog.pg_class c ON u.user_class = 'pg_catalog.pg_class'::regclass AND c.oid = u.user_id AND u.user_column = 0
  LEFT JOIN pg_catalog.pg_attrdef e ON u.user_class = 'pg_catalog.pg_attrdef'::regclass AND e.oid = u.user_id
  LEFT JOIN pg_catalog.pg_constraint k ON u.user_class = 'pg_catalog.pg_constraint'::regclass AND k.oid = u.user_id
 CROSS JOIN LATERAL (SELECT CASE
      WHEN c.relkind = 'i' THEN i.identity
      WHEN c.relkind = 'p' THEN format('the partition key of %%s', u.user_id::regclass)
      WHEN u.user_class = 'pg_catalog.pg_constraint'::regclass THEN pg_describe_object(u.user_class, u.user_id, 0)
      ELSE (SELECT format('the generated column %%s.%%I', a.attrelid::regclass, a.attname)
              FROM pg_catalog.pg_attribute a  -- a default is computed when a row is written
             WHERE a.attgenerated = 's'
               AND (a.attrelid, a.attnum) = (coalesce(e.adrelid, u.user_id), coalesce(e.adnum, u.user_column)))
      END) AS stored ("user")
 WHERE stored.user IS NOT NULL
   AND (u.classid = 'pg_catalog.pg_proc'::regclass AND u.objid = ANY (%(routines)s::oid[])
        OR changed.name = ANY (%(objects)s::text[]))
 ORDER BY 3, 1

-- name: partition_condition
-- The condition that the rows of a partition satisfy.
SELECT pg_get_partition_constraintdef(%(partition)s::regclass)

-- name: sequences_of_columns
-- The sequences from which columns of a table draw, each with every column of whole numbers that draws from it, the last
-- number that it can have, and its direction.
WITH drawing AS (
  SELECT d.refobjid AS sequence, a.attrelid, a.attname, a.atttypid
    FROM pg_catalog.pg_attrdef AS e
    JOIN pg_catalog.pg_depend AS d ON d.classid = 'pg_catalog.pg_attrdef'::regclass AND d.objid = e.oid
     AND d.refclassid = 'pg_catalog.pg_class'::regclass
    JOIN pg_catalog.pg_attribute AS a ON a.attrelid = e.adrelid AND a.attnum = e.adnum
   WHERE pg_get_expr(e.adbin, e.adrelid) ~ '^nextval\(''([^'']|'''')+''::regclass\)$'
  UNION ALL
  SELECT d.objid, a.attrelid, a.attname, a.atttypid
    FROM pg_catalog.pg_depend AS d
    JOIN pg_catalog.pg_attribute AS a ON a.attrelid = d.refobjid AND a.attnum = d.refobjsubid
   WHERE d.classid = 'pg_catalog.pg_class'::regclass AND d.refclassid = 'pg_catalog.pg_class'::regclass
     AND d.deptype = 'i' AND a.attidentity <> '')
SELECT other.attrelid::regclass::text, other.attname::text, s.seqrelid::regclass::text,
       CASE WHEN s.seqincrement > 0 THEN s.seqmax ELSE s.seqmin END,
       CASE WHEN s.seqincrement > 0 THEN 'ascending' ELSE 'descending' END
  FROM drawing AS one
  JOIN drawing AS other USING (sequence)
  JOIN pg_catalog.pg_sequence AS s ON s.seqrelid = one.sequence
 WHERE one.attrelid = to_regclass(format('%%I.%%I', %(schema)s::text, %(table)s::text))
   AND other.atttypid IN ('int2'::regtype, 'int4'::regtype, 'int8'::regtype)

-- name: other_parents
-- A table, a column of it as it is written, those below it that inherit the column from another one, too, and that.
WITH RECURSIVE below AS (
  SELECT inhrelid FROM pg_catalog.pg_inherits
   WHERE inhparent = to_regclass(format('%%I.%%I', %(schema)s::text, %(name)s::text))
  UNION
  SELECT i.inhrelid FROM pg_catalog.pg_inherits AS i JOIN below ON i.inhparent = below.inhrelid)
SELECT own::text, quote_ident(%(column)s), i.inhrelid::regclass::text, i.inhparent::regclass::text
  FROM to_regclass(format('%%I.%%I', %(schema)s::text, %(name)s::text)) AS own
  JOIN below ON true
  JOIN pg_catalog.pg_inherits AS i USING (inhrelid)
  JOIN pg_catalog.pg_attribute AS a ON a.attrelid = i.inhparent AND a.attname = %(column)s AND NOT a.attisdropped
 WHERE i.inhparent <> own AND i.inhparent NOT IN (SELECT inhrelid FROM below)
 ORDER BY 3, i.inhseqno

-- name: index_of_transaction
-- An index that this transaction has created or rebuilt: its definition and comment; no definition if it belongs to a
-- constraint or partition. Rows of this transaction are not older than its number.
SELECT CASE WHEN NOT c.relispartition AND k.oid IS NULL THEN pg_get_indexdef(c.oid) END,
       obj_description(c.oid, 'pg_class')
  FROM pg_catalog.pg_class c
  LEFT JOIN pg_catalog.pg_constraint k ON k.conindid = c.oid AND k.contype IN ('p', 'u', 'x')
 WHERE c.oid = %(index)s::regclass AND age(c.xmin) <= age(pg_current_xact_id()::xid)
