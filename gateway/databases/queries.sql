-- Ownership of databases. The stamp is the comment on the database: pg_shdescription can be read from every database.

-- name: database_named
-- The database of a name, of any owner. A DROP that was interrupted leaves one that cannot be connected to.
SELECT d.oid::int8 AS oid, d.datname::text AS name, d.datconnlimit = -2 AS is_half_dropped, s.description AS comment,
    pg_catalog.pg_get_userbyid(d.datdba)::text AS role
FROM pg_catalog.pg_database AS d
LEFT JOIN pg_catalog.pg_shdescription AS s
    ON s.objoid = d.oid AND s.classoid = 'pg_catalog.pg_database'::pg_catalog.regclass
WHERE d.datname = %(name)s

-- name: stamped_databases
-- Databases whose comment begins as a stamp does; no connection to any of them is opened.
-- Sizes only if they are requested: each takes a millisecond, for the files of the database are counted. The size of a
-- database that this role may not connect to is null, because asking for it would be an error.
SELECT
    d.oid::int8 AS oid, d.datname::text AS name, false AS is_half_dropped, s.description AS comment,
    pg_catalog.pg_get_userbyid(d.datdba)::text AS role,
    CASE
        WHEN NOT %(sizes)s THEN NULL
        WHEN pg_catalog.has_database_privilege(d.oid, 'CONNECT') OR pg_catalog.pg_has_role('pg_read_all_stats', 'USAGE')
        THEN pg_catalog.pg_database_size(d.oid)
    END AS size_bytes
FROM pg_catalog.pg_shdescription AS s
JOIN pg_catalog.pg_database AS d ON d.oid = s.objoid
WHERE
    s.classoid = 'pg_catalog.pg_database'::pg_catalog.regclass
    AND pg_catalog.starts_with(s.description, %(prefix)s)
    AND d.datconnlimit <> -2
ORDER BY d.datname

-- name: unstamped_databases
-- Databases without a stamp, which can be adopted.
SELECT d.oid::int8 AS oid, d.datname::text AS name, false AS is_half_dropped, s.description AS comment,
    pg_catalog.pg_get_userbyid(d.datdba)::text AS role
FROM pg_catalog.pg_database AS d
LEFT JOIN pg_catalog.pg_shdescription AS s
    ON s.objoid = d.oid AND s.classoid = 'pg_catalog.pg_database'::pg_catalog.regclass
WHERE
    NOT d.datistemplate AND d.datallowconn AND d.datconnlimit <> -2
    AND NOT pg_catalog.starts_with(coalesce(s.description, ''), %(prefix)s)
ORDER BY d.datname

-- name: unfinished_databases
-- Databases under a temporary name, of any gateway that uses this maintenance database.
SELECT d.datname::text AS name FROM pg_catalog.pg_database AS d
WHERE pg_catalog.starts_with(d.datname::text, %(prefix)s)
ORDER BY d.datname

-- name: current_database_oid
SELECT d.oid::int8 AS oid FROM pg_catalog.pg_database AS d WHERE d.datname = pg_catalog.current_database()

-- name: path_in_database
-- Where the session's pg_class is (its oid is 1259): base/<oid of the database>/<file>, or in a tablespace
-- pg_tblspc/…/<oid of the database>/<file>. It is the first query of a connection, and this a new backend knows without
-- looking into a table.
SELECT pg_catalog.pg_relation_filepath('1259'::pg_catalog.regclass) AS path

-- name: template_encoding
SELECT pg_catalog.pg_encoding_to_char(d.encoding)::text AS encoding
FROM pg_catalog.pg_database AS d WHERE d.datname = %(template)s

-- name: try_lock
-- A lock of the session on a name; tried again and again rather than waited for, so that a waiter holds no snapshot.
SELECT pg_catalog.pg_try_advisory_lock(pg_catalog.hashtextextended(%(name)s, 7205759403792793)) AS locked

-- name: unlock
SELECT pg_catalog.pg_advisory_unlock(pg_catalog.hashtextextended(%(name)s, 7205759403792793)) AS unlocked

-- name: template_named
SELECT d.datname::text AS name, s.description AS comment
FROM pg_catalog.pg_database AS d
JOIN pg_catalog.pg_shdescription AS s
    ON s.objoid = d.oid AND s.classoid = 'pg_catalog.pg_database'::pg_catalog.regclass
WHERE d.datname = %(name)s AND NOT d.datallowconn AND d.datconnlimit <> -2

-- name: templates
SELECT d.datname::text AS name, s.description AS comment
FROM pg_catalog.pg_database AS d
JOIN pg_catalog.pg_shdescription AS s
    ON s.objoid = d.oid AND s.classoid = 'pg_catalog.pg_database'::pg_catalog.regclass
