-- name: relation_or_type_exists
SELECT coalesce(to_regclass(spelled)::oid, to_regtype(spelled)::oid) IS NOT NULL
  FROM format('%%I.%%I', %(schema)s::text, %(name)s::text) AS spelled

-- name: column_or_constraint_exists
SELECT EXISTS (SELECT FROM pg_catalog.pg_attribute
                WHERE attrelid = relation AND attname = %(member)s AND NOT attisdropped)
       OR EXISTS (SELECT FROM pg_catalog.pg_constraint WHERE conrelid = relation AND conname = %(member)s)
  FROM to_regclass(format('%%I.%%I', %(schema)s::text, %(name)s::text)) AS relation

-- name: routine_exists
SELECT EXISTS (SELECT FROM pg_catalog.pg_proc WHERE proname = %(name)s AND pronamespace = to_regnamespace(quote_ident(%(schema)s)))

-- name: invalid_index
-- An index that an interrupted CREATE INDEX CONCURRENTLY has left.
SELECT FROM pg_catalog.pg_index
 WHERE indexrelid = to_regclass(format('%%I.%%I', %(schema)s::text, %(name)s::text)) AND NOT indisvalid

-- name: column_has_type
-- Whether a column has the type and collation of the one column of a temporary table.
SELECT (a.atttypid, a.atttypmod, a.attcollation) = (w.atttypid, w.atttypmod, w.attcollation)
  FROM pg_catalog.pg_attribute a, pg_catalog.pg_attribute w
 WHERE a.attrelid = to_regclass(format('%%I.%%I', %(schema)s::text, %(name)s::text)) AND a.attname = %(column)s
   AND w.attrelid = to_regclass('pg_temp._stonescriptdb_gateway_type') AND w.attname = 'wanted'

-- name: oids
SELECT schema, name, to_regclass(format('%%I.%%I', schema, name))::oid
  FROM unnest(%(schemas)s::text[], %(names)s::text[]) AS declared (schema, name)

-- name: present_addresses
SELECT c.oid, n.nspname::text, c.relname::text
  FROM pg_catalog.pg_class c JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace
 WHERE c.oid = ANY (%(oids)s::oid[])

-- name: duplicates
-- The indexes and constraints of a table that are not among the declared names, and have the definition of one of them;
-- constraints its name, too, but for a number at the end and the table's name, or the name of the index that they were
-- made of, unless it is a partition's part of a key. And constraints that have the name of a declared index or primary
-- key, and indexes that have that of a declared constraint. The last two also if a migration has named them.
WITH objects AS (
  SELECT 'INDEX' AS kind, c.relname AS name, false AS is_part,
         regexp_replace(pg_get_indexdef(c.oid), ' INDEX .*? ON ', ' INDEX ON ') AS definition
    FROM pg_catalog.pg_index i JOIN pg_catalog.pg_class c ON c.oid = i.indexrelid
   WHERE i.indrelid = to_regclass(format('%%I.%%I', %(schema)s::text, %(table)s::text))
     AND NOT EXISTS (SELECT FROM pg_catalog.pg_constraint WHERE conindid = i.indexrelid AND conrelid = i.indrelid)
  UNION ALL
  SELECT 'CONSTRAINT', conname, conparentid <> 0, pg_get_constraintdef(oid)
    FROM pg_catalog.pg_constraint
   WHERE conrelid = to_regclass(format('%%I.%%I', %(schema)s::text, %(table)s::text)) AND contype IN ('c', 'f', 'u', 'x'))
SELECT kind, other.name::text, one.is_part AS may_be_named
  FROM objects AS other JOIN objects AS one USING (kind, definition),
       regexp_replace(other.name, '[0-9]+$', '') AS generated
 WHERE (one.is_part OR one.name = ANY (%(names)s::text[]))
   AND NOT other.is_part AND other.name <> ALL (%(names)s::text[])
   AND (kind = 'INDEX' OR one.is_part OR other.name = ANY (%(given)s::text[])
        OR regexp_replace(one.name, '[0-9]+$', '') IN (
             generated, %(declared_table)s || substr(generated, length(%(table)s) + 1)))
UNION ALL
SELECT kind, name::text, true
  FROM objects
 WHERE name = ANY (CASE kind WHEN 'INDEX' THEN %(keys)s::text[] ELSE %(indexes)s::text[] END) AND NOT is_part
 ORDER BY 1, 2

-- name: removal_of_index
-- The statement that drops an index, or its constraint.
SELECT CASE WHEN conname IS NULL THEN format('DROP INDEX %%s', index)
            ELSE format('ALTER TABLE %%s DROP CONSTRAINT %%I', conrelid::regclass, conname) END
  FROM to_regclass(format('%%I.%%I', %(schema)s::text, %(name)s::text)) AS index
  LEFT JOIN pg_catalog.pg_constraint ON conindid = index AND contype IN ('u', 'x')
 WHERE index IS NOT NULL

-- name: violated
-- A table, the number of one of its columns, the name and definition of a constraint that it has not inherited, and
-- whether the column is NOT NULL, which has a name, too, since PostgreSQL 18.
SELECT relation::oid, relation::text, a.attnum, con.conname::text, pg_get_constraintdef(con.oid), a.attnotnull
  FROM to_regclass(format('%%I.%%I', %(schema)s::text, %(table)s::text)) AS relation
  LEFT JOIN pg_catalog.pg_attribute a ON a.attrelid = relation AND a.attname = %(column)s
  LEFT JOIN pg_catalog.pg_constraint con
    ON con.conrelid = relation AND con.conislocal AND con.coninhcount = 0
       AND (con.conname = %(constraint)s OR con.contype = 'n' AND con.conkey = ARRAY[a.attnum])
 WHERE relation IS NOT NULL

