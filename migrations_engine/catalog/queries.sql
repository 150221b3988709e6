-- name: catalog
-- The application's whole catalog as one JSON document, in the shape of ``model.Catalog``; keys with null are left out.
-- The other columns say whether there are objects and privileges that only the statements after this one read.
-- Printed definitions depend on settings, which are set first and restored last within this one statement: CASE evaluates
-- its condition before its branch, and OFFSET 0 prevents that the three levels are merged.
-- Left out: system schemas, temporary objects, members of extensions, and the gateway's own tables.
SELECT json_strip_nulls(reading.document)::text,
       EXISTS (SELECT FROM (
                   SELECT d.classid, d.objid FROM pg_catalog.pg_depend AS d
                   WHERE d.objid >= 16384 AND d.classid IN (
                       'pg_catalog.pg_operator'::regclass, 'pg_catalog.pg_opclass'::regclass, 'pg_catalog.pg_opfamily'::regclass,
                       'pg_catalog.pg_collation'::regclass, 'pg_catalog.pg_conversion'::regclass,
                       'pg_catalog.pg_ts_config'::regclass, 'pg_catalog.pg_ts_dict'::regclass,
                       'pg_catalog.pg_ts_parser'::regclass, 'pg_catalog.pg_ts_template'::regclass,
                       'pg_catalog.pg_foreign_server'::regclass, 'pg_catalog.pg_event_trigger'::regclass)
                   UNION ALL SELECT tableoid, oid FROM pg_catalog.pg_cast WHERE oid >= 16384
                   UNION ALL SELECT tableoid, oid FROM pg_catalog.pg_transform
                   UNION ALL SELECT tableoid, oid FROM pg_catalog.pg_language WHERE oid >= 16384
                   UNION ALL SELECT tableoid, oid FROM pg_catalog.pg_am WHERE oid >= 16384
                   UNION ALL SELECT tableoid, oid FROM pg_catalog.pg_foreign_data_wrapper
                   UNION ALL SELECT tableoid, oid FROM pg_catalog.pg_publication
               ) AS object
               WHERE NOT EXISTS (SELECT FROM pg_catalog.pg_depend AS e
                                 WHERE e.classid = object.classid AND e.objid = object.objid AND e.deptype IN ('e', 'i'))) AS has_objects,
       EXISTS (SELECT FROM pg_catalog.pg_class WHERE oid >= 16384 AND relacl IS NOT NULL)
       OR EXISTS (SELECT FROM pg_catalog.pg_attribute WHERE attrelid >= 16384 AND attacl IS NOT NULL)
       OR EXISTS (SELECT FROM pg_catalog.pg_type WHERE oid >= 16384 AND typacl IS NOT NULL)
       OR EXISTS (SELECT FROM pg_catalog.pg_default_acl)
       OR EXISTS (SELECT FROM pg_catalog.pg_namespace AS n
                  WHERE n.nspacl IS NOT NULL AND (n.oid >= 16384 OR n.nspname = 'public') AND n.nspacl IS DISTINCT FROM (
                      SELECT i.initprivs FROM pg_catalog.pg_init_privs AS i
                      WHERE i.objoid = n.oid AND i.classoid = 'pg_catalog.pg_namespace'::regclass AND i.objsubid = 0)) AS has_privileges,
       (SELECT count(set_config(before.key, before.value, true)) FROM json_each_text(reading.previous) AS before)
