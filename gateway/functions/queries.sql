-- name: routines
-- Every function and procedure of the names $1 in the schemas $2 that an application may call, as JSON objects.
-- Not those of extensions, of triggers and other machinery, of the gateway itself, nor those that take what no client
-- can give. "same_name" has all that share the name and schema, callable or not: the call compares it with the present.
SELECT pg_catalog.row_to_json(r)
FROM (
    SELECT p.oid::bigint AS oid,
           n.nspname AS schema,
           p.proname AS name,
           p.prokind AS kind,
           p.proretset AS returns_set,
           p.prorettype::bigint AS return_type,
           p.provariadic <> 0 AS variadic,
           p.pronargdefaults AS default_count,
           coalesce(p.proallargtypes, p.proargtypes::oid[])::bigint[] AS types,
           p.proargmodes AS modes,
           p.proargnames AS names,
           pg_catalog.pg_get_function_arguments(p.oid) AS arguments,
           (SELECT pg_catalog.substr(setting, 19) FROM pg_catalog.unnest(p.proconfig) AS setting
            WHERE setting LIKE 'statement_timeout=%') AS statement_timeout,
           p.prosrc ~* '\mprepare\M' AS prepares,
           ARRAY(SELECT q.oid::bigint FROM pg_catalog.pg_proc q
                 WHERE q.proname = p.proname AND q.pronamespace = p.pronamespace ORDER BY 1) AS same_name
    FROM pg_catalog.pg_proc p
    JOIN pg_catalog.pg_namespace n ON n.oid = p.pronamespace
    WHERE p.proname = ANY ($1::text[])
      AND n.nspname = ANY ($2::text[])
      AND p.prokind IN ('f', 'p')
      AND p.proname NOT LIKE '\_stonescriptdb\_gateway\_%'
      AND NOT EXISTS (
          SELECT FROM pg_catalog.pg_depend d
          WHERE d.classid = 'pg_catalog.pg_proc'::regclass AND d.objid = p.oid AND d.deptype = 'e')
      AND NOT EXISTS (
          SELECT FROM pg_catalog.pg_type t
          WHERE t.typtype = 'p'
            AND ((t.oid = p.prorettype AND t.typname NOT LIKE 'any%' AND t.typname NOT IN ('void', 'record'))
              OR (t.oid = ANY (p.proargtypes) AND (t.typname = 'any' OR t.typname NOT LIKE 'any%'))))
) AS r
ORDER BY r.oid;

-- name: type_graph
-- The types $1 and all they are made of, as JSON objects: a domain's base, an array's element, a composite's fields.
WITH RECURSIVE needed AS (
    SELECT pg_catalog.unnest($1::oid[]) AS oid
    UNION
    SELECT part.oid
    FROM needed
    JOIN pg_catalog.pg_type t ON t.oid = needed.oid
    CROSS JOIN LATERAL (
        SELECT t.typbasetype AS oid WHERE t.typtype = 'd'
        UNION ALL
        SELECT e.oid FROM pg_catalog.pg_type e WHERE e.oid = t.typelem AND e.typarray = t.oid
        UNION ALL
        SELECT a.atttypid FROM pg_catalog.pg_attribute a
        WHERE t.typtype = 'c' AND a.attrelid = t.typrelid AND a.attnum > 0 AND NOT a.attisdropped
    ) AS part
)
SELECT pg_catalog.row_to_json(r)
FROM (
    SELECT t.oid::bigint AS oid,
           t.typbasetype::bigint AS base,
           e.oid::bigint AS element,
           e.typdelim AS delimiter,
           CASE WHEN t.typtype = 'c' THEN (
               SELECT coalesce(pg_catalog.json_agg(
                   pg_catalog.json_build_object('name', a.attname, 'type', a.atttypid::bigint) ORDER BY a.attnum), '[]')
               FROM pg_catalog.pg_attribute a
               WHERE a.attrelid = t.typrelid AND a.attnum > 0 AND NOT a.attisdropped)
           END AS fields
    FROM needed
    JOIN pg_catalog.pg_type t USING (oid)
    LEFT JOIN pg_catalog.pg_type e ON e.oid = t.typelem AND e.typarray = t.oid
) AS r;
