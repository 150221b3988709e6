-- Parts that statements of several queries.sql have in common, included as {{routine_fingerprint}}. They contain no
-- parameters and no percent sign, which is doubled only in statements with parameters.

-- name: routine_fingerprint
-- A digest of everything that CREATE OR REPLACE and ALTER can change of a routine, the row p of pg_proc.
md5(concat_ws('|', p.prokind, p.prolang, p.procost, p.prorows, p.prosecdef, p.proleakproof, p.proisstrict, p.proretset,
              p.provolatile, p.proparallel, p.prorettype, p.proallargtypes::text, p.proargmodes::text, p.proargnames::text,
              p.proargdefaults::text, p.prosrc, p.prosqlbody::text, p.proconfig::text,
              nullif(p.prosupport::oid, 0)::regproc::text, p.protrftypes::text,
              (SELECT a::text FROM pg_catalog.pg_aggregate a WHERE a.aggfnoid = p.oid)))

-- name: owners
-- The owners of objects that are no relations, types, routines or schemas.
SELECT tableoid, oid, collowner AS owner FROM pg_catalog.pg_collation
UNION ALL SELECT tableoid, oid, conowner FROM pg_catalog.pg_conversion
UNION ALL SELECT tableoid, oid, oprowner FROM pg_catalog.pg_operator
UNION ALL SELECT tableoid, oid, opcowner FROM pg_catalog.pg_opclass
UNION ALL SELECT tableoid, oid, opfowner FROM pg_catalog.pg_opfamily
UNION ALL SELECT tableoid, oid, dictowner FROM pg_catalog.pg_ts_dict
UNION ALL SELECT tableoid, oid, cfgowner FROM pg_catalog.pg_ts_config
UNION ALL SELECT tableoid, oid, srvowner FROM pg_catalog.pg_foreign_server
UNION ALL SELECT tableoid, oid, fdwowner FROM pg_catalog.pg_foreign_data_wrapper
UNION ALL SELECT tableoid, oid, lanowner FROM pg_catalog.pg_language
UNION ALL SELECT tableoid, oid, pubowner FROM pg_catalog.pg_publication
UNION ALL SELECT tableoid, oid, evtowner FROM pg_catalog.pg_event_trigger

-- name: privileges_on_routine
-- Statements without their object, for the privileges x.acl on a routine of x.owner that differ from the defaults of PostgreSQL.
ARRAY(SELECT concat(change.verb, ' ', change.privilege_type, ' ', change.preposition, ' ', CASE change.grantee
                        WHEN 0 THEN 'PUBLIC' WHEN x.owner THEN 'its owner' ELSE pg_get_userbyid(change.grantee) END)
      FROM (
          SELECT 'GRANT' AS verb, 'TO' AS preposition, given.* FROM (
              SELECT grantee, privilege_type FROM aclexplode(x.acl)
              EXCEPT SELECT grantee, privilege_type FROM aclexplode(acldefault('f', x.owner))) AS given
          UNION ALL
          SELECT 'REVOKE', 'FROM', lacking.* FROM (
              SELECT grantee, privilege_type FROM aclexplode(acldefault('f', x.owner)) WHERE x.acl IS NOT NULL
              EXCEPT SELECT grantee, privilege_type FROM aclexplode(x.acl)) AS lacking
      ) AS change ORDER BY 1)

-- name: settings_for_printing
-- Settings that change how PostgreSQL prints definitions, as a FROM item.
(VALUES ('search_path', ''), ('quote_all_identifiers', 'off'), ('DateStyle', 'ISO, MDY'), ('IntervalStyle', 'postgres'),
        ('TimeZone', 'UTC'), ('bytea_output', 'hex'), ('extra_float_digits', '1'), ('lc_monetary', 'C')) AS wanted(name, value)
