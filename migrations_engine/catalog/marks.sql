-- name: mark
-- For each catalog the number of rows that it has for the application's objects, and a sum over the transactions that wrote
-- them, which changes with any change of an object. Statistics and the like are written in place. A new session plans this
-- for longer than it runs, and many small statements in one message for less time than one that joins them; a regular
-- expression would cost it a third of all that. Only what is common is read: column defaults and parents always change with
-- rows of pg_depend, and there is no object of a kind in mark_more without such rows. The oids in the list are those of
-- pg_class, pg_type, pg_proc, pg_constraint, pg_attrdef, pg_trigger, pg_rewrite, pg_policy, pg_namespace, pg_extension,
-- pg_default_acl, pg_cast, pg_am and pg_transform. Catalogs of a few pages are read whole, because that is planned for less.
-- For one that never had a row its size is enough: pg_policy, pg_default_acl, pg_publication, pg_foreign_data_wrapper and
-- pg_transform, by their oids, because a name costs a lookup.
SELECT 'pg_depend', count(*), sum(hashtext(xmin::text)), 0 < count(*) FILTER (WHERE classid NOT IN (
           1259, 1247, 1255, 2606, 2604, 2620, 2618, 3256, 2615, 3079, 826, 2605, 2601, 3576))
FROM pg_catalog.pg_depend WHERE objid >= 16384;
SELECT 'pg_namespace', count(*), sum(hashtext(xmin::text)), false FROM pg_catalog.pg_namespace
WHERE NOT starts_with(nspname, 'pg_temp_') AND NOT starts_with(nspname, 'pg_toast_temp_');
SELECT 'pg_class', count(*), sum(hashtext(xmin::text)), false FROM pg_catalog.pg_class;
SELECT 'pg_attribute', count(*), sum(hashtext(xmin::text)), false FROM pg_catalog.pg_attribute WHERE attrelid >= 16384;
SELECT 'pg_constraint', count(*), sum(hashtext(xmin::text)), false FROM pg_catalog.pg_constraint;
SELECT 'pg_index', count(*), sum(hashtext(xmin::text)), false FROM pg_catalog.pg_index;
SELECT 'pg_sequence', count(*), sum(hashtext(xmin::text)), false FROM pg_catalog.pg_sequence;
SELECT 'pg_type', count(*), sum(hashtext(xmin::text)), false FROM pg_catalog.pg_type WHERE oid >= 16384;
SELECT 'pg_enum', count(*), sum(hashtext(xmin::text)), false FROM pg_catalog.pg_enum;
SELECT 'pg_proc', count(*), sum(hashtext(xmin::text)), false FROM pg_catalog.pg_proc WHERE oid >= 16384;
SELECT 'pg_trigger', count(*), sum(hashtext(xmin::text)), false FROM pg_catalog.pg_trigger;
SELECT 'pg_rewrite', count(*), sum(hashtext(xmin::text)), false FROM pg_catalog.pg_rewrite WHERE oid >= 16384;
SELECT 'pg_description', count(*), sum(hashtext(xmin::text)), false FROM pg_catalog.pg_description WHERE objoid >= 16384;
SELECT 'pg_extension', count(*), sum(hashtext(xmin::text)), false FROM pg_catalog.pg_extension;
SELECT 'pg_cast', count(*), sum(hashtext(xmin::text)), false FROM pg_catalog.pg_cast;
SELECT 'pg_am', count(*), sum(hashtext(xmin::text)), false FROM pg_catalog.pg_am;
SELECT '', 0, 0, 0 < pg_relation_size(3256) + pg_relation_size(826) + pg_relation_size(6104) + pg_relation_size(2328)
                   + pg_relation_size(3576)