WHERE pg_catalog.starts_with(d.datname::text, %(prefix)s) AND NOT d.datallowconn
ORDER BY d.datname

-- name: size_of
SELECT pg_catalog.pg_database_size(d.oid) AS bytes FROM pg_catalog.pg_database AS d WHERE d.datname = %(name)s

-- name: flush_with_publication
-- A commit in a database that is not published need not wait for the disk: the commit of its publication, which comes later
-- in the WAL, does. Before that a crash leaves a database that is dropped.
SET synchronous_commit = off

-- name: lock_copy_space
-- Only one transaction at a time reserves space for a copy, or publishes one. It takes milliseconds.
SELECT pg_catalog.pg_advisory_xact_lock(7205759403792794)

-- name: copy_space
-- The blocks of a database, and those reserved for copies that are being made: see reserve_copy_space.
SELECT
    coalesce((SELECT least((pg_catalog.pg_database_size(d.oid) + 8191) / 8192, 2147483647)
              FROM pg_catalog.pg_database AS d WHERE d.datname = %(name)s), 0) AS blocks,
    (SELECT coalesce(sum(l.objid::int8), 0)::int8 FROM pg_catalog.pg_locks AS l
     WHERE l.locktype = 'advisory' AND l.classid = 1397969236 AND l.objsubid = 2
         AND l.database = (SELECT d.oid FROM pg_catalog.pg_database AS d
                           WHERE d.datname = pg_catalog.current_database())) AS reserved

-- name: reserve_copy_space
-- A shared lock, so that several sessions can hold it with the same number of blocks.
SELECT pg_catalog.pg_advisory_lock_shared(1397969236, %(blocks)s::int4)

-- name: release_copy_space
SELECT pg_catalog.pg_advisory_unlock_shared(1397969236, %(blocks)s::int4)

-- name: differs_when_copied
-- Whether a copy of this database would not be what deploying the schema once more would make: it has settings that
-- belong to the database and not to its content, or first rows get values that are new each time, from a default, a
-- trigger, or a string such as 'today' in a column of dates (typcategory D, or an array A, composite C or range R of
-- them). A seeded table that is not found counts as one of which nothing is known.
SELECT EXISTS (
        SELECT FROM pg_catalog.pg_db_role_setting AS s
        JOIN pg_catalog.pg_database AS d ON d.oid = s.setdatabase
        WHERE d.datname = pg_catalog.current_database())
    OR EXISTS (SELECT FROM unnest(%(seeded)s::text[]) AS t (name) WHERE pg_catalog.to_regclass(t.name) IS NULL)
    OR EXISTS (
        SELECT FROM unnest(%(seeded)s::text[] || %(filled)s::text[]) AS t (name)
        WHERE EXISTS (
                SELECT FROM pg_catalog.pg_trigger AS g
                WHERE g.tgrelid = pg_catalog.to_regclass(t.name) AND NOT g.tgisinternal AND g.tgtype & 4 <> 0)
            OR EXISTS (
                SELECT FROM pg_catalog.pg_attrdef AS a
                WHERE a.adrelid = pg_catalog.to_regclass(t.name)
                    AND pg_catalog.pg_get_expr(a.adbin, a.adrelid) ~ %(random)s))
    OR EXISTS (
        SELECT FROM unnest(%(dated)s::text[]) AS t (name)
        JOIN pg_catalog.pg_attribute AS a ON a.attrelid = pg_catalog.to_regclass(t.name)
        JOIN pg_catalog.pg_type AS y ON y.oid = a.atttypid
        WHERE a.attnum > 0 AND y.typcategory IN ('D', 'A', 'C', 'R')) AS differs

-- name: role_named
SELECT FROM pg_catalog.pg_roles AS r WHERE r.rolname = %(name)s

-- name: owned_in_the_server
-- What the session's role owns besides this database that is in no database: REASSIGN OWNED would give it away.
SELECT 'DATABASE' AS kind, d.datname::text AS name
FROM pg_catalog.pg_database AS d
WHERE
    d.datdba = pg_catalog.to_regrole(pg_catalog.quote_ident(current_user))
    AND d.datname <> pg_catalog.current_database()
UNION ALL
SELECT 'TABLESPACE', t.spcname::text
FROM pg_catalog.pg_tablespace AS t
WHERE t.spcowner = pg_catalog.to_regrole(pg_catalog.quote_ident(current_user))

