-- name: seeded_table
-- A table that a seeder fills: its columns in order with their types, its keys (primary key first), the tables that its
-- foreign keys refer to, and whether triggers may change inserted rows, or policies refuse them.
SELECT c.oid::bigint AS oid, c.oid::regclass::text AS name,
       concat_ws('.', nullif(c.relnamespace::regnamespace::text, 'public'), c.relname) AS label,
       (SELECT json_agg(json_build_object('name', a.attname, 'type', format_type(a.atttypid, a.atttypmod),
                                          'category', t.typcategory, 'required',
                                          a.attnotnull AND NOT a.atthasdef AND a.attidentity = '' AND t.typdefault IS NULL)
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
       EXISTS (SELECT FROM pg_catalog.pg_trigger WHERE tgrelid = c.oid AND NOT tgisinternal) AS has_triggers,
       row_security_active(c.oid) AS has_policies
  FROM pg_catalog.pg_class c
 WHERE c.oid = to_regclass(concat_ws('.', quote_ident(%(schema)s::text), quote_ident(%(table)s::text)))