-- name: mark_more
-- The same over catalogs of objects that few applications have.
SELECT 'pg_policy', count(*), sum(hashtext(xmin::text)), false FROM pg_catalog.pg_policy;
SELECT 'pg_default_acl', count(*), sum(hashtext(xmin::text)), false FROM pg_catalog.pg_default_acl;
SELECT 'pg_publication', count(*), sum(hashtext(xmin::text)), false FROM pg_catalog.pg_publication;
SELECT 'pg_foreign_data_wrapper', count(*), sum(hashtext(xmin::text)), false FROM pg_catalog.pg_foreign_data_wrapper;
SELECT 'pg_transform', count(*), sum(hashtext(xmin::text)), false FROM pg_catalog.pg_transform;
SELECT 'pg_foreign_table', count(*), sum(hashtext(xmin::text)), false FROM pg_catalog.pg_foreign_table;
SELECT 'pg_foreign_server', count(*), sum(hashtext(xmin::text)), false FROM pg_catalog.pg_foreign_server;
SELECT 'pg_statistic_ext', count(*), sum(hashtext(xmin::text)), false FROM pg_catalog.pg_statistic_ext;
SELECT 'pg_event_trigger', count(*), sum(hashtext(xmin::text)), false FROM pg_catalog.pg_event_trigger;
SELECT 'pg_publication_rel', count(*), sum(hashtext(xmin::text)), false FROM pg_catalog.pg_publication_rel;
SELECT 'pg_operator', count(*), sum(hashtext(xmin::text)), false FROM pg_catalog.pg_operator WHERE oid >= 16384;
SELECT 'pg_opclass', count(*), sum(hashtext(xmin::text)), false FROM pg_catalog.pg_opclass WHERE oid >= 16384;
SELECT 'pg_opfamily', count(*), sum(hashtext(xmin::text)), false FROM pg_catalog.pg_opfamily WHERE oid >= 16384;
SELECT 'pg_collation', count(*), sum(hashtext(xmin::text)), false FROM pg_catalog.pg_collation WHERE oid >= 16384;
SELECT 'pg_ts_config', count(*), sum(hashtext(xmin::text)), false FROM pg_catalog.pg_ts_config WHERE oid >= 16384;
SELECT 'pg_ts_config_map', count(*), sum(hashtext(xmin::text)), false FROM pg_catalog.pg_ts_config_map WHERE mapcfg >= 16384;
SELECT 'pg_ts_dict', count(*), sum(hashtext(xmin::text)), false FROM pg_catalog.pg_ts_dict WHERE oid >= 16384;
SELECT 'pg_ts_parser', count(*), sum(hashtext(xmin::text)), false FROM pg_catalog.pg_ts_parser WHERE oid >= 16384;
SELECT 'pg_ts_template', count(*), sum(hashtext(xmin::text)), false FROM pg_catalog.pg_ts_template WHERE oid >= 16384;
SELECT 'pg_conversion', count(*), sum(hashtext(xmin::text)), false FROM pg_catalog.pg_conversion WHERE oid >= 16384;
SELECT 'pg_language', count(*), sum(hashtext(xmin::text)), false FROM pg_catalog.pg_language WHERE oid >= 16384

-- name: shape
-- A number for the rows that the present transaction has written to a catalog, and for the names in its other rows, without
-- oids. The statement of the catalog, shape_of_…, is inserted between the parts of this one.
SELECT sum(hashtextextended(item.content, 0))::text FROM (

-- name: shape_end
) AS item

-- name: shape_of_pg_depend
SELECT concat_ws('|', classid, refclassid, objsubid, refobjsubid, deptype) AS content
FROM pg_catalog.pg_depend AS x WHERE objid >= 16384
UNION ALL
SELECT concat_ws('|', adrelid::regclass, adnum, pg_get_expr(adbin, adrelid))
FROM pg_catalog.pg_attrdef AS x WHERE age(x.xmin) <= age(pg_current_xact_id_if_assigned()::xid)
UNION ALL
SELECT concat_ws('|', inhrelid::regclass, inhparent::regclass, inhseqno) FROM pg_catalog.pg_inherits

-- name: shape_of_pg_namespace
SELECT concat_ws('|', nspname, nspowner, nspacl) AS content
FROM pg_catalog.pg_namespace AS x
WHERE NOT starts_with(nspname, 'pg_temp_') AND NOT starts_with(nspname, 'pg_toast_temp_')

-- name: shape_of_pg_class
SELECT CASE WHEN age(x.xmin) <= age(pg_current_xact_id_if_assigned()::xid) THEN
       concat_ws('|', relname, relnamespace::regnamespace, relkind, relpersistence, relnatts, relchecks, relrowsecurity,
           relforcerowsecurity, relreplident, relowner, relam, reltablespace, relacl, reloptions, pg_get_expr(relpartbound, oid))
       ELSE relname::text END AS content
FROM pg_catalog.pg_class AS x WHERE oid >= 16384 AND relnamespace <> 'pg_toast'::regnamespace

-- name: shape_of_pg_attribute
SELECT CASE WHEN age(x.xmin) <= age(pg_current_xact_id_if_assigned()::xid) THEN
       concat_ws('|', split_part(attrelid::regclass::text, 'pg_toast.pg_toast_', 1), attname, attnum, atttypid::regtype, atttypmod,
           attcollation, attnotnull, atthasdef, attidentity, attgenerated, attisdropped, attislocal, attinhcount, attstorage,
           attcompression, attstattarget, attacl, attoptions)
       ELSE attname::text END AS content
FROM pg_catalog.pg_attribute AS x WHERE attrelid >= 16384

-- name: shape_of_pg_constraint
SELECT CASE WHEN age(x.xmin) <= age(pg_current_xact_id_if_assigned()::xid) THEN
       concat_ws('|', conname, conrelid::regclass, contypid::regtype, contype, convalidated, conislocal, coninhcount,
           connoinherit, pg_get_constraintdef(oid))
       ELSE concat(conname, conrelid::regclass) END AS content
FROM pg_catalog.pg_constraint AS x WHERE oid >= 16384

-- name: shape_of_pg_index
SELECT CASE WHEN age(x.xmin) <= age(pg_current_xact_id_if_assigned()::xid) THEN
       concat_ws('|', indisclustered, indisvalid, indisreplident,
           CASE WHEN NOT starts_with(indrelid::regclass::text, 'pg_toast.') THEN pg_get_indexdef(indexrelid) END)
       ELSE indkey::text END AS content
FROM pg_catalog.pg_index AS x WHERE indexrelid >= 16384

