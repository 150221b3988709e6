-- name: relation_or_type_exists
SELECT coalesce(to_regclass(spelled)::oid, to_regtype(spelled)::oid) IS NOT NULL
  FROM format('%%I.%%I', %(schema)s::text, %(name)s::text) AS spelled

-- name: column_or_constraint_exists
SELECT EXISTS (SELECT FROM pg_catalog.pg_attribute
                WHERE attrelid = relation AND attname = %(member)s AND NOT attisdropped)
       OR EXISTS (SELECT FROM pg_catalog.pg_constraint WHERE conrelid = relation AND conname = %(member)s)
  FROM to_regclass(format('%%I.%%I', %(schema)s::text, %(name)s::text)) AS relation

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
