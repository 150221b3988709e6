-- name: catalog
-- The application's whole catalog as one JSON document, in the shape of ``model.Catalog``; keys with null are left out.
-- Deparsed text depends on session settings, so they are fixed first and put back last, inside this one statement: CASE
-- evaluates its condition before its branch, and OFFSET 0 keeps the three levels from being merged into one.
-- Left out: system schemas, temporary objects, members of extensions, and the gateway's own tables.
SELECT json_strip_nulls(reading.document)::text,
       (SELECT count(set_config(before.key, before.value, true)) FROM json_each_text(reading.previous) AS before)
FROM (
    SELECT session.previous, CASE WHEN session.fixed > 0 THEN (
        WITH member AS MATERIALIZED (
            SELECT classid, objid FROM pg_catalog.pg_depend WHERE deptype = 'e'
        ), namespace AS MATERIALIZED (
            SELECT n.oid, n.nspname AS name,
                   CASE n.nspname WHEN 'public' THEN '' ELSE quote_ident(n.nspname) || '.' END AS prefix
            FROM pg_catalog.pg_namespace AS n
            WHERE (n.oid >= 16384 OR n.nspname = 'public') AND n.nspname !~ '^pg_'
        ), use AS MATERIALIZED (
            SELECT classid, objid, refobjid, refobjsubid
            FROM pg_catalog.pg_depend
            WHERE refclassid = 'pg_catalog.pg_class'::regclass AND refobjid >= 16384 AND classid IN (
                'pg_catalog.pg_rewrite'::regclass, 'pg_catalog.pg_trigger'::regclass, 'pg_catalog.pg_policy'::regclass,
                'pg_catalog.pg_attrdef'::regclass, 'pg_catalog.pg_proc'::regclass)
        ), relation AS MATERIALIZED (
            SELECT c.oid, n.name AS schema, c.relname AS name, n.prefix || quote_ident(c.relname) AS label,
                   quote_ident(n.name) || '.' || quote_ident(c.relname) AS qualified,
                   c.relkind, c.relpersistence, c.relrowsecurity, c.relforcerowsecurity,
                   c.relreplident, c.reloptions, c.relpartbound, c.reloftype, c.relowner, c.relacl, c.relam
            FROM pg_catalog.pg_class AS c
            JOIN namespace AS n ON n.oid = c.relnamespace
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
            SELECT r.oid AS relation, a.attnum, q.oid AS sequence,
                   json_build_object(
                       'name', a.attname,
                       'type', format_type(a.atttypid, a.atttypmod),
                       'collation', CASE WHEN a.attcollation NOT IN (0, t.typcollation)
                                         THEN (SELECT quote_ident(n.nspname) || '.' || quote_ident(l.collname)
                                               FROM pg_catalog.pg_collation AS l
                                               JOIN pg_catalog.pg_namespace AS n ON n.oid = l.collnamespace
                                               WHERE l.oid = a.attcollation) END,
                       'not_null', nullif(a.attnotnull, false),
                       'default', CASE WHEN q.deptype IS DISTINCT FROM 'a' THEN d.expression END,
                       'identity', CASE a.attidentity WHEN 'a' THEN 'ALWAYS' WHEN 'd' THEN 'BY DEFAULT' END,
                       'generated', CASE a.attgenerated WHEN 's' THEN 'STORED' WHEN 'v' THEN 'VIRTUAL' END,
                       'inherited', nullif(a.attinhcount > 0 AND NOT a.attislocal, false),
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
            LEFT JOIN sequence AS q ON q.table_oid = r.oid AND q.attnum = a.attnum
              AND (q.deptype = 'i' OR d.expression = format('nextval(%L::regclass)', q.qualified))
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
            GROUP BY r.oid
        ), attachment AS (
            SELECT r.oid AS relation, 'index' AS kind, i.relname AS name, json_build_object(
                       'kind', 'index', 'name', i.relname,
                       'definition', substr(pg_get_indexdef(x.indexrelid), 1 + length(
                           'CREATE ' || CASE WHEN x.indisunique THEN 'UNIQUE ' ELSE '' END || 'INDEX '
                           || quote_ident(i.relname) || ' ON ' || CASE i.relkind WHEN 'I' THEN 'ONLY ' ELSE '' END
                           || r.qualified || ' ')),
                       'unique', nullif(x.indisunique, false),
                       'invalid', nullif(NOT x.indisvalid, false),
                       'keys', CASE WHEN x.indisunique THEN (
                           SELECT json_agg(pg_get_indexdef(x.indexrelid, g, false) ORDER BY g)
                           FROM generate_series(1, x.indnkeyatts) AS g) END,
                       'predicate', pg_get_expr(x.indpred, x.indrelid)) AS document
            FROM relation AS r
            JOIN pg_catalog.pg_index AS x ON x.indrelid = r.oid
            JOIN pg_catalog.pg_class AS i ON i.oid = x.indexrelid AND NOT i.relispartition
            WHERE NOT EXISTS (SELECT FROM pg_catalog.pg_constraint AS k
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
                       'kind', 'statistics', 'name', s.stxname, 'schema', n.name, 'definition', pg_get_statisticsobjdef(s.oid))
            FROM relation AS r
            JOIN pg_catalog.pg_statistic_ext AS s ON s.stxrelid = r.oid
            JOIN namespace AS n ON n.oid = s.stxnamespace
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
                    'options', to_json(r.reloptions),
                    'access_method', (SELECT m.amname FROM pg_catalog.pg_am AS m WHERE m.oid = r.relam AND m.amname <> 'heap'),
                    'of_type', CASE WHEN r.reloftype <> 0 THEN format_type(r.reloftype, NULL) END,
                    'server', (SELECT quote_ident(s.srvname) || coalesce(' ' || array_to_string(f.ftoptions, ', '), '')
                               FROM pg_catalog.pg_foreign_table AS f
                               JOIN pg_catalog.pg_foreign_server AS s ON s.oid = f.ftserver WHERE f.ftrelid = r.oid),
                    'definition', CASE WHEN r.relkind IN ('v', 'm') THEN rtrim(pg_get_viewdef(r.oid), ';') END,
                    'uses', u.labels, 'columns', c.documents, 'constraints', k.documents, 'attachments', t.documents
                ) ORDER BY r.label)
                FROM relation AS r
                LEFT JOIN columns AS c ON c.relation = r.oid
                LEFT JOIN constraints AS k ON k.relation = r.oid
                LEFT JOIN attachments AS t ON t.relation = r.oid
                LEFT JOIN view_use AS u ON u.view = r.oid
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
                CROSS JOIN LATERAL pg_identify_object(d.classoid, d.objoid, d.objsubid) AS o
                WHERE d.objoid >= 16384 AND d.classoid IN (
                        'pg_catalog.pg_class'::regclass, 'pg_catalog.pg_constraint'::regclass, 'pg_catalog.pg_type'::regclass,
                        'pg_catalog.pg_trigger'::regclass, 'pg_catalog.pg_rewrite'::regclass, 'pg_catalog.pg_policy'::regclass,
                        'pg_catalog.pg_namespace'::regclass, 'pg_catalog.pg_statistic_ext'::regclass)
                  AND o.identity !~ '_stonescriptdb_gateway_'
                  AND NOT EXISTS (SELECT FROM member AS e WHERE e.classid = d.classoid AND e.objid = d.objoid)),
            'column_users', (SELECT json_agg(DISTINCT jsonb_build_array(r.label, a.attname, users.kind, users.name, users.holder))
                FROM (
                    SELECT d.refobjid, d.refobjsubid,
                           CASE w.rulename WHEN '_RETURN' THEN 'view' ELSE 'rule' END AS kind,
                           CASE w.rulename WHEN '_RETURN' THEN v.label ELSE w.rulename END AS name, v.label AS holder
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
                    SELECT d.refobjid, d.refobjsubid, 'function', d.objid::regprocedure::text, NULL
                    FROM use AS d
                    WHERE d.classid = 'pg_catalog.pg_proc'::regclass AND d.refobjsubid > 0
                ) AS users
                JOIN relation AS r ON r.oid = users.refobjid
                JOIN pg_catalog.pg_attribute AS a ON a.attrelid = users.refobjid AND a.attnum = users.refobjsubid),
            'privileges', (SELECT json_agg(json_build_object(
                    'kind', acl.kind, 'label', acl.label, 'qualified', acl.qualified, 'column', acl.column_name, 'privilege', p.privilege_type,
                    'grantee', CASE WHEN p.grantee <> 0 THEN pg_get_userbyid(p.grantee) END,
                    'grantable', nullif(p.is_grantable, false))
                    ORDER BY acl.kind, acl.label, acl.column_name, p.grantee, p.privilege_type)
                FROM (
                    SELECT CASE r.relkind WHEN 'S' THEN 'SEQUENCE' ELSE 'TABLE' END AS kind, r.label, r.qualified, NULL AS column_name,
                           r.relowner AS owner, r.relacl AS acl
                    FROM relation AS r WHERE r.relacl IS NOT NULL
                    UNION ALL
                    SELECT 'TABLE', r.label, r.qualified, a.attname, r.relowner, a.attacl
                    FROM relation AS r
                    JOIN pg_catalog.pg_attribute AS a ON a.attrelid = r.oid AND a.attacl IS NOT NULL AND NOT a.attisdropped
                    UNION ALL
                    SELECT 'SCHEMA', quote_ident(n.name), quote_ident(n.name), NULL, m.nspowner, m.nspacl
                    FROM namespace AS n
                    JOIN pg_catalog.pg_namespace AS m ON m.oid = n.oid AND m.nspacl IS NOT NULL
                ) AS acl
                CROSS JOIN LATERAL aclexplode(acl.acl) AS p
                WHERE p.grantee <> acl.owner AND NOT (acl.kind = 'SCHEMA' AND acl.label = 'public' AND p.grantee = 0)),
            'uncovered', (SELECT json_agg(DISTINCT line) FROM (
                SELECT concat(o.type, ' ', o.identity) AS line
                FROM (
                    SELECT 'pg_catalog.pg_event_trigger'::regclass AS class, oid FROM pg_catalog.pg_event_trigger
                    UNION ALL SELECT 'pg_catalog.pg_publication'::regclass, oid FROM pg_catalog.pg_publication
                    UNION ALL SELECT 'pg_catalog.pg_operator'::regclass, oid FROM pg_catalog.pg_operator
                    UNION ALL SELECT 'pg_catalog.pg_opclass'::regclass, oid FROM pg_catalog.pg_opclass
                    UNION ALL SELECT 'pg_catalog.pg_opfamily'::regclass, oid FROM pg_catalog.pg_opfamily
                    UNION ALL SELECT 'pg_catalog.pg_cast'::regclass, oid FROM pg_catalog.pg_cast
                    UNION ALL SELECT 'pg_catalog.pg_conversion'::regclass, oid FROM pg_catalog.pg_conversion
                    UNION ALL SELECT 'pg_catalog.pg_collation'::regclass, oid FROM pg_catalog.pg_collation
                    UNION ALL SELECT 'pg_catalog.pg_transform'::regclass, oid FROM pg_catalog.pg_transform
                    UNION ALL SELECT 'pg_catalog.pg_language'::regclass, oid FROM pg_catalog.pg_language
                    UNION ALL SELECT 'pg_catalog.pg_am'::regclass, oid FROM pg_catalog.pg_am
                    UNION ALL SELECT 'pg_catalog.pg_ts_config'::regclass, oid FROM pg_catalog.pg_ts_config
                    UNION ALL SELECT 'pg_catalog.pg_ts_dict'::regclass, oid FROM pg_catalog.pg_ts_dict
                    UNION ALL SELECT 'pg_catalog.pg_ts_parser'::regclass, oid FROM pg_catalog.pg_ts_parser
                    UNION ALL SELECT 'pg_catalog.pg_ts_template'::regclass, oid FROM pg_catalog.pg_ts_template
                    UNION ALL SELECT 'pg_catalog.pg_foreign_data_wrapper'::regclass, oid FROM pg_catalog.pg_foreign_data_wrapper
                    UNION ALL SELECT 'pg_catalog.pg_foreign_server'::regclass, oid FROM pg_catalog.pg_foreign_server
                    UNION ALL SELECT 'pg_catalog.pg_default_acl'::regclass, oid FROM pg_catalog.pg_default_acl
                    UNION ALL SELECT 'pg_catalog.pg_type'::regclass, oid FROM pg_catalog.pg_type
                              WHERE typtype = 'b' AND typelem = 0
                ) AS object
                CROSS JOIN LATERAL pg_identify_object(object.class, object.oid, 0) AS o
                WHERE object.oid >= 16384 AND NOT EXISTS (
                    SELECT FROM pg_catalog.pg_depend AS e
                    WHERE e.classid = object.class AND e.objid = object.oid AND e.deptype IN ('e', 'i'))
                UNION ALL
                SELECT format('not-null constraint %I of %s, not validated', k.conname, r.label)
                FROM relation AS r
                JOIN pg_catalog.pg_constraint AS k ON k.conrelid = r.oid AND k.contype = 'n' AND NOT k.convalidated
            ) AS lines)
        )
    ) END AS document
    FROM (
        SELECT json_object_agg(setting.name, setting.previous) AS previous,
               count(set_config(setting.name, setting.value, true)) AS fixed
        FROM (
            SELECT wanted.name, wanted.value, current_setting(wanted.name) AS previous
            FROM (VALUES ('search_path', ''), ('quote_all_identifiers', 'off'), ('DateStyle', 'ISO, MDY'),
                         ('IntervalStyle', 'postgres'), ('TimeZone', 'UTC'), ('bytea_output', 'hex'),
                         ('extra_float_digits', '1'), ('lc_monetary', 'C')) AS wanted(name, value)
            OFFSET 0
        ) AS setting
        OFFSET 0
    ) AS session
    OFFSET 0
) AS reading