-- name: shape_of_pg_sequence
SELECT concat_ws('|', seqrelid::regclass, seqtypid, seqstart, seqincrement, seqmax, seqmin, seqcache, seqcycle) AS content
FROM pg_catalog.pg_sequence AS x

-- name: shape_of_pg_type
SELECT CASE WHEN age(x.xmin) <= age(pg_current_xact_id_if_assigned()::xid) THEN
       concat_ws('|', typname, typnamespace::regnamespace, typtype, typnotnull, typlen, typdefault, typowner, typacl,
           typbasetype::regtype, typtypmod, typcollation)
       ELSE typname::text END AS content
FROM pg_catalog.pg_type AS x WHERE oid >= 16384

-- name: shape_of_pg_enum
SELECT concat_ws('|', enumtypid::regtype, enumlabel, enumsortorder) AS content
FROM pg_catalog.pg_enum AS x

-- name: shape_of_pg_proc
SELECT CASE WHEN age(x.xmin) <= age(pg_current_xact_id_if_assigned()::xid) THEN
       concat_ws('|', proname, pronamespace::regnamespace, prosrc, prokind, prosecdef, proleakproof, proisstrict, proretset,
           provolatile, proparallel, procost, prorows, proowner, proconfig, proacl, pg_get_function_arguments(oid),
           pg_get_function_result(oid), pg_get_function_sqlbody(oid), nullif(prosupport::oid, 0)::regproc,
           (SELECT concat_ws('|', aggtransfn, aggfinalfn, aggcombinefn, aggtranstype::regtype, agginitval, aggsortop::regoperator)
            FROM pg_catalog.pg_aggregate WHERE aggfnoid = x.oid))
       ELSE concat(oid::regprocedure, prosrc) END AS content
FROM pg_catalog.pg_proc AS x WHERE oid >= 16384

-- name: shape_of_pg_trigger
SELECT CASE WHEN age(x.xmin) <= age(pg_current_xact_id_if_assigned()::xid) THEN
       concat_ws('|', tgrelid::regclass, tgtype, tgenabled, tgdeferrable, tginitdeferred,
           CASE WHEN NOT tgisinternal THEN pg_get_triggerdef(oid) END)
       ELSE tgrelid::regclass::text END AS content
FROM pg_catalog.pg_trigger AS x

-- name: shape_of_pg_rewrite
SELECT CASE WHEN age(x.xmin) <= age(pg_current_xact_id_if_assigned()::xid) THEN
       concat_ws('|', ev_class::regclass, ev_enabled, pg_get_ruledef(oid))
       ELSE concat(rulename, ev_class::regclass) END AS content
FROM pg_catalog.pg_rewrite AS x WHERE oid >= 16384

-- name: shape_of_pg_policy
SELECT concat_ws('|', polrelid::regclass, polname, polcmd, polpermissive, polroles, pg_get_expr(polqual, polrelid),
           pg_get_expr(polwithcheck, polrelid)) AS content
FROM pg_catalog.pg_policy AS x

-- name: shape_of_pg_description
SELECT CASE WHEN age(x.xmin) <= age(pg_current_xact_id_if_assigned()::xid) THEN
       concat_ws('|', description, pg_describe_object(classoid, objoid, objsubid))
       ELSE description END AS content
FROM pg_catalog.pg_description AS x WHERE objoid >= 16384

-- name: shape_of_pg_extension
SELECT concat_ws('|', extname, extversion, extnamespace::regnamespace) AS content
FROM pg_catalog.pg_extension AS x

-- name: shape_of_pg_default_acl
SELECT concat_ws('|', defaclrole, defaclnamespace::regnamespace, defaclobjtype, defaclacl) AS content
FROM pg_catalog.pg_default_acl AS x

-- name: shape_of_pg_cast
SELECT concat_ws('|', castsource::regtype, casttarget::regtype, castfunc::regproc, castcontext, castmethod) AS content
FROM pg_catalog.pg_cast AS x WHERE oid >= 16384

-- name: shape_of_pg_am
SELECT concat_ws('|', amname, amhandler, amtype) AS content
FROM pg_catalog.pg_am AS x WHERE oid >= 16384

-- name: shape_of_pg_statistic_ext
SELECT concat_ws('|', stxowner, pg_get_statisticsobjdef(oid)) AS content
FROM pg_catalog.pg_statistic_ext AS x

-- name: shape_of_pg_operator
SELECT concat_ws('|', oid::regoperator, oprresult::regtype, oprcode, oprcom::regoperator, oprnegate::regoperator, oprrest,
           oprjoin, oprcanhash, oprcanmerge, oprowner) AS content
FROM pg_catalog.pg_operator AS x WHERE oid >= 16384

-- name: shape_of_pg_opclass
SELECT concat_ws('|', opcname, opcnamespace::regnamespace, opcmethod, opcintype::regtype, opcdefault) AS content
FROM pg_catalog.pg_opclass AS x WHERE oid >= 16384

-- name: shape_of_pg_opfamily
SELECT concat_ws('|', opfname, opfnamespace::regnamespace, opfmethod) AS content
FROM pg_catalog.pg_opfamily AS x WHERE oid >= 16384
