-- name: routines
-- Every function of the names $1, in all schemas and callable or not. It is the first query of many connections, and so
-- it asks for nothing that a new backend would have to read much of the catalog for: no JSON, no printed arguments,
-- no comparison of two types, for which it would look at all operators of the name.
SELECT p.oid,
       p.pronamespace::pg_catalog.regnamespace::pg_catalog.text AS schema,
       p.proname AS name,
       p.prokind AS kind,
       p.proretset AS returns_set,
       p.prorettype AS return_type,
       p.provariadic AS variadic,
       p.pronargdefaults AS default_count,
       coalesce(p.proallargtypes, p.proargtypes::pg_catalog.oid[]) AS types,
       p.proargmodes AS modes,
       p.proargnames AS names,
       p.proconfig AS settings,
       EXISTS (
           SELECT FROM pg_catalog.pg_depend d
           WHERE d.classid OPERATOR(pg_catalog.=) 'pg_catalog.pg_proc'::pg_catalog.regclass::pg_catalog.oid
             AND d.objid OPERATOR(pg_catalog.=) p.oid AND d.deptype OPERATOR(pg_catalog.=) 'e'
       ) AS in_extension
FROM pg_catalog.pg_proc p
WHERE p.proname OPERATOR(pg_catalog.=) ANY ($1::pg_catalog.name[]);

-- name: arguments
-- The parameters of the functions $1, as PostgreSQL prints them, in the order of $1; of one that is gone, nothing.
SELECT pg_catalog.pg_get_function_arguments(f.oid)
FROM pg_catalog.unnest($1::pg_catalog.oid[]) WITH ORDINALITY AS f (oid, position)
ORDER BY f.position USING OPERATOR(pg_catalog.<);

-- name: type_graph
-- The types $1 and all they are made of, as JSON objects: a domain's base, an array's element, a composite's fields.
WITH RECURSIVE needed AS (
    SELECT pg_catalog.unnest($1::pg_catalog.oid[]) AS oid
    UNION
    SELECT part.oid
    FROM needed
    JOIN pg_catalog.pg_type t ON t.oid OPERATOR(pg_catalog.=) needed.oid
    CROSS JOIN LATERAL (
        SELECT t.typbasetype AS oid WHERE t.typtype OPERATOR(pg_catalog.=) 'd'
        UNION ALL
        SELECT e.oid FROM pg_catalog.pg_type e
        WHERE e.oid OPERATOR(pg_catalog.=) t.typelem AND e.typarray OPERATOR(pg_catalog.=) t.oid
        UNION ALL
        SELECT a.atttypid FROM pg_catalog.pg_attribute a
        WHERE t.typtype OPERATOR(pg_catalog.=) 'c' AND a.attrelid OPERATOR(pg_catalog.=) t.typrelid
          AND a.attnum OPERATOR(pg_catalog.>) 0 AND NOT a.attisdropped
    ) AS part
)
SELECT pg_catalog.row_to_json(r.*)
FROM (
    SELECT t.oid::bigint AS oid,
           t.typbasetype::bigint AS base,
           e.oid::bigint AS element,
           e.typdelim AS delimiter,
           CASE WHEN t.typtype OPERATOR(pg_catalog.=) 'c' THEN (
               SELECT coalesce(pg_catalog.json_agg(
                   pg_catalog.json_build_object('name', a.attname, 'type', a.atttypid::bigint)
                   ORDER BY a.attnum USING OPERATOR(pg_catalog.<)), '[]')
               FROM pg_catalog.pg_attribute a
               WHERE a.attrelid OPERATOR(pg_catalog.=) t.typrelid
                 AND a.attnum OPERATOR(pg_catalog.>) 0 AND NOT a.attisdropped)
           END AS fields
    FROM needed
    JOIN pg_catalog.pg_type t ON t.oid OPERATOR(pg_catalog.=) needed.oid
    LEFT JOIN pg_catalog.pg_type e
           ON e.oid OPERATOR(pg_catalog.=) t.typelem AND e.typarray OPERATOR(pg_catalog.=) t.oid
) AS r;

-- name: schema_of_dblink
SELECT n.nspname::pg_catalog.text
FROM pg_catalog.pg_extension AS e
JOIN pg_catalog.pg_namespace AS n ON pg_catalog.oideq(n.oid, e.extnamespace)
WHERE pg_catalog.nameeqtext(e.extname, 'dblink')