FROM (
    SELECT session.previous, CASE WHEN session.fixed > 0 THEN (
        WITH member AS MATERIALIZED (
            SELECT classid, objid FROM pg_catalog.pg_depend WHERE deptype = 'e'
        ), namespace AS MATERIALIZED (
            SELECT n.oid, n.nspname AS name, n.nspowner AS owner,
                   CASE n.nspname WHEN 'public' THEN '' ELSE quote_ident(n.nspname) || '.' END AS prefix
            FROM pg_catalog.pg_namespace AS n
            WHERE (n.oid >= 16384 OR n.nspname = 'public') AND n.nspname !~ '^pg_'
        ), use AS MATERIALIZED (
            SELECT classid, objid, objsubid, refobjid, refobjsubid
            FROM pg_catalog.pg_depend
            WHERE refclassid = 'pg_catalog.pg_class'::regclass AND refobjid >= 16384 AND (classid IN (
                'pg_catalog.pg_rewrite'::regclass, 'pg_catalog.pg_trigger'::regclass, 'pg_catalog.pg_policy'::regclass,
                'pg_catalog.pg_attrdef'::regclass, 'pg_catalog.pg_proc'::regclass)
                OR classid = 'pg_catalog.pg_class'::regclass AND objid = refobjid)
        ), relation AS MATERIALIZED (
            SELECT c.oid, n.name AS schema, c.relname AS name, n.prefix || quote_ident(c.relname) AS label,
                   quote_ident(n.name) || '.' || quote_ident(c.relname) AS qualified,
                   c.relkind, c.relpersistence, c.relrowsecurity, c.relforcerowsecurity,
                   c.relreplident, c.relpartbound, c.reloftype, c.relowner, c.relam, c.reltablespace,
                   c.reloptions || (SELECT array_agg('toast.' || o) FROM unnest(toast.reloptions) AS o) AS reloptions
            FROM pg_catalog.pg_class AS c
            JOIN namespace AS n ON n.oid = c.relnamespace
            LEFT JOIN pg_catalog.pg_class AS toast ON toast.oid = c.reltoastrelid AND toast.reloptions IS NOT NULL
            WHERE c.relkind IN ('r', 'p', 'f', 'v', 'm', 'S', 'c') AND c.relpersistence <> 't'
              AND NOT starts_with(c.relname, '_stonescriptdb_gateway_')
              AND NOT EXISTS (SELECT FROM member AS e WHERE e.classid = 'pg_catalog.pg_class'::regclass AND e.objid = c.oid)
        ), sequence AS MATERIALIZED (
            SELECT r.oid, r.qualified, d.deptype, owner.oid AS table_oid, d.refobjsubid AS attnum,
                   json_build_object(
                       'label', r.label, 'schema', r.schema, 'name', r.name, 'type', format_type(s.seqtypid, NULL),
                       'start', s.seqstart, 'increment', s.seqincrement, 'minimum', s.seqmin, 'maximum', s.seqmax,
                       'cache', s.seqcache, 'cycle', s.seqcycle, 'unlogged', nullif(r.relpersistence = 'u', false),
                       'owned_by', owner.qualified || '.' || quote_ident(a.attname)) AS document
            FROM relation AS r
            JOIN pg_catalog.pg_sequence AS s ON s.seqrelid = r.oid
            LEFT JOIN pg_catalog.pg_depend AS d
              ON d.classid = 'pg_catalog.pg_class'::regclass AND d.objid = r.oid
             AND d.refclassid = 'pg_catalog.pg_class'::regclass AND d.refobjsubid > 0 AND d.deptype IN ('a', 'i')
            LEFT JOIN relation AS owner ON owner.oid = d.refobjid
            LEFT JOIN pg_catalog.pg_attribute AS a ON a.attrelid = d.refobjid AND a.attnum = d.refobjsubid
        ), attribute AS MATERIALIZED (
            SELECT r.oid AS relation, a.attnum, a.attname, q.oid AS sequence,
                   a.attinhcount > 0 AND a.attislocal AS is_local,
                   json_build_object(
                       'name', a.attname,
                       'type', format_type(a.atttypid, a.atttypmod),
                       'collation', CASE WHEN a.attcollation NOT IN (0, t.typcollation)
                                         THEN (SELECT quote_ident(n.nspname) || '.' || quote_ident(l.collname)
                                               FROM pg_catalog.pg_collation AS l
                                               JOIN pg_catalog.pg_namespace AS n ON n.oid = l.collnamespace
                                               WHERE l.oid = a.attcollation) END,
                       'not_null', nullif(a.attnotnull, false),
                       'not_null_name', CASE WHEN k.conislocal AND k.coninhcount = 0 AND NOT EXISTS ( -- else it cannot be renamed
                                                      SELECT FROM pg_catalog.pg_inherits AS i
                                                      JOIN pg_catalog.pg_attribute AS c ON c.attrelid = i.inhrelid AND c.attname = a.attname
                                                      JOIN pg_catalog.pg_constraint AS ck
                                                        ON ck.conrelid = i.inhrelid AND ck.contype = 'n' AND ck.conkey = ARRAY[c.attnum]
                                                      WHERE i.inhparent = r.oid AND ck.conname <> k.conname)
                                             THEN k.conname END,
                       'not_null_no_inherit', nullif(k.connoinherit, false),
                       'not_null_unvalidated', nullif(NOT k.convalidated, false),
                       'default', CASE WHEN q.deptype IS DISTINCT FROM 'a' THEN d.expression END,
                       'identity', CASE a.attidentity WHEN 'a' THEN 'ALWAYS' WHEN 'd' THEN 'BY DEFAULT' END,
                       'generated', CASE a.attgenerated WHEN 's' THEN 'STORED' WHEN 'v' THEN 'VIRTUAL' END,
                       'inherited', nullif(a.attinhcount > 0, false),
                       'local', nullif(a.attinhcount > 0 AND a.attislocal, false),
                       'storage', CASE WHEN a.attstorage <> t.typstorage THEN
                                  CASE a.attstorage WHEN 'p' THEN 'PLAIN' WHEN 'e' THEN 'EXTERNAL'
                                                    WHEN 'm' THEN 'MAIN' ELSE 'EXTENDED' END END,
                       'compression', CASE a.attcompression WHEN 'p' THEN 'pglz' WHEN 'l' THEN 'lz4' END,
                       'statistics', nullif(a.attstattarget, -1),
                       'options', CASE WHEN num_nulls(a.attoptions, a.attfdwoptions) < 2 THEN (
                           SELECT json_agg(o) FROM unnest(a.attoptions || a.attfdwoptions) AS o) END,
                       'sequence', q.document) AS document
            FROM relation AS r
            JOIN pg_catalog.pg_attribute AS a ON a.attrelid = r.oid AND a.attnum > 0 AND NOT a.attisdropped
            JOIN pg_catalog.pg_type AS t ON t.oid = a.atttypid
            LEFT JOIN (
                SELECT e.adrelid, e.adnum, pg_get_expr(e.adbin, e.adrelid) AS expression FROM pg_catalog.pg_attrdef AS e OFFSET 0
            ) AS d ON d.adrelid = a.attrelid AND d.adnum = a.attnum
            LEFT JOIN pg_catalog.pg_constraint AS k ON k.conrelid = r.oid AND k.contype = 'n' AND k.conkey = ARRAY[a.attnum]
            LEFT JOIN sequence AS q ON q.table_oid = r.oid AND q.attnum = a.attnum
              AND (q.deptype = 'i' OR d.expression = concat('nextval(''', replace(q.qualified, '''', ''''''), '''::regclass)'))
            WHERE r.relkind <> 'S'
        ), columns AS (
            SELECT relation, json_agg(document ORDER BY attnum) AS documents FROM attribute GROUP BY relation
        ), constraints AS (
            SELECT r.oid AS relation, json_agg(json_build_object(
                       'name', k.conname, 'kind', k.contype,
                       'definition', regexp_replace(pg_get_constraintdef(k.oid), ' NOT VALID$', ''),
                       'unvalidated', nullif(NOT k.convalidated, false),
                       'columns', (SELECT json_agg((SELECT a.attname FROM pg_catalog.pg_attribute AS a
                                                    WHERE a.attrelid = k.conrelid AND a.attnum = u.attnum) ORDER BY u.place)
                                   FROM unnest(k.conkey) WITH ORDINALITY AS u(attnum, place)),
                       'foreign_schema', fn.nspname, 'foreign_table', fc.relname,
                       'foreign_columns', (SELECT json_agg((SELECT a.attname FROM pg_catalog.pg_attribute AS a
                                                    WHERE a.attrelid = k.confrelid AND a.attnum = u.attnum) ORDER BY u.place)
                                   FROM unnest(k.confkey) WITH ORDINALITY AS u(attnum, place))
                   ) ORDER BY k.conname) AS documents
            FROM relation AS r
            JOIN pg_catalog.pg_constraint AS k ON k.conrelid = r.oid
            LEFT JOIN pg_catalog.pg_class AS fc ON fc.oid = k.confrelid
            LEFT JOIN pg_catalog.pg_namespace AS fn ON fn.oid = fc.relnamespace
            WHERE k.contype IN ('p', 'u', 'f', 'c', 'x') AND k.conparentid = 0 AND k.conislocal
              AND (k.contype <> 'c' OR k.coninhcount = 0)
            GROUP BY r.oid
        ), attachment AS (
            SELECT r.oid AS relation, 'index' AS kind, i.relname AS name, json_build_object(
                       'kind', 'index', 'name', i.relname,
                       'definition', substr(pg_get_indexdef(x.indexrelid), 1 + length(
                           'CREATE ' || CASE WHEN x.indisunique THEN 'UNIQUE ' ELSE '' END || 'INDEX '
                           || quote_ident(i.relname) || ' ON ' || CASE i.relkind WHEN 'I' THEN 'ONLY ' ELSE '' END
                           || r.qualified || ' ')),
                       'unique', nullif(x.indisunique, false),
                       'inherited', nullif(i.relispartition, false),
                       'invalid', nullif(NOT x.indisvalid, false),
                       'keys', CASE WHEN x.indisunique THEN (
                           SELECT json_agg(pg_get_indexdef(x.indexrelid, g, false) ORDER BY g)
                           FROM generate_series(1, x.indnkeyatts) AS g) END,
                       'predicate', pg_get_expr(x.indpred, x.indrelid),
                       'targets', CASE WHEN x.indexprs IS NOT NULL THEN (
                           SELECT json_agg(a.attnum || '=' || a.attstattarget ORDER BY a.attnum) FROM pg_catalog.pg_attribute AS a
                           WHERE a.attrelid = x.indexrelid AND a.attstattarget >= 0) END) AS document
            FROM relation AS r
            JOIN pg_catalog.pg_index AS x ON x.indrelid = r.oid
            JOIN pg_catalog.pg_class AS i ON i.oid = x.indexrelid
            WHERE i.relispartition OR NOT EXISTS (SELECT FROM pg_catalog.pg_constraint AS k
                              WHERE k.conindid = x.indexrelid AND k.contype IN ('p', 'u', 'x'))
            UNION ALL
            SELECT r.oid, 'trigger', g.tgname, json_build_object(
                       'kind', 'trigger', 'name', g.tgname, 'definition', pg_get_triggerdef(g.oid), 'enabled', g.tgenabled)
            FROM relation AS r
            JOIN pg_catalog.pg_trigger AS g ON g.tgrelid = r.oid AND NOT g.tgisinternal AND g.tgparentid = 0
            UNION ALL
            SELECT r.oid, 'rule', w.rulename, json_build_object(
                       'kind', 'rule', 'name', w.rulename, 'definition', pg_get_ruledef(w.oid), 'enabled', w.ev_enabled)
            FROM relation AS r
            JOIN pg_catalog.pg_rewrite AS w ON w.ev_class = r.oid AND w.rulename <> '_RETURN'
            UNION ALL
            SELECT r.oid, 'policy', p.polname, json_build_object(
                       'kind', 'policy', 'name', p.polname,
                       'definition', format('CREATE POLICY %I ON %s AS %s FOR %s TO %s', p.polname, r.qualified,
                           CASE WHEN p.polpermissive THEN 'PERMISSIVE' ELSE 'RESTRICTIVE' END,
                           CASE p.polcmd WHEN 'r' THEN 'SELECT' WHEN 'a' THEN 'INSERT' WHEN 'w' THEN 'UPDATE'
                                         WHEN 'd' THEN 'DELETE' ELSE 'ALL' END,
                           (SELECT string_agg(CASE o.role WHEN 0 THEN 'PUBLIC' ELSE quote_ident(pg_get_userbyid(o.role)) END,
                                              ', ' ORDER BY o.role) FROM unnest(p.polroles) AS o(role)))
                           || coalesce(' USING (' || pg_get_expr(p.polqual, p.polrelid) || ')', '')
                           || coalesce(' WITH CHECK (' || pg_get_expr(p.polwithcheck, p.polrelid) || ')', ''))
            FROM relation AS r
            JOIN pg_catalog.pg_policy AS p ON p.polrelid = r.oid
            UNION ALL
            SELECT r.oid, 'statistics', s.stxname, json_build_object(
                       'kind', 'statistics', 'name', s.stxname, 'schema', n.name,
                       'definition', coalesce(replace(pg_get_statisticsobjdef(s.oid), ' ON ' || c.by_number, ' ON ' || c.by_name),
                                              pg_get_statisticsobjdef(s.oid)),
                       'targets', CASE WHEN s.stxstattarget >= 0 THEN json_build_array(s.stxstattarget::text) END)
            FROM relation AS r
            JOIN pg_catalog.pg_statistic_ext AS s ON s.stxrelid = r.oid
            JOIN namespace AS n ON n.oid = s.stxnamespace
            CROSS JOIN LATERAL (SELECT string_agg(quote_ident(a.attname), ', ' ORDER BY a.attnum) AS by_number,
                                       string_agg(quote_ident(a.attname), ', ' ORDER BY a.attname) AS by_name
                                FROM pg_catalog.pg_attribute AS a
                                WHERE a.attrelid = s.stxrelid AND a.attnum = ANY (s.stxkeys::smallint[])) AS c
        ), attachments AS (
            SELECT relation, json_agg(document ORDER BY kind, name) AS documents FROM attachment GROUP BY relation
        ), view_use AS (
            SELECT w.ev_class AS view, json_agg(DISTINCT r.label) AS labels
            FROM pg_catalog.pg_rewrite AS w
            JOIN use AS d ON d.classid = 'pg_catalog.pg_rewrite'::regclass AND d.objid = w.oid AND d.refobjid <> w.ev_class
            JOIN relation AS r ON r.oid = d.refobjid AND r.relkind <> 'S'
            WHERE w.rulename = '_RETURN'
            GROUP BY w.ev_class
        )
        SELECT json_build_object(
            'server_version', current_setting('server_version_num')::integer,
            'schemas', (SELECT json_agg(n.name ORDER BY n.name) FROM namespace AS n
                        WHERE n.name <> 'public' AND NOT EXISTS (
                            SELECT FROM member AS e
                            WHERE e.classid = 'pg_catalog.pg_namespace'::regclass AND e.objid = n.oid)),
            'relations', (SELECT json_agg(json_build_object(
                    'label', r.label, 'schema', r.schema, 'name', r.name,
                    'kind', CASE r.relkind WHEN 'r' THEN 'table' WHEN 'p' THEN 'partitioned table' WHEN 'f' THEN 'foreign table'
                                           WHEN 'v' THEN 'view' WHEN 'm' THEN 'materialized view' END,
                    'unlogged', nullif(r.relpersistence = 'u', false),
                    'partition_key', CASE r.relkind WHEN 'p' THEN pg_get_partkeydef(r.oid) END,
                    'partition_bound', pg_get_expr(r.relpartbound, r.oid),
                    'parents', (SELECT json_agg(p.label ORDER BY h.inhseqno) FROM pg_catalog.pg_inherits AS h
                                JOIN relation AS p ON p.oid = h.inhparent WHERE h.inhrelid = r.oid),
                    'row_security', nullif(r.relrowsecurity, false),
                    'force_row_security', nullif(r.relforcerowsecurity, false),
                    'replica_identity', CASE WHEN r.relkind IN ('r', 'p') THEN CASE r.relreplident WHEN 'f' THEN 'FULL' WHEN 'n' THEN 'NOTHING' WHEN 'i' THEN
                        (SELECT 'USING INDEX ' || quote_ident(i.relname) FROM pg_catalog.pg_index AS x
                         JOIN pg_catalog.pg_class AS i ON i.oid = x.indexrelid
                         WHERE x.indrelid = r.oid AND x.indisreplident) END END,
                    'clustered_on', clustered.name,
                    'options', to_json(r.reloptions || foreign_table.ftoptions),
                    'access_method', (SELECT m.amname FROM pg_catalog.pg_am AS m WHERE m.oid = r.relam AND m.amname <> 'heap'),
                    'of_type', CASE WHEN r.reloftype <> 0 THEN format_type(r.reloftype, NULL) END,
                    'server', (SELECT quote_ident(s.srvname) FROM pg_catalog.pg_foreign_server AS s
                               WHERE s.oid = foreign_table.ftserver),
                    'definition', CASE WHEN r.relkind IN ('v', 'm') THEN rtrim(pg_get_viewdef(r.oid), ';') END,
                    'uses', u.labels, 'columns', c.documents, 'constraints', k.documents, 'attachments', t.documents
                ) ORDER BY r.label)
                FROM relation AS r
                LEFT JOIN columns AS c ON c.relation = r.oid
                LEFT JOIN constraints AS k ON k.relation = r.oid
                LEFT JOIN attachments AS t ON t.relation = r.oid
                LEFT JOIN view_use AS u ON u.view = r.oid
                LEFT JOIN pg_catalog.pg_foreign_table AS foreign_table ON foreign_table.ftrelid = r.oid
                LEFT JOIN (SELECT x.indrelid, i.relname AS name FROM pg_catalog.pg_index AS x
                           JOIN pg_catalog.pg_class AS i ON i.oid = x.indexrelid
                           WHERE x.indisclustered) AS clustered ON clustered.indrelid = r.oid
                WHERE r.relkind NOT IN ('S', 'c')),
            'sequences', (SELECT json_agg(q.document ORDER BY q.qualified) FROM sequence AS q
                          WHERE NOT EXISTS (SELECT FROM attribute AS a WHERE a.sequence = q.oid)),
            'types', (SELECT json_agg(json_build_object(
                    'label', n.prefix || quote_ident(t.typname), 'schema', n.name, 'name', t.typname,
                    'kind', CASE t.typtype WHEN 'e' THEN 'enum' WHEN 'd' THEN 'domain' WHEN 'c' THEN 'composite' ELSE 'range' END,
                    'values', (SELECT json_agg(v.enumlabel ORDER BY v.enumsortorder)
                               FROM pg_catalog.pg_enum AS v WHERE v.enumtypid = t.oid),
                    'base', CASE t.typtype WHEN 'd' THEN format_type(t.typbasetype, t.typtypmod)
                                           WHEN 'r' THEN (SELECT format_type(g.rngsubtype, NULL)
                                                          FROM pg_catalog.pg_range AS g WHERE g.rngtypid = t.oid) END,
                    'collation', CASE WHEN t.typtype = 'd' AND t.typcollation NOT IN (0, b.typcollation) THEN
                                     (SELECT quote_ident(ln.nspname) || '.' || quote_ident(l.collname)
                                      FROM pg_catalog.pg_collation AS l
                                      JOIN pg_catalog.pg_namespace AS ln ON ln.oid = l.collnamespace
                                      WHERE l.oid = t.typcollation) END,
                    'not_null', nullif(t.typnotnull, false),
                    'not_null_name', (SELECT k.conname FROM pg_catalog.pg_constraint AS k WHERE k.contypid = t.oid AND k.contype = 'n'),
                    'default', CASE t.typtype WHEN 'd' THEN coalesce(pg_get_expr(t.typdefaultbin, 0), t.typdefault) END,
                    'checks', (SELECT json_agg(json_build_array(k.conname, pg_get_constraintdef(k.oid)) ORDER BY k.conname)
                               FROM pg_catalog.pg_constraint AS k WHERE k.contypid = t.oid AND k.contype = 'c'),
                    'attributes', (SELECT c.documents FROM columns AS c WHERE c.relation = t.typrelid),
                    'details', (SELECT json_build_array(
                                    CASE WHEN NOT o.opcdefault THEN 'SUBTYPE_OPCLASS = ' || quote_ident(opn.nspname) || '.' || quote_ident(o.opcname) END,
                                    CASE WHEN g.rngcanonical <> 0 THEN 'CANONICAL = ' || g.rngcanonical::text END,
                                    CASE WHEN g.rngsubdiff <> 0 THEN 'SUBTYPE_DIFF = ' || g.rngsubdiff::text END,
                                    CASE WHEN g.rngcollation NOT IN (0, sub.typcollation)
                                         THEN 'COLLATION = ' || g.rngcollation::regcollation::text END,
                                    'MULTIRANGE_TYPE_NAME = ' || format_type(g.rngmultitypid, NULL))
                                FROM pg_catalog.pg_range AS g
                                JOIN pg_catalog.pg_type AS sub ON sub.oid = g.rngsubtype
                                JOIN pg_catalog.pg_opclass AS o ON o.oid = g.rngsubopc
                                JOIN pg_catalog.pg_namespace AS opn ON opn.oid = o.opcnamespace
                                WHERE g.rngtypid = t.oid)
                ) ORDER BY n.prefix || quote_ident(t.typname))
                FROM pg_catalog.pg_type AS t
                JOIN namespace AS n ON n.oid = t.typnamespace
                LEFT JOIN pg_catalog.pg_type AS b ON b.oid = t.typbasetype
                WHERE t.typtype IN ('e', 'd', 'c', 'r')
                  AND (t.typtype <> 'c' OR EXISTS (SELECT FROM relation AS r WHERE r.oid = t.typrelid AND r.relkind = 'c'))
                  AND NOT EXISTS (SELECT FROM member AS e
                                  WHERE e.classid = 'pg_catalog.pg_type'::regclass AND e.objid = t.oid)),
            'comments', (SELECT json_agg(json_build_array(o.type, o.identity, d.description) ORDER BY o.type, o.identity)
                FROM pg_catalog.pg_description AS d
                CROSS JOIN LATERAL (
                    -- PostgreSQL 15 prints the identity of a transform as no statement writes it.
                    SELECT i.type, CASE i.type WHEN 'transform' THEN replace(i.identity, ' on language ', ' language ')
                                               ELSE i.identity END AS identity
                    FROM pg_identify_object(d.classoid, d.objoid, d.objsubid) AS i) AS o
                WHERE (d.objoid >= 16384
                       OR d.classoid = 'pg_catalog.pg_namespace'::regclass AND d.objoid = 'public'::regnamespace
                          AND d.description <> 'standard public schema')
                  AND d.classoid NOT IN (
                        'pg_catalog.pg_proc'::regclass, 'pg_catalog.pg_extension'::regclass, 'pg_catalog.pg_largeobject'::regclass)
                  AND o.identity !~ '_stonescriptdb_gateway_'
                  AND NOT EXISTS (SELECT FROM member AS e WHERE e.classid = d.classoid AND e.objid = d.objoid)),
            'column_users', (SELECT json_agg(DISTINCT jsonb_build_array(r.label, a.attname, users.kind, users.name, users.holder))
                FROM (
                    SELECT d.refobjid, d.refobjsubid,
                           CASE w.rulename WHEN '_RETURN' THEN 'view' ELSE 'rule' END AS kind,
                           CASE w.rulename WHEN '_RETURN' THEN v.label ELSE w.rulename::text END AS name, v.label AS holder
                    FROM use AS d
                    JOIN pg_catalog.pg_rewrite AS w ON d.classid = 'pg_catalog.pg_rewrite'::regclass AND w.oid = d.objid
                    JOIN relation AS v ON v.oid = w.ev_class AND (d.refobjid <> w.ev_class OR w.rulename <> '_RETURN')
                    WHERE d.refobjsubid > 0
                    UNION ALL
                    SELECT d.refobjid, d.refobjsubid, 'trigger', g.tgname, v.label
                    FROM use AS d
                    JOIN pg_catalog.pg_trigger AS g ON d.classid = 'pg_catalog.pg_trigger'::regclass AND g.oid = d.objid
                    JOIN relation AS v ON v.oid = g.tgrelid
                    WHERE d.refobjsubid > 0
                      AND NOT g.tgisinternal AND g.tgparentid = 0
                    UNION ALL
                    SELECT d.refobjid, d.refobjsubid, 'policy', p.polname, v.label
                    FROM use AS d
                    JOIN pg_catalog.pg_policy AS p ON d.classid = 'pg_catalog.pg_policy'::regclass AND p.oid = d.objid
                    JOIN relation AS v ON v.oid = p.polrelid
                    WHERE d.refobjsubid > 0
                    UNION ALL
                    SELECT d.refobjid, d.refobjsubid, 'generated column', g.attname, v.label
                    FROM use AS d
                    JOIN pg_catalog.pg_attrdef AS e ON d.classid = 'pg_catalog.pg_attrdef'::regclass AND e.oid = d.objid
                    JOIN pg_catalog.pg_attribute AS g ON g.attrelid = e.adrelid AND g.attnum = e.adnum
                    JOIN relation AS v ON v.oid = e.adrelid
                    WHERE d.refobjid = e.adrelid
                      AND d.refobjsubid NOT IN (0, e.adnum) AND g.attgenerated <> ''
                    UNION ALL
                    -- The same on PostgreSQL 14, where the column itself depends on those that it is computed from.
                    SELECT d.refobjid, d.refobjsubid, 'generated column', g.attname, v.label
                    FROM use AS d
                    JOIN pg_catalog.pg_attribute AS g ON g.attrelid = d.objid AND g.attnum = d.objsubid AND g.attgenerated <> ''
                    JOIN relation AS v ON v.oid = d.objid
                    WHERE d.classid = 'pg_catalog.pg_class'::regclass AND d.refobjsubid > 0
                    UNION ALL
                    SELECT d.refobjid, d.refobjsubid, 'function', d.objid::regprocedure::text, NULL
                    FROM use AS d
                    WHERE d.classid = 'pg_catalog.pg_proc'::regclass AND d.refobjsubid > 0
                ) AS users
                JOIN relation AS r ON r.oid = users.refobjid
                JOIN pg_catalog.pg_attribute AS a ON a.attrelid = users.refobjid AND a.attnum = users.refobjsubid),
            'uncovered', (SELECT json_agg(DISTINCT line) FROM (
                SELECT concat(o.type, ' ', o.identity) AS line
                FROM (
                    SELECT 'pg_catalog.pg_type'::regclass AS class, oid FROM pg_catalog.pg_type
                    WHERE (typtype = 'b' AND typelem = 0 OR typtype = 'p') AND oid >= 16384
                    UNION ALL SELECT 'pg_catalog.pg_subscription'::regclass, oid FROM pg_catalog.pg_subscription
                              WHERE subdbid = (SELECT d.oid FROM pg_catalog.pg_database AS d WHERE d.datname = current_database())
                ) AS object
                CROSS JOIN LATERAL pg_identify_object(object.class, object.oid, 0) AS o
                WHERE NOT EXISTS (SELECT FROM member AS e WHERE e.classid = object.class AND e.objid = object.oid)
                UNION ALL
                SELECT format('extension %I in schema %I', e.extname, n.nspname)
                FROM pg_catalog.pg_extension AS e
                JOIN pg_catalog.pg_namespace AS n ON n.oid = e.extnamespace
                WHERE e.oid >= 16384
                UNION ALL
                SELECT format('security label of %s %s, %s', o.type, o.identity, l.label)
                FROM pg_catalog.pg_seclabel AS l
                CROSS JOIN LATERAL pg_identify_object(l.classoid, l.objoid, l.objsubid) AS o
                UNION ALL
                SELECT format('owner of %s, %I', owned.label, pg_get_userbyid(owned.owner))
                FROM (SELECT r.label, r.relowner AS owner FROM relation AS r
                      UNION ALL
                      SELECT n.name, n.owner FROM namespace AS n WHERE n.name <> 'public'
                      UNION ALL
                      SELECT n.prefix || quote_ident(t.typname), t.typowner
                      FROM pg_catalog.pg_type AS t
                      JOIN namespace AS n ON n.oid = t.typnamespace
                      WHERE t.typtype IN ('e', 'd', 'r')
                      UNION ALL
                      SELECT n.prefix || quote_ident(x.stxname), x.stxowner
                      FROM pg_catalog.pg_statistic_ext AS x
                      JOIN namespace AS n ON n.oid = x.stxnamespace
                      UNION ALL
                      SELECT regexp_replace(p.oid::regprocedure::text, '^public\.', ''), p.proowner
                      FROM pg_catalog.pg_proc AS p
                      WHERE p.oid >= 16384 AND p.proowner <> quote_ident(current_user)::regrole
                        AND p.pronamespace IN (SELECT n.oid FROM namespace AS n)
                        AND NOT EXISTS (SELECT FROM member AS e
                                        WHERE e.classid = 'pg_catalog.pg_proc'::regclass AND e.objid = p.oid)
                        -- The constructors of a range belong to the server's first superuser.
                        AND NOT EXISTS (SELECT FROM pg_catalog.pg_depend AS d
                                        WHERE d.classid = 'pg_catalog.pg_proc'::regclass AND d.objid = p.oid
                                          AND d.deptype = 'i')) AS owned
                WHERE owned.owner <> quote_ident(current_user)::regrole
                UNION ALL
                SELECT format('column %I of %s, declared by the child itself', a.attname, r.label)
                FROM relation AS r
                JOIN attribute AS a ON a.relation = r.oid AND a.is_local
                WHERE r.relpartbound IS NULL
                UNION ALL
                SELECT format('storage parameters %s of the index of the constraint %I on %s',
                              array_to_string(i.reloptions, ', '), k.conname, r.label)
                FROM relation AS r
                JOIN pg_catalog.pg_constraint AS k ON k.conrelid = r.oid AND k.contype IN ('p', 'u', 'x')
                JOIN pg_catalog.pg_class AS i ON i.oid = k.conindid AND i.reloptions IS NOT NULL
                UNION ALL
                SELECT format('%s of the index %I, a part of %I', part.what, i.relname, above.relname)
                FROM relation AS r
                JOIN pg_catalog.pg_index AS x ON x.indrelid = r.oid
                JOIN pg_catalog.pg_class AS i ON i.oid = x.indexrelid AND i.relispartition
                JOIN pg_catalog.pg_inherits AS h ON h.inhrelid = i.oid
                JOIN pg_catalog.pg_class AS above ON above.oid = h.inhparent
                CROSS JOIN LATERAL (
                    SELECT format('storage parameters %s', coalesce(array_to_string(i.reloptions, ', '), 'reset'))
                    WHERE i.reloptions IS DISTINCT FROM above.reloptions
                    AND NOT EXISTS (SELECT FROM pg_catalog.pg_constraint AS k
                                    WHERE k.conindid = i.oid AND k.contype IN ('p', 'u', 'x'))
                    UNION ALL
                    SELECT format('statistics target %s of column %s', a.attstattarget, a.attnum)
                    FROM pg_catalog.pg_attribute AS a
                    WHERE a.attrelid = i.oid AND a.attstattarget >= 0
                ) AS part (what)
                UNION ALL
                SELECT format('dependence of the %s %s on the extension %I', o.type, o.identity, e.extname)
                FROM pg_catalog.pg_depend AS d
                JOIN pg_catalog.pg_extension AS e ON e.oid = d.refobjid
                CROSS JOIN LATERAL pg_identify_object(d.classid, d.objid, 0) AS o
                WHERE d.refclassid = 'pg_catalog.pg_extension'::regclass AND d.deptype = 'x'
                  AND d.classid <> 'pg_catalog.pg_proc'::regclass
                UNION ALL
                SELECT format('constraint %I of %s, declared by the child itself', k.conname, r.label)
                FROM relation AS r
                JOIN pg_catalog.pg_constraint AS k
                  ON k.conrelid = r.oid AND k.contype = 'c' AND k.conislocal AND k.coninhcount > 0
                UNION ALL
                SELECT format('access method %I of the materialized view %s', m.amname, r.label)
                FROM relation AS r
                JOIN pg_catalog.pg_am AS m ON m.oid = r.relam AND m.amname <> 'heap'
                WHERE r.relkind = 'm'
                UNION ALL
                SELECT format('the sequence of a column of %s, %s', r.label,
                              CASE s.relpersistence WHEN 'u' THEN 'unlogged' ELSE 'logged' END)
                FROM sequence AS q
                JOIN attribute AS a ON a.sequence = q.oid
                JOIN relation AS s ON s.oid = q.oid
                JOIN relation AS r ON r.oid = q.table_oid AND r.relpersistence <> s.relpersistence
                UNION ALL
                SELECT format('tablespace %s of %s', r.reltablespace, r.label)
                FROM relation AS r
                WHERE r.reltablespace <> 0
                UNION ALL
                SELECT format('state %s of the trigger %I on the partition %s', g.tgenabled, g.tgname, r.label)
                FROM relation AS r
                JOIN pg_catalog.pg_trigger AS g ON g.tgrelid = r.oid AND g.tgparentid <> 0
                JOIN pg_catalog.pg_trigger AS parent ON parent.oid = g.tgparentid AND parent.tgenabled <> g.tgenabled
            ) AS lines)
        )
    ) END AS document
    FROM (
        SELECT json_object_agg(setting.name, setting.previous) AS previous,
               count(set_config(setting.name, setting.value, true)) AS fixed
        FROM (
            SELECT wanted.name, wanted.value, current_setting(wanted.name) AS previous
            FROM {{settings_for_printing}}
            OFFSET 0
        ) AS setting
        OFFSET 0
    ) AS session
    OFFSET 0
) AS reading

-- name: is_prepared
SELECT EXISTS (SELECT FROM pg_catalog.pg_prepared_statements WHERE name = '_stonescriptdb_gateway_catalog')

-- name: prepare
PREPARE _stonescriptdb_gateway_catalog AS

-- name: execute
EXECUTE _stonescriptdb_gateway_catalog

-- name: settings
-- Settings for printed definitions, for this transaction.
SELECT set_config(wanted.name, wanted.value, true)
FROM {{settings_for_printing}}

-- name: objects
-- The application's objects that belong to no relation, in an order in which they can be created: the CREATE statement of
-- each, and the statements after it with those that revert them. Read only if the statement above has found some.
-- Columns that only some versions of PostgreSQL have are read through to_jsonb.
WITH member AS MATERIALIZED (
    SELECT classid, objid FROM pg_catalog.pg_depend WHERE deptype IN ('e', 'i')
), object AS (
    SELECT 1 AS rank, c.tableoid, c.oid,
           format('CREATE COLLATION %I.%I (provider = %s%s%s%s)', n.nspname, c.collname,
                  CASE c.collprovider WHEN 'i' THEN 'icu' WHEN 'c' THEN 'libc' WHEN 'b' THEN 'builtin' ELSE 'default' END,
                  CASE WHEN coalesce(j->>'colllocale', j->>'colliculocale') IS NOT NULL
                       THEN format(', locale = %L', coalesce(j->>'colllocale', j->>'colliculocale'))
                       ELSE format(', lc_collate = %L, lc_ctype = %L', c.collcollate, c.collctype) END,
                  CASE WHEN NOT c.collisdeterministic THEN ', deterministic = false' END,
                  ', rules = ' || quote_literal(j->>'collicurules')) AS definition,
           NULL::text[][] AS parts
    FROM pg_catalog.pg_collation AS c
    JOIN pg_catalog.pg_namespace AS n ON n.oid = c.collnamespace
    CROSS JOIN to_jsonb(c) AS j
    UNION ALL
    SELECT 2, l.tableoid, l.oid,
           concat_ws(' ', 'CREATE', CASE WHEN l.lanpltrusted THEN 'TRUSTED' END, 'LANGUAGE', quote_ident(l.lanname),
                     'HANDLER ' || nullif(l.lanplcallfoid, 0)::regproc, 'INLINE ' || nullif(l.laninline, 0)::regproc,
                     'VALIDATOR ' || nullif(l.lanvalidator, 0)::regproc), NULL
    FROM pg_catalog.pg_language AS l
    UNION ALL
    SELECT 3, a.tableoid, a.oid,
           format('CREATE ACCESS METHOD %I TYPE %s HANDLER %s', a.amname,
                  CASE a.amtype WHEN 'i' THEN 'INDEX' ELSE 'TABLE' END, a.amhandler), NULL
    FROM pg_catalog.pg_am AS a
    UNION ALL
    SELECT 4, p.tableoid, p.oid,
           format('CREATE TEXT SEARCH PARSER %I.%I (START = %s, GETTOKEN = %s, END = %s, LEXTYPES = %s%s)', n.nspname, p.prsname,
                  p.prsstart, p.prstoken, p.prsend, p.prslextype, ', HEADLINE = ' || nullif(p.prsheadline, 0)::regproc), NULL
    FROM pg_catalog.pg_ts_parser AS p
    JOIN pg_catalog.pg_namespace AS n ON n.oid = p.prsnamespace
    UNION ALL
    SELECT 5, t.tableoid, t.oid,
           format('CREATE TEXT SEARCH TEMPLATE %I.%I (%sLEXIZE = %s)', n.nspname, t.tmplname,
                  'INIT = ' || nullif(t.tmplinit, 0)::regproc || ', ', t.tmpllexize), NULL
    FROM pg_catalog.pg_ts_template AS t
    JOIN pg_catalog.pg_namespace AS n ON n.oid = t.tmplnamespace
    UNION ALL
    SELECT 6, d.tableoid, d.oid,
           format('CREATE TEXT SEARCH DICTIONARY %I.%I (TEMPLATE = %I.%I%s)', n.nspname, d.dictname, tn.nspname, t.tmplname,
                  ', ' || d.dictinitoption), NULL
    FROM pg_catalog.pg_ts_dict AS d
    JOIN pg_catalog.pg_namespace AS n ON n.oid = d.dictnamespace
    JOIN pg_catalog.pg_ts_template AS t ON t.oid = d.dicttemplate
    JOIN pg_catalog.pg_namespace AS tn ON tn.oid = t.tmplnamespace
    UNION ALL
    SELECT 7, c.tableoid, c.oid,
           format('CREATE TEXT SEARCH CONFIGURATION %I.%I (PARSER = %I.%I)', n.nspname, c.cfgname, pn.nspname, p.prsname),
           (SELECT array_agg(ARRAY[
                       format('ALTER TEXT SEARCH CONFIGURATION %I.%I ADD MAPPING FOR %I WITH %s', n.nspname, c.cfgname, token, dictionaries),
                       format('ALTER TEXT SEARCH CONFIGURATION %I.%I DROP MAPPING FOR %I', n.nspname, c.cfgname, token)] ORDER BY token)
            FROM (SELECT t.alias AS token, string_agg(m.mapdict::regdictionary::text, ', ' ORDER BY m.mapseqno) AS dictionaries
                  FROM pg_catalog.pg_ts_config_map AS m
                  JOIN ts_token_type(c.cfgparser) AS t ON t.tokid = m.maptokentype
                  WHERE m.mapcfg = c.oid
                  GROUP BY t.alias) AS mapping)
    FROM pg_catalog.pg_ts_config AS c
    JOIN pg_catalog.pg_namespace AS n ON n.oid = c.cfgnamespace
    JOIN pg_catalog.pg_ts_parser AS p ON p.oid = c.cfgparser
    JOIN pg_catalog.pg_namespace AS pn ON pn.oid = p.prsnamespace
    UNION ALL
    SELECT 8, f.tableoid, f.oid,
           concat_ws(' ', 'CREATE FOREIGN DATA WRAPPER', quote_ident(f.fdwname), 'HANDLER ' || nullif(f.fdwhandler, 0)::regproc,
                     'VALIDATOR ' || nullif(f.fdwvalidator, 0)::regproc),
           (SELECT array_agg(ARRAY[format('ALTER FOREIGN DATA WRAPPER %I OPTIONS (ADD %I %L)', f.fdwname, o.option_name, o.option_value),
                                   format('ALTER FOREIGN DATA WRAPPER %I OPTIONS (DROP %I)', f.fdwname, o.option_name)] ORDER BY o.option_name)
            FROM pg_options_to_table(f.fdwoptions) AS o)
    FROM pg_catalog.pg_foreign_data_wrapper AS f
    UNION ALL
    SELECT 9, s.tableoid, s.oid,
           format('CREATE SERVER %I%s%s FOREIGN DATA WRAPPER %I', s.srvname, ' TYPE ' || quote_literal(s.srvtype),
                  ' VERSION ' || quote_literal(s.srvversion), f.fdwname),
           (SELECT array_agg(ARRAY[format('ALTER SERVER %I OPTIONS (ADD %I %L)', s.srvname, o.option_name, o.option_value),
                                   format('ALTER SERVER %I OPTIONS (DROP %I)', s.srvname, o.option_name)] ORDER BY o.option_name)
            FROM pg_options_to_table(s.srvoptions) AS o)
    FROM pg_catalog.pg_foreign_server AS s
    JOIN pg_catalog.pg_foreign_data_wrapper AS f ON f.oid = s.srvfdw
    UNION ALL
    SELECT 10, o.tableoid, o.oid,
           format('CREATE OPERATOR %I.%s (FUNCTION = %s%s%s%s%s%s%s%s%s)', n.nspname, o.oprname, o.oprcode,
                  ', LEFTARG = ' || format_type(nullif(o.oprleft, 0), NULL), ', RIGHTARG = ' || format_type(nullif(o.oprright, 0), NULL),
                  (SELECT format(', COMMUTATOR = OPERATOR(%I.%s)', cn.nspname, c.oprname) FROM pg_catalog.pg_operator AS c
                   JOIN pg_catalog.pg_namespace AS cn ON cn.oid = c.oprnamespace WHERE c.oid = o.oprcom),
                  (SELECT format(', NEGATOR = OPERATOR(%I.%s)', cn.nspname, c.oprname) FROM pg_catalog.pg_operator AS c
                   JOIN pg_catalog.pg_namespace AS cn ON cn.oid = c.oprnamespace WHERE c.oid = o.oprnegate),
                  ', RESTRICT = ' || nullif(o.oprrest, 0)::regproc, ', JOIN = ' || nullif(o.oprjoin, 0)::regproc,
                  CASE WHEN o.oprcanhash THEN ', HASHES' END, CASE WHEN o.oprcanmerge THEN ', MERGES' END), NULL
    FROM pg_catalog.pg_operator AS o
    JOIN pg_catalog.pg_namespace AS n ON n.oid = o.oprnamespace
    WHERE o.oprcode <> 0
    UNION ALL
    SELECT 11, f.tableoid, f.oid, format('CREATE OPERATOR FAMILY %I.%I USING %I', n.nspname, f.opfname, a.amname),
           (SELECT array_agg(ARRAY[format('ALTER OPERATOR FAMILY %I.%I USING %I ADD %s', n.nspname, f.opfname, a.amname, added),
                                   format('ALTER OPERATOR FAMILY %I.%I USING %I DROP %s', n.nspname, f.opfname, a.amname, dropped)]
                             ORDER BY added)
            FROM (SELECT format('OPERATOR %s %s%s', m.amopstrategy, m.amopopr::regoperator,
                                (SELECT format(' FOR ORDER BY %I.%I', sn.nspname, sf.opfname) FROM pg_catalog.pg_opfamily AS sf
                                 JOIN pg_catalog.pg_namespace AS sn ON sn.oid = sf.opfnamespace WHERE sf.oid = m.amopsortfamily)) AS added,
                         format('OPERATOR %s (%s, %s)', m.amopstrategy, m.amoplefttype::regtype, m.amoprighttype::regtype) AS dropped
                  FROM pg_catalog.pg_amop AS m
                  JOIN pg_catalog.pg_depend AS d ON d.classid = m.tableoid AND d.objid = m.oid
                   AND d.refclassid = f.tableoid AND d.refobjid = f.oid
                  UNION ALL
                  SELECT format('FUNCTION %s (%s, %s) %s', m.amprocnum, m.amproclefttype::regtype, m.amprocrighttype::regtype,
                                m.amproc::oid::regprocedure),
                         format('FUNCTION %s (%s, %s)', m.amprocnum, m.amproclefttype::regtype, m.amprocrighttype::regtype)
                  FROM pg_catalog.pg_amproc AS m
                  JOIN pg_catalog.pg_depend AS d ON d.classid = m.tableoid AND d.objid = m.oid
                   AND d.refclassid = f.tableoid AND d.refobjid = f.oid) AS loose)
    FROM pg_catalog.pg_opfamily AS f
    JOIN pg_catalog.pg_namespace AS n ON n.oid = f.opfnamespace
    JOIN pg_catalog.pg_am AS a ON a.oid = f.opfmethod
    UNION ALL
    SELECT 12, c.tableoid, c.oid,
           format('CREATE OPERATOR CLASS %I.%I%s FOR TYPE %s USING %I FAMILY %I.%I AS %s', n.nspname, c.opcname,
                  CASE WHEN c.opcdefault THEN ' DEFAULT' END, format_type(c.opcintype, NULL), a.amname, fn.nspname, f.opfname,
                  (SELECT string_agg(item, ', ' ORDER BY item)
                   FROM (SELECT 'STORAGE ' || format_type(coalesce(nullif(c.opckeytype, 0), c.opcintype), NULL) AS item
                         UNION ALL
                         SELECT format('OPERATOR %s %s%s', m.amopstrategy, m.amopopr::regoperator,
                                       (SELECT format(' FOR ORDER BY %I.%I', sn.nspname, sf.opfname) FROM pg_catalog.pg_opfamily AS sf
                                        JOIN pg_catalog.pg_namespace AS sn ON sn.oid = sf.opfnamespace WHERE sf.oid = m.amopsortfamily))
                         FROM pg_catalog.pg_amop AS m
                         JOIN pg_catalog.pg_depend AS d ON d.classid = m.tableoid AND d.objid = m.oid
                          AND d.refclassid = c.tableoid AND d.refobjid = c.oid
                         UNION ALL
                         SELECT format('FUNCTION %s (%s, %s) %s', m.amprocnum, m.amproclefttype::regtype, m.amprocrighttype::regtype,
                                       m.amproc::oid::regprocedure)
                         FROM pg_catalog.pg_amproc AS m
                         JOIN pg_catalog.pg_depend AS d ON d.classid = m.tableoid AND d.objid = m.oid
                          AND d.refclassid = c.tableoid AND d.refobjid = c.oid) AS items)), NULL
    FROM pg_catalog.pg_opclass AS c
    JOIN pg_catalog.pg_namespace AS n ON n.oid = c.opcnamespace
    JOIN pg_catalog.pg_am AS a ON a.oid = c.opcmethod
    JOIN pg_catalog.pg_opfamily AS f ON f.oid = c.opcfamily
    JOIN pg_catalog.pg_namespace AS fn ON fn.oid = f.opfnamespace
    UNION ALL
    SELECT 13, c.tableoid, c.oid,
           format('CREATE%s CONVERSION %I.%I FOR %L TO %L FROM %s', CASE WHEN c.condefault THEN ' DEFAULT' END, n.nspname, c.conname,
                  pg_encoding_to_char(c.conforencoding), pg_encoding_to_char(c.contoencoding), c.conproc), NULL
    FROM pg_catalog.pg_conversion AS c
    JOIN pg_catalog.pg_namespace AS n ON n.oid = c.connamespace
    UNION ALL
    SELECT 14, c.tableoid, c.oid,
           format('CREATE CAST (%s AS %s) %s%s', format_type(c.castsource, NULL), format_type(c.casttarget, NULL),
                  CASE c.castmethod WHEN 'f' THEN 'WITH FUNCTION ' || c.castfunc::regprocedure
                                    WHEN 'i' THEN 'WITH INOUT' ELSE 'WITHOUT FUNCTION' END,
                  CASE c.castcontext WHEN 'a' THEN ' AS ASSIGNMENT' WHEN 'i' THEN ' AS IMPLICIT' END), NULL
    FROM pg_catalog.pg_cast AS c
    UNION ALL
    SELECT 15, t.tableoid, t.oid,
           format('CREATE TRANSFORM FOR %s LANGUAGE %I (%s)', format_type(t.trftype, NULL), l.lanname,
                  concat_ws(', ', 'FROM SQL WITH FUNCTION ' || nullif(t.trffromsql, 0)::regprocedure,
                            'TO SQL WITH FUNCTION ' || nullif(t.trftosql, 0)::regprocedure)), NULL
    FROM pg_catalog.pg_transform AS t
    JOIN pg_catalog.pg_language AS l ON l.oid = t.trflang
    UNION ALL
    SELECT 16, e.tableoid, e.oid,
           format('CREATE EVENT TRIGGER %I ON %s%s EXECUTE FUNCTION %s()', e.evtname, e.evtevent,
                  (SELECT format(' WHEN TAG IN (%s)', string_agg(quote_literal(tag), ', ' ORDER BY place))
                   FROM unnest(e.evttags) WITH ORDINALITY AS t(tag, place) HAVING count(*) > 0),
                  e.evtfoid::regproc),
           CASE WHEN e.evtenabled <> 'O' THEN ARRAY[ARRAY[
               format('ALTER EVENT TRIGGER %I %s', e.evtname,
                      CASE e.evtenabled WHEN 'D' THEN 'DISABLE' WHEN 'R' THEN 'ENABLE REPLICA' ELSE 'ENABLE ALWAYS' END),
               format('ALTER EVENT TRIGGER %I ENABLE', e.evtname)]] END
    FROM pg_catalog.pg_event_trigger AS e
)
, privileges AS (
    SELECT acl.tableoid, acl.oid,
           array_agg(ARRAY[format('GRANT %s ON %s TO %s%s', p.privilege_type, acl.name, p.grantee, p.option),
                           format('REVOKE %s ON %s FROM %s', p.privilege_type, acl.name, p.grantee)]
                     ORDER BY p.grantee, p.privilege_type) FILTER (WHERE NOT p.by_default) AS granted,
           array_agg(ARRAY[format('REVOKE %s ON %s FROM %s', p.privilege_type, acl.name, p.grantee),
                           format('GRANT %s ON %s TO %s', p.privilege_type, acl.name, p.grantee)]
                     ORDER BY p.grantee, p.privilege_type) FILTER (WHERE p.by_default) AS revoked
    FROM (
        SELECT tableoid, oid, format('LANGUAGE %I', lanname) AS name, lanowner AS owner, lanacl AS acl, acldefault('l', lanowner) AS initial
        FROM pg_catalog.pg_language
        UNION ALL
        SELECT tableoid, oid, format('FOREIGN DATA WRAPPER %I', fdwname), fdwowner, fdwacl, acldefault('F', fdwowner)
        FROM pg_catalog.pg_foreign_data_wrapper
        UNION ALL
        SELECT tableoid, oid, format('FOREIGN SERVER %I', srvname), srvowner, srvacl, acldefault('S', srvowner)
        FROM pg_catalog.pg_foreign_server
    ) AS acl
    CROSS JOIN LATERAL (
        SELECT CASE grantee WHEN 0 THEN 'PUBLIC' WHEN acl.owner THEN 'CURRENT_USER' ELSE quote_ident(pg_get_userbyid(grantee)) END AS grantee,
               privilege_type, CASE WHEN is_grantable THEN ' WITH GRANT OPTION' END AS option, by_default
        FROM (
            SELECT x.*, false AS by_default FROM (SELECT grantee, privilege_type, is_grantable FROM aclexplode(acl.acl)
                                                  EXCEPT SELECT grantee, privilege_type, is_grantable FROM aclexplode(acl.initial)) AS x
            UNION ALL
            SELECT x.*, true FROM (SELECT grantee, privilege_type, is_grantable FROM aclexplode(acl.initial)
                                   EXCEPT SELECT grantee, privilege_type, is_grantable FROM aclexplode(acl.acl)) AS x
        ) AS entries
    ) AS p
    WHERE acl.acl IS NOT NULL
    GROUP BY acl.tableoid, acl.oid
)
SELECT json_strip_nulls(json_agg(json_build_object('kind', i.type,
                                                   'identity', replace(i.identity, CASE i.type WHEN 'transform' THEN ' on language ' ELSE '' END, ' language '),
                                                   'definition', o.definition,
                                                   'parts', to_json(o.parts || p.granted || p.revoked)) ORDER BY o.rank, i.identity))::text
FROM object AS o
LEFT JOIN privileges AS p ON p.tableoid = o.tableoid AND p.oid = o.oid
CROSS JOIN LATERAL pg_identify_object(o.tableoid, o.oid, 0) AS i
WHERE o.oid >= 16384
  AND NOT EXISTS (SELECT FROM member AS e WHERE e.classid = o.tableoid AND e.objid = o.oid)

-- name: mappings_and_owners
-- Objects that are compared by name only: user mappings, whose options may be secret, and objects of other owners.
SELECT coalesce(json_agg(DISTINCT line), '[]')::text
FROM (
    SELECT format('user mapping for %s on the server %I', m.usename, m.srvname) AS line
    FROM pg_catalog.pg_user_mappings AS m
    UNION ALL
    SELECT format('owner of the %s %s, %I', o.type, o.identity, pg_get_userbyid(owned.owner))
    FROM ({{owners}}) AS owned
    CROSS JOIN LATERAL pg_identify_object(owned.tableoid, owned.oid, 0) AS o
    WHERE owned.oid >= 16384 AND owned.owner <> quote_ident(current_user)::regrole
      AND NOT EXISTS (SELECT FROM pg_catalog.pg_depend AS e
                      WHERE e.classid = owned.tableoid AND e.objid = owned.oid AND e.deptype = 'e')
) AS lines

-- name: publications
-- Publications as objects. On PostgreSQL 14, which has no row filters and column lists, those of absent are used; schemas
-- are found by dependencies, as there is no catalog of them.
SELECT json_strip_nulls(json_agg(json_build_object(
           'kind', 'publication', 'identity', quote_ident(p.pubname),
           'definition', format('CREATE PUBLICATION %I%s WITH (publish = %L, publish_via_partition_root = %s%s)', p.pubname,
                  CASE WHEN p.puballtables THEN ' FOR ALL TABLES' END,
                  concat_ws(', ', CASE WHEN p.pubinsert THEN 'insert' END, CASE WHEN p.pubupdate THEN 'update' END,
                            CASE WHEN p.pubdelete THEN 'delete' END, CASE WHEN p.pubtruncate THEN 'truncate' END),
                  p.pubviaroot::text,
                  ', publish_generated_columns = ' || CASE to_jsonb(p)->>'pubgencols' WHEN 's' THEN 'stored' WHEN 'n' THEN 'none' END),
           'parts', (SELECT json_agg(json_build_array(format('ALTER PUBLICATION %I ADD %s', p.pubname, added),
                                                      format('ALTER PUBLICATION %I DROP %s', p.pubname, dropped)) ORDER BY added)
                     FROM (SELECT format('TABLE ONLY %s%s%s', r.prrelid::regclass,
                                         (SELECT format(' (%s)', string_agg(quote_ident(a.attname), ', ' ORDER BY a.attnum))
                                          FROM pg_catalog.pg_attribute AS a
                                          WHERE a.attrelid = r.prrelid AND a.attnum = ANY (r.prattrs::smallint[])
                                          HAVING count(*) > 0),
                                         ' WHERE (' || pg_get_expr(r.prqual, r.prrelid) || ')') AS added,
                                  format('TABLE ONLY %s', r.prrelid::regclass) AS dropped
                           FROM (SELECT NULL::int2vector AS prattrs, NULL::pg_node_tree AS prqual) AS absent
                           CROSS JOIN LATERAL (SELECT prrelid, prattrs, prqual FROM pg_catalog.pg_publication_rel
                                               WHERE prpubid = p.oid) AS r
                           UNION ALL
                           SELECT format('TABLES IN SCHEMA %s', s.refobjid::regnamespace),
                                  format('TABLES IN SCHEMA %s', s.refobjid::regnamespace)
                           FROM pg_catalog.pg_depend AS d
                           JOIN pg_catalog.pg_depend AS s
                             ON s.classid = d.classid AND s.objid = d.objid AND s.refclassid = 'pg_catalog.pg_namespace'::regclass
                           WHERE d.classid = to_regclass('pg_catalog.pg_publication_namespace')
                             AND d.refclassid = 'pg_catalog.pg_publication'::regclass AND d.refobjid = p.oid) AS published)
       ) ORDER BY p.pubname))::text
FROM pg_catalog.pg_publication AS p

-- name: privileges
-- Privileges that differ from the default; read only if the first statement has found some.
WITH member AS MATERIALIZED (
    SELECT classid, objid FROM pg_catalog.pg_depend WHERE deptype = 'e'
), namespace AS MATERIALIZED (
    SELECT n.oid, n.nspname AS name, CASE n.nspname WHEN 'public' THEN '' ELSE quote_ident(n.nspname) || '.' END AS prefix
    FROM pg_catalog.pg_namespace AS n
    WHERE (n.oid >= 16384 OR n.nspname = 'public') AND n.nspname !~ '^pg_'
), relation AS MATERIALIZED (
    SELECT c.oid, n.prefix || quote_ident(c.relname) AS label, quote_ident(n.name) || '.' || quote_ident(c.relname) AS qualified,
           c.relkind, c.relowner, c.relacl
    FROM pg_catalog.pg_class AS c
    JOIN namespace AS n ON n.oid = c.relnamespace
    WHERE c.relkind IN ('r', 'p', 'f', 'v', 'm', 'S', 'c') AND c.relpersistence <> 't'
      AND NOT starts_with(c.relname, '_stonescriptdb_gateway_')
      AND NOT EXISTS (SELECT FROM member AS e WHERE e.classid = 'pg_catalog.pg_class'::regclass AND e.objid = c.oid)
)
SELECT json_strip_nulls(json_agg(json_build_object(
    'kind', acl.kind, 'label', acl.label, 'qualified', acl.qualified, 'column', acl.column_name,
    'privilege', p.privilege_type, 'owner', nullif(p.grantee = acl.owner, false),
    'grantee', CASE WHEN p.grantee NOT IN (0, acl.owner) THEN pg_get_userbyid(p.grantee) END,
    'grantable', nullif(p.is_grantable AND NOT p.by_default, false), 'revoked', nullif(p.by_default, false))
    ORDER BY acl.kind, acl.label, acl.column_name, p.grantee = acl.owner, p.grantee, p.privilege_type))::text
FROM (
    SELECT CASE r.relkind WHEN 'S' THEN 'SEQUENCE' ELSE 'TABLE' END AS kind, r.label, r.qualified, NULL AS column_name,
           r.relowner AS owner, r.relacl AS acl,
           acldefault(CASE r.relkind WHEN 'S' THEN 's' ELSE 'r' END::"char", r.relowner) AS initial
    FROM relation AS r WHERE r.relacl IS NOT NULL AND r.relkind <> 'c'
    UNION ALL
    SELECT 'TABLE', r.label, r.qualified, a.attname, r.relowner, a.attacl, NULL
    FROM relation AS r
    JOIN pg_catalog.pg_attribute AS a ON a.attrelid = r.oid AND a.attacl IS NOT NULL AND NOT a.attisdropped
    UNION ALL
    SELECT 'SCHEMA', quote_ident(n.name), quote_ident(n.name), NULL, m.nspowner, m.nspacl, coalesce(
        (SELECT i.initprivs FROM pg_catalog.pg_init_privs AS i
         WHERE i.classoid = 'pg_catalog.pg_namespace'::regclass AND i.objoid = n.oid AND i.objsubid = 0),
        acldefault('n', m.nspowner))
    FROM namespace AS n
    JOIN pg_catalog.pg_namespace AS m ON m.oid = n.oid AND m.nspacl IS NOT NULL
    UNION ALL
    SELECT 'TYPE', n.prefix || quote_ident(t.typname), quote_ident(n.name) || '.' || quote_ident(t.typname),
           NULL, t.typowner, t.typacl, acldefault('T', t.typowner)
    FROM pg_catalog.pg_type AS t
    JOIN namespace AS n ON n.oid = t.typnamespace
    WHERE t.typacl IS NOT NULL AND NOT EXISTS (
        SELECT FROM member AS e WHERE e.classid = 'pg_catalog.pg_type'::regclass AND e.objid = t.oid)
    UNION ALL
    SELECT 'DEFAULT ' || CASE d.defaclobjtype WHEN 'r' THEN 'TABLES' WHEN 'S' THEN 'SEQUENCES'
                             WHEN 'f' THEN 'FUNCTIONS' WHEN 'T' THEN 'TYPES' WHEN 'n' THEN 'SCHEMAS'
                             ELSE 'LARGE OBJECTS' END,
           CASE d.defaclrole WHEN c.role THEN '' ELSE 'of ' || quote_ident(pg_get_userbyid(d.defaclrole)) || ' ' END
           || coalesce('in schema ' || quote_ident(n.nspname), 'in all schemas'),
           concat_ws(' ', CASE d.defaclrole WHEN c.role THEN NULL ELSE 'FOR ROLE ' || quote_ident(pg_get_userbyid(d.defaclrole)) END,
                     'IN SCHEMA ' || quote_ident(n.nspname)),
           NULL, d.defaclrole, d.defaclacl,
           CASE d.defaclnamespace WHEN 0 THEN acldefault(CASE d.defaclobjtype WHEN 'S' THEN 's' ELSE d.defaclobjtype END, d.defaclrole)
                                  END
    FROM pg_catalog.pg_default_acl AS d
    JOIN (SELECT oid AS role FROM pg_catalog.pg_roles WHERE rolname = current_user) AS c ON true
    LEFT JOIN pg_catalog.pg_namespace AS n ON n.oid = d.defaclnamespace
) AS acl
CROSS JOIN LATERAL (
    SELECT grantee, privilege_type, is_grantable, false AS by_default FROM aclexplode(acl.acl) AS x
    WHERE NOT EXISTS (SELECT FROM aclexplode(acl.initial) AS i
                      WHERE (i.grantee, i.privilege_type) = (x.grantee, x.privilege_type)
                        AND i.is_grantable >= x.is_grantable)
    UNION ALL
    SELECT grantee, privilege_type, is_grantable, true FROM aclexplode(acl.initial) AS i
    WHERE NOT EXISTS (SELECT FROM aclexplode(acl.acl) AS x
                      WHERE (i.grantee, i.privilege_type) = (x.grantee, x.privilege_type))
) AS p

-- name: input_is_valid
-- A substitute for pg_input_is_valid before PostgreSQL 16. json_to_record calls the input function of the type with its
-- modifier, which a cast of text does not; a json column gets the text unchanged.
CREATE FUNCTION pg_temp.input_is_valid(value text, type text) RETURNS boolean LANGUAGE plpgsql AS $function$
DECLARE
    known CONSTANT regtype := type;
BEGIN
    IF known IN ('json'::regtype, 'jsonb'::regtype) THEN
        EXECUTE format('SELECT $1::%s', known) USING value;
    ELSE
        EXECUTE format('SELECT FROM json_to_record(json_build_object(''value'', $1)) AS given(value %s)', type) USING value;
    END IF;
    RETURN true;
EXCEPTION
    WHEN lock_not_available OR deadlock_detected OR unsafe_new_enum_value_usage THEN
        RAISE;
    WHEN OTHERS THEN
        RETURN false;
END
$function$

-- name: guards
-- Settings to count rows: read only, with a time limit, and with an error instead of rows hidden by row security.
SELECT set_config('statement_timeout', %(timeout)s, true), set_config('transaction_read_only', 'on', true),
       set_config('row_security', 'off', true)

-- name: names
-- The names of tables, views, composite types, their columns and members, sequences, other types and values of enums, with
-- a key that a rename does not change.
SELECT object.key, CASE n.nspname WHEN 'public' THEN '' ELSE quote_ident(n.nspname) || '.' END || quote_ident(object.name),
       n.nspname, object.name, object.columns, object.members
FROM (
    SELECT 'table ' || c.oid AS key, c.relnamespace AS namespace, c.relname AS name,
           (SELECT coalesce(json_object_agg(a.attnum, a.attname), '{}') FROM pg_catalog.pg_attribute AS a
             WHERE a.attrelid = c.oid AND a.attnum > 0 AND NOT a.attisdropped) AS columns,
           (SELECT coalesce(json_object_agg(member.kind || ' ' || member.oid, member.name), '{}') FROM (
                SELECT 'index' AS kind, i.oid, i.relname AS name FROM pg_catalog.pg_index AS x
                JOIN pg_catalog.pg_class AS i ON i.oid = x.indexrelid WHERE x.indrelid = c.oid
                UNION ALL SELECT 'constraint', oid, conname FROM pg_catalog.pg_constraint WHERE conrelid = c.oid
                UNION ALL SELECT 'trigger', oid, tgname FROM pg_catalog.pg_trigger WHERE tgrelid = c.oid AND NOT tgisinternal
                UNION ALL SELECT 'policy', oid, polname FROM pg_catalog.pg_policy WHERE polrelid = c.oid
                UNION ALL SELECT 'rule', oid, rulename FROM pg_catalog.pg_rewrite WHERE ev_class = c.oid
                UNION ALL SELECT 'statistics', oid, stxname FROM pg_catalog.pg_statistic_ext WHERE stxrelid = c.oid
            ) AS member) AS members
    FROM pg_catalog.pg_class AS c WHERE c.relkind IN ('r', 'p', 'f', 'v', 'm', 'c') AND c.oid >= 16384
    UNION ALL
    SELECT 'sequence ' || c.oid, c.relnamespace, c.relname, '{}', '{}'
    FROM pg_catalog.pg_class AS c WHERE c.relkind = 'S' AND c.oid >= 16384
    UNION ALL
    SELECT 'type ' || t.oid, t.typnamespace, t.typname,
           (SELECT coalesce(json_object_agg(v.oid, v.enumlabel), '{}') FROM pg_catalog.pg_enum AS v WHERE v.enumtypid = t.oid), '{}'
    FROM pg_catalog.pg_type AS t WHERE t.typtype IN ('e', 'd', 'r') AND t.oid >= 16384
) AS object
JOIN pg_catalog.pg_namespace AS n ON n.oid = object.namespace
WHERE n.nspname !~ '^pg_'

-- name: routines
-- The application's functions, procedures and aggregates, with the privileges on them that differ from the default ones.
SELECT i.identity, CASE WHEN p.prokind <> 'a' THEN md5(pg_get_functiondef(p.oid)) END AS digest,
       {{privileges_on_routine}} AS privileges,
       obj_description(p.oid, 'pg_proc') AS comment
FROM pg_catalog.pg_proc AS p
CROSS JOIN LATERAL (SELECT p.proacl AS acl, p.proowner AS owner) AS x
JOIN pg_catalog.pg_namespace AS n ON n.oid = p.pronamespace
CROSS JOIN LATERAL pg_identify_object('pg_catalog.pg_proc'::regclass, p.oid, 0) AS i
WHERE p.oid >= 16384 AND n.nspname !~ '^pg_' AND n.nspname <> 'information_schema'
  AND NOT starts_with(p.proname, '_stonescriptdb_gateway_')
  AND NOT EXISTS (SELECT FROM pg_catalog.pg_depend AS d
                  WHERE d.classid = 'pg_catalog.pg_proc'::regclass AND d.objid = p.oid AND d.deptype IN ('e', 'i'))
ORDER BY i.identity

-- name: initial_privileges
-- The privileges that routines would have if they were created now, according to the default privileges.
SELECT i.identity, {{privileges_on_routine}} AS privileges
FROM pg_catalog.pg_proc AS p
CROSS JOIN LATERAL (
    SELECT p.proowner AS owner, coalesce(
        (SELECT d.defaclacl FROM pg_catalog.pg_default_acl AS d
         WHERE (d.defaclrole, d.defaclnamespace, d.defaclobjtype) = (p.proowner, 0, 'f')), acldefault('f', p.proowner)
    ) || coalesce(
        (SELECT d.defaclacl FROM pg_catalog.pg_default_acl AS d
         WHERE (d.defaclrole, d.defaclnamespace, d.defaclobjtype) = (p.proowner, p.pronamespace, 'f')), '{}') AS acl
) AS x
CROSS JOIN LATERAL pg_identify_object('pg_catalog.pg_proc'::regclass, p.oid, 0) AS i
WHERE p.oid >= 16384 AND i.identity = ANY(%(identities)s)