-- name: guards
-- For the transaction of one question: it changes nothing, ends in time, and sees all rows or fails.
SELECT set_config('statement_timeout', %(timeout)s, true), set_config('transaction_read_only', 'on', true),
       set_config('row_security', 'off', true)

-- name: names
-- How tables, their columns and types are called, with what stays the same when they are renamed.
SELECT object.key, CASE n.nspname WHEN 'public' THEN '' ELSE quote_ident(n.nspname) || '.' END || quote_ident(object.name),
       n.nspname, object.name, object.columns
FROM (
    SELECT 'table ' || c.oid AS key, c.relnamespace AS namespace, c.relname AS name,
           (SELECT coalesce(json_object_agg(a.attnum, a.attname), '{}') FROM pg_catalog.pg_attribute AS a
             WHERE a.attrelid = c.oid AND a.attnum > 0 AND NOT a.attisdropped) AS columns
    FROM pg_catalog.pg_class AS c WHERE c.relkind IN ('r', 'p', 'f') AND c.oid >= 16384
    UNION ALL
    SELECT 'type ' || t.oid, t.typnamespace, t.typname, '{}'
    FROM pg_catalog.pg_type AS t WHERE t.typtype IN ('e', 'd', 'r') AND t.oid >= 16384
) AS object
JOIN pg_catalog.pg_namespace AS n ON n.oid = object.namespace
WHERE n.nspname !~ '^pg_'