-- name: foreign_keys_to
-- The foreign keys of other tables that refer to a table.
SELECT con.conrelid::oid, con.conrelid::regclass::text, c.relname::text, con.conname::text, pg_get_constraintdef(con.oid)
  FROM pg_catalog.pg_constraint con
  JOIN pg_catalog.pg_class c ON c.oid = con.conrelid
 WHERE con.contype = 'f' AND con.confrelid = to_regclass(format('%%I.%%I', %(schema)s::text, %(table)s::text))
   AND con.conrelid <> con.confrelid AND con.conparentid = 0

-- name: present_names
-- The table and column of a postponed constraint, and the name of the column's NOT NULL.
SELECT c.oid::regclass::text, a.attname::text, con.conname::text
  FROM pg_catalog.pg_class c
  LEFT JOIN pg_catalog.pg_attribute a ON a.attrelid = c.oid AND a.attnum = %(number)s AND NOT a.attisdropped
  LEFT JOIN pg_catalog.pg_constraint con ON con.conrelid = c.oid AND con.contype = 'n' AND con.conkey = ARRAY[a.attnum]
 WHERE c.oid = %(table)s AND (a.attnum IS NOT NULL OR %(number)s::int IS NULL)

-- name: table_without_column
-- A table that does not have the column.
SELECT
  FROM pg_catalog.pg_class c
 WHERE c.oid = to_regclass(format('%%I.%%I', %(schema)s::text, %(table)s::text)) AND c.relkind IN ('r', 'p')
   AND NOT EXISTS (SELECT FROM pg_catalog.pg_attribute a
                    WHERE a.attrelid = c.oid AND a.attname = %(column)s AND NOT a.attisdropped)

-- name: plain_column
-- The table, number, type and default of a column that is no identity or generated one.
SELECT a.attrelid, a.attnum, format_type(a.atttypid, a.atttypmod), pg_get_expr(d.adbin, d.adrelid)
  FROM pg_catalog.pg_attribute a
  LEFT JOIN pg_catalog.pg_attrdef d ON d.adrelid = a.attrelid AND d.adnum = a.attnum
 WHERE a.attrelid = to_regclass(format('%%I.%%I', %(schema)s::text, %(table)s::text)) AND a.attname = %(column)s
   AND NOT a.attisdropped AND a.attidentity = '' AND a.attgenerated = ''

-- name: name_of_column
-- The schema, table and name of a column that was not dropped.
SELECT n.nspname::text, c.relname::text, a.attname::text
  FROM pg_catalog.pg_attribute a
  JOIN pg_catalog.pg_class c ON c.oid = a.attrelid
  JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace
 WHERE a.attrelid = %(table)s AND a.attnum = %(number)s AND NOT a.attisdropped

-- name: columns_to_fill
-- The columns of a table that an INSERT may fill, and whether they have a default.
SELECT attname::text, atthasdef OR attidentity <> ''
  FROM pg_catalog.pg_attribute
 WHERE attrelid = to_regclass(format('%%I.%%I', %(schema)s::text, %(table)s::text))
   AND attnum > 0 AND NOT attisdropped AND attgenerated = ''
 ORDER BY attnum

-- name: sequences
SELECT n.nspname::text, c.relname::text
  FROM pg_catalog.pg_class c JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace
 WHERE CASE WHEN c.relkind = 'S' THEN has_sequence_privilege(c.oid, 'SELECT') AND has_sequence_privilege(c.oid, 'UPDATE') END
   AND left(c.relname, 24) <> '_stonescriptdb_gateway_' AND pg_my_temp_schema() <> n.oid

-- name: set_position
SELECT setval(to_regclass(%(name)s), %(value)s, %(is_drawn)s) WHERE to_regclass(%(name)s) IS NOT NULL

-- name: columns_of_rows
-- The columns of the temporary table with the rows of a CREATE TABLE AS.
SELECT attname FROM pg_catalog.pg_attribute
 WHERE attrelid = 'pg_temp._stonescriptdb_gateway_rows'::regclass AND attnum > 0 ORDER BY attnum

-- name: columns_without_computed_default
-- The tables of these names, each with its printed name and the columns whose default is no call and no number.
SELECT c.relname::text, c.oid::regclass::text,
       array_agg(a.attname::text ORDER BY a.attnum) FILTER (WHERE a.attidentity = '' AND coalesce(pg_get_expr(d.adbin, d.adrelid), '') !~ '\(')
  FROM pg_catalog.pg_class c
  JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace
  LEFT JOIN pg_catalog.pg_attribute a ON a.attrelid = c.oid AND a.attnum > 0 AND NOT a.attisdropped
  LEFT JOIN pg_catalog.pg_attrdef d ON d.adrelid = c.oid AND d.adnum = a.attnum
 WHERE c.relname = ANY (%(names)s) AND c.relkind IN ('r', 'p') AND NOT c.relispartition
   AND n.nspname <> 'information_schema' AND left(n.nspname, 3) <> 'pg_'
 GROUP BY c.oid, c.relname