-- name: objects_of_others
-- What an application has in this database that a role does not own, but for what belongs to extensions.
SELECT o.name, pg_catalog.pg_get_userbyid(o.owner)::text AS owner
FROM (
    SELECT 'pg_catalog.pg_class'::pg_catalog.regclass AS catalog, c.oid, c.oid::pg_catalog.regclass::text AS name,
        c.relowner AS owner, c.relnamespace AS namespace
    FROM pg_catalog.pg_class AS c
    WHERE c.relkind IN ('r', 'p', 'v', 'm', 'S', 'f')
    UNION ALL
    SELECT 'pg_catalog.pg_proc'::pg_catalog.regclass, p.oid, p.oid::pg_catalog.regprocedure::text, p.proowner,
        p.pronamespace
    FROM pg_catalog.pg_proc AS p
    UNION ALL
    SELECT 'pg_catalog.pg_type'::pg_catalog.regclass, t.oid, t.oid::pg_catalog.regtype::text, t.typowner, t.typnamespace
    FROM pg_catalog.pg_type AS t
    WHERE t.typrelid = 0 AND t.typelem = 0
    UNION ALL
    SELECT 'pg_catalog.pg_namespace'::pg_catalog.regclass, n.oid, n.nspname::text, n.nspowner, n.oid
    FROM pg_catalog.pg_namespace AS n
    WHERE n.nspname <> 'public'
) AS o
JOIN pg_catalog.pg_namespace AS n ON n.oid = o.namespace
WHERE
    n.nspname <> 'information_schema' AND NOT pg_catalog.starts_with(n.nspname::text, 'pg_')
    AND o.owner <> pg_catalog.to_regrole(pg_catalog.quote_ident(%(role)s))
    AND NOT EXISTS (
        SELECT FROM pg_catalog.pg_depend AS d WHERE d.classid = o.catalog AND d.objid = o.oid AND d.deptype = 'e')
ORDER BY o.name

-- name: open_to_public
-- Whether PUBLIC may connect to a database.
SELECT EXISTS (
    SELECT FROM pg_catalog.aclexplode(coalesce(d.datacl, pg_catalog.acldefault('d', d.datdba))) AS granted
    WHERE granted.grantee = 0 AND granted.privilege_type = 'CONNECT'
)
FROM pg_catalog.pg_database AS d WHERE d.datname = %(name)s

-- name: copies
SELECT d.datname::text AS name, s.description AS comment, pg_catalog.pg_database_size(d.oid) AS bytes
FROM pg_catalog.pg_database AS d
JOIN pg_catalog.pg_shdescription AS s
    ON s.objoid = d.oid AND s.classoid = 'pg_catalog.pg_database'::pg_catalog.regclass
WHERE pg_catalog.starts_with(d.datname::text, %(prefix)s) AND NOT d.datallowconn
ORDER BY d.datname

-- name: cut_off
-- Terminate sessions; those of the gateway's own pools only if asked to.
SELECT pg_catalog.pg_terminate_backend(a.pid)
FROM pg_catalog.pg_stat_activity AS a
WHERE a.datname = %(name)s AND a.pid <> pg_catalog.pg_backend_pid()
  AND (%(all)s OR a.application_name <> 'stonescriptdb-gateway')

-- name: properties_of_database
SELECT pg_catalog.pg_get_userbyid(d.datdba)::text AS owner, d.datconnlimit AS connection_limit,
    d.datacl IS NOT NULL AS has_privileges
FROM pg_catalog.pg_database AS d WHERE d.datname = %(name)s

-- name: privileges_on_database
-- The privileges that have been granted, also those of the owner; without a grantee they are those of PUBLIC.
SELECT r.rolname::text AS grantee, granted.privilege_type AS privilege, granted.is_grantable
FROM pg_catalog.pg_database AS d
CROSS JOIN LATERAL pg_catalog.aclexplode(d.datacl) AS granted
LEFT JOIN pg_catalog.pg_roles AS r ON r.oid = granted.grantee
WHERE d.datname = %(name)s AND (granted.grantee = 0 OR r.oid IS NOT NULL)

-- name: settings_of_database
-- ALTER DATABASE … SET, and with a role ALTER ROLE … IN DATABASE … SET.
SELECT r.rolname::text AS role, pg_catalog.split_part(one.setting, '=', 1) AS name,
    pg_catalog.substr(one.setting, pg_catalog.strpos(one.setting, '=') + 1) AS value
FROM pg_catalog.pg_db_role_setting AS s
JOIN pg_catalog.pg_database AS d ON d.oid = s.setdatabase
CROSS JOIN LATERAL unnest(s.setconfig) WITH ORDINALITY AS one (setting, place)
LEFT JOIN pg_catalog.pg_roles AS r ON r.oid = s.setrole
WHERE d.datname = %(name)s AND (s.setrole = 0 OR r.oid IS NOT NULL)
ORDER BY r.rolname NULLS FIRST, one.place