-- name: mark
-- A text that is another one after any change of an object: how many rows each catalog has for the application's, the
-- newest transaction among those that wrote them, and the sum of them all. Statistics and the like are written in place.
SELECT md5(string_agg(concat_ws(' ', mark.catalog, mark.rows, mark.newest, mark.total), ',' ORDER BY mark.catalog))
FROM (
    SELECT 'pg_namespace' AS catalog, count(*) AS rows, max(xmin::text::bigint) AS newest, sum(xmin::text::bigint) AS total FROM pg_catalog.pg_namespace
    UNION ALL SELECT 'pg_class', count(*), max(xmin::text::bigint), sum(xmin::text::bigint) FROM pg_catalog.pg_class WHERE oid >= 16384
    UNION ALL SELECT 'pg_attribute', count(*), max(xmin::text::bigint), sum(xmin::text::bigint) FROM pg_catalog.pg_attribute WHERE attrelid >= 16384
    UNION ALL SELECT 'pg_attrdef', count(*), max(xmin::text::bigint), sum(xmin::text::bigint) FROM pg_catalog.pg_attrdef
    UNION ALL SELECT 'pg_constraint', count(*), max(xmin::text::bigint), sum(xmin::text::bigint) FROM pg_catalog.pg_constraint WHERE oid >= 16384
    UNION ALL SELECT 'pg_index', count(*), max(xmin::text::bigint), sum(xmin::text::bigint) FROM pg_catalog.pg_index WHERE indexrelid >= 16384
    UNION ALL SELECT 'pg_inherits', count(*), max(xmin::text::bigint), sum(xmin::text::bigint) FROM pg_catalog.pg_inherits
    UNION ALL SELECT 'pg_sequence', count(*), max(xmin::text::bigint), sum(xmin::text::bigint) FROM pg_catalog.pg_sequence
    UNION ALL SELECT 'pg_type', count(*), max(xmin::text::bigint), sum(xmin::text::bigint) FROM pg_catalog.pg_type WHERE oid >= 16384
    UNION ALL SELECT 'pg_enum', count(*), max(xmin::text::bigint), sum(xmin::text::bigint) FROM pg_catalog.pg_enum
    UNION ALL SELECT 'pg_proc', count(*), max(xmin::text::bigint), sum(xmin::text::bigint) FROM pg_catalog.pg_proc WHERE oid >= 16384
    UNION ALL SELECT 'pg_trigger', count(*), max(xmin::text::bigint), sum(xmin::text::bigint) FROM pg_catalog.pg_trigger
    UNION ALL SELECT 'pg_rewrite', count(*), max(xmin::text::bigint), sum(xmin::text::bigint) FROM pg_catalog.pg_rewrite WHERE oid >= 16384
    UNION ALL SELECT 'pg_policy', count(*), max(xmin::text::bigint), sum(xmin::text::bigint) FROM pg_catalog.pg_policy
    UNION ALL SELECT 'pg_statistic_ext', count(*), max(xmin::text::bigint), sum(xmin::text::bigint) FROM pg_catalog.pg_statistic_ext
    UNION ALL SELECT 'pg_description', count(*), max(xmin::text::bigint), sum(xmin::text::bigint) FROM pg_catalog.pg_description WHERE objoid >= 16384
    UNION ALL SELECT 'pg_depend', count(*), max(xmin::text::bigint), sum(xmin::text::bigint) FROM pg_catalog.pg_depend WHERE objid >= 16384
    UNION ALL SELECT 'pg_extension', count(*), max(xmin::text::bigint), sum(xmin::text::bigint) FROM pg_catalog.pg_extension
    UNION ALL SELECT 'pg_default_acl', count(*), max(xmin::text::bigint), sum(xmin::text::bigint) FROM pg_catalog.pg_default_acl
    UNION ALL SELECT 'pg_event_trigger', count(*), max(xmin::text::bigint), sum(xmin::text::bigint) FROM pg_catalog.pg_event_trigger
    UNION ALL SELECT 'pg_publication', count(*), max(xmin::text::bigint), sum(xmin::text::bigint) FROM pg_catalog.pg_publication
    UNION ALL SELECT 'pg_foreign_table', count(*), max(xmin::text::bigint), sum(xmin::text::bigint) FROM pg_catalog.pg_foreign_table
    UNION ALL SELECT 'pg_foreign_server', count(*), max(xmin::text::bigint), sum(xmin::text::bigint) FROM pg_catalog.pg_foreign_server
    UNION ALL SELECT 'pg_cast', count(*), max(xmin::text::bigint), sum(xmin::text::bigint) FROM pg_catalog.pg_cast WHERE oid >= 16384
    UNION ALL SELECT 'pg_operator', count(*), max(xmin::text::bigint), sum(xmin::text::bigint) FROM pg_catalog.pg_operator WHERE oid >= 16384
    UNION ALL SELECT 'pg_collation', count(*), max(xmin::text::bigint), sum(xmin::text::bigint) FROM pg_catalog.pg_collation WHERE oid >= 16384
    UNION ALL SELECT 'pg_ts_config', count(*), max(xmin::text::bigint), sum(xmin::text::bigint) FROM pg_catalog.pg_ts_config WHERE oid >= 16384
    UNION ALL SELECT 'pg_ts_config_map', count(*), max(xmin::text::bigint), sum(xmin::text::bigint) FROM pg_catalog.pg_ts_config_map WHERE mapcfg >= 16384
    UNION ALL SELECT 'pg_ts_dict', count(*), max(xmin::text::bigint), sum(xmin::text::bigint) FROM pg_catalog.pg_ts_dict WHERE oid >= 16384
    UNION ALL SELECT 'pg_opclass', count(*), max(xmin::text::bigint), sum(xmin::text::bigint) FROM pg_catalog.pg_opclass WHERE oid >= 16384
    UNION ALL SELECT 'pg_opfamily', count(*), max(xmin::text::bigint), sum(xmin::text::bigint) FROM pg_catalog.pg_opfamily WHERE oid >= 16384
    UNION ALL SELECT 'pg_conversion', count(*), max(xmin::text::bigint), sum(xmin::text::bigint) FROM pg_catalog.pg_conversion WHERE oid >= 16384
    UNION ALL SELECT 'pg_language', count(*), max(xmin::text::bigint), sum(xmin::text::bigint) FROM pg_catalog.pg_language WHERE oid >= 16384
    UNION ALL SELECT 'pg_foreign_data_wrapper', count(*), max(xmin::text::bigint), sum(xmin::text::bigint) FROM pg_catalog.pg_foreign_data_wrapper
    UNION ALL SELECT 'pg_publication_rel', count(*), max(xmin::text::bigint), sum(xmin::text::bigint) FROM pg_catalog.pg_publication_rel
) AS mark