-- name: mark_of_rows
-- The rows ever inserted, updated and deleted, also in large objects and in the records of deploys; the files they are
-- in, which TRUNCATE and rewriting replace; and the values of sequences.
SELECT concat_ws(' ',
    (SELECT concat_ws(' ',
        coalesce(sum(t.n_tup_ins + t.n_tup_upd + t.n_tup_del), 0),
        md5(string_agg(concat(t.relid, ':', pg_catalog.pg_relation_filenode(t.relid)), ',' ORDER BY t.relid)))
     FROM pg_catalog.pg_stat_all_tables AS t
     WHERE t.relid >= 16384 AND t.schemaname !~ '^pg_'
        OR t.relid IN ('pg_catalog.pg_largeobject'::regclass, 'pg_catalog.pg_largeobject_metadata'::regclass)),
    (SELECT md5(string_agg(concat(s.seqrelid, ':', pg_catalog.pg_sequence_last_value(s.seqrelid)), ',' ORDER BY s.seqrelid))
     FROM pg_catalog.pg_sequence AS s
     WHERE pg_catalog.has_sequence_privilege(s.seqrelid, 'SELECT, USAGE')))
    AS mark

-- name: writes
-- The rows ever written to each table of the application and to large objects, and the table's file, which TRUNCATE and
-- rewriting replace.
SELECT t.relid::int8 AS oid, t.n_tup_ins + t.n_tup_upd + t.n_tup_del AS writes,
    coalesce(pg_catalog.pg_relation_filenode(t.relid), 0)::int8 AS file
FROM pg_catalog.pg_stat_all_tables AS t
WHERE t.relid >= 16384 AND t.schemaname !~ '^pg_' AND NOT starts_with(t.relname, '_stonescriptdb_gateway_')
    OR t.relid IN ('pg_catalog.pg_largeobject'::regclass, 'pg_catalog.pg_largeobject_metadata'::regclass)

-- name: writes_of_transaction
-- The rows that this transaction has written to each table.
SELECT t.oid::int8, pg_catalog.pg_stat_get_xact_tuples_inserted(t.oid) + pg_catalog.pg_stat_get_xact_tuples_updated(t.oid)
    + pg_catalog.pg_stat_get_xact_tuples_deleted(t.oid)
FROM pg_catalog.pg_class AS t
WHERE t.relkind IN ('r', 'p', 'm') AND t.oid >= 16384
    OR t.oid IN ('pg_catalog.pg_largeobject'::regclass, 'pg_catalog.pg_largeobject_metadata'::regclass)

-- name: writes_to_dropped
-- The rows ever written by others to those of some tables that this transaction has dropped.
SELECT t.oid::int8, pg_catalog.pg_stat_get_tuples_inserted(t.oid) + pg_catalog.pg_stat_get_tuples_updated(t.oid)
    + pg_catalog.pg_stat_get_tuples_deleted(t.oid)
FROM unnest(%(tables)s::oid[]) AS t (oid)
WHERE NOT EXISTS (SELECT FROM pg_catalog.pg_class AS c WHERE c.oid = t.oid)

-- name: truncated_by_others
-- One of some tables whose file another transaction has replaced.
SELECT c.oid
FROM unnest(%(tables)s::oid[], %(files)s::int8[]) AS t (oid, file)
JOIN pg_catalog.pg_class AS c ON c.oid = t.oid
WHERE coalesce(pg_catalog.pg_relation_filenode(c.oid), 0)::int8 <> t.file
    AND c.xmin::text::int8 < mod(pg_catalog.pg_current_xact_id()::text::int8, 4294967296)
LIMIT 1

-- name: others_here
-- Whether another session of a client is in this database.
SELECT EXISTS (
    SELECT FROM pg_catalog.pg_stat_activity AS a
    WHERE a.datid = (SELECT d.oid FROM pg_catalog.pg_database AS d WHERE d.datname = pg_catalog.current_database())
        AND a.pid <> pg_catalog.pg_backend_pid() AND a.leader_pid IS NULL
        AND a.backend_type = 'client backend') AS others

-- name: undone
SELECT d.datname::text AS name
FROM pg_catalog.pg_database AS d
WHERE pg_catalog.starts_with(d.datname::text, %(prefix)s)
    AND pg_catalog.shobj_description(d.oid, 'pg_database') = %(comment)s

-- name: end_sessions
-- End the sessions in a database that this role may end: of roles that it is a member of, and that are no superusers.
SELECT pg_catalog.pg_terminate_backend(a.pid)
FROM pg_catalog.pg_stat_activity AS a
JOIN pg_catalog.pg_roles AS r ON r.oid = a.usesysid
WHERE a.datname = %(name)s AND NOT r.rolsuper AND pg_catalog.pg_has_role(r.oid, 'USAGE')
    AND a.pid <> pg_catalog.pg_backend_pid()
