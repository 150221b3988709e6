-- Objects with several definitions: what histories add, change, rename and drop beside tables and columns.
-- {t} is a table, {k} its key, {c} a column, {x} a numeric and {s} a text one, {y} the type of {c}, {n} the object's name,
-- {m} its next one; others are replaced by the texts of let. ";;" separates statements; one that begins with
-- "functions:" or "types:" stands in that folder, others stand beside the table. Of each kind there are definitions
-- (create), how migrations drop it, rename it and alter it otherwise, and how they go from one definition to another
-- (0>1); without that they drop the one and create the other. A kind without drop changes in declarations only.
let u: suppress_redundant_updates_trigger
let f: functions:CREATE FUNCTION {n}(v {y}) RETURNS integer LANGUAGE sql IMMUTABLE AS $$ SELECT length(v::text)
let g: functions:CREATE FUNCTION {n}(a integer)
let h: functions:CREATE FUNCTION {n}(a integer) RETURNS integer LANGUAGE sql IMMUTABLE AS $$ SELECT a
let p: CREATE TABLE {n} (id int, at date NOT NULL, note text) PARTITION BY RANGE (at)
kind: index
create: CREATE INDEX {n} ON {t} ({c})
create: CREATE INDEX {n} ON {t} ({c} DESC NULLS LAST)
create: CREATE INDEX {n} ON {t} ({c}) WHERE {c} IS NOT NULL
create: CREATE INDEX {n} ON {t} (({c} IS NULL))
create: CREATE INDEX {n} ON {t} ({c}) INCLUDE ({k})
create: CREATE INDEX {n} ON {t} ({c}, {k}) WITH (fillfactor = 70)
create: CREATE UNIQUE INDEX {n} ON {t} ({k}, {c})
create: CREATE INDEX {n} ON {t} (lower({s}))
create: CREATE INDEX {n} ON {t} ({c});;COMMENT ON INDEX {n} IS 'fast'
create: CREATE INDEX {n} ON {t} ({c});;ALTER TABLE {t} CLUSTER ON {n}
drop: DROP INDEX {n}
rename: ALTER INDEX {n} RENAME TO {m}
alter: ALTER INDEX {n} SET (fillfactor = 60)
alter: COMMENT ON INDEX {n} IS 'migrated'
kind: unique
create: ALTER TABLE {t} ADD CONSTRAINT {n} UNIQUE ({c}, {k})
create: ALTER TABLE {t} ADD CONSTRAINT {n} UNIQUE NULLS NOT DISTINCT ({c}, {k})
create: ALTER TABLE {t} ADD CONSTRAINT {n} UNIQUE ({c}, {k}) DEFERRABLE
create: ALTER TABLE {t} ADD CONSTRAINT {n} UNIQUE ({k}, {c}) INCLUDE ({x})
drop: ALTER TABLE {t} DROP CONSTRAINT {n}
rename: ALTER TABLE {t} RENAME CONSTRAINT {n} TO {m}
kind: check
create: ALTER TABLE {t} ADD CONSTRAINT {n} CHECK ({x} > -1000)
create: ALTER TABLE {t} ADD CONSTRAINT {n} CHECK ({x} > -2000)
create: ALTER TABLE {t} ADD CONSTRAINT {n} CHECK ({x} > -1000) NOT VALID
create: ALTER TABLE {t} ADD CONSTRAINT {n} CHECK (length({s}) < 500)
create: ALTER TABLE {t} ADD CONSTRAINT {n} CHECK ({c} IS NOT NULL OR {k} IS NOT NULL) NO INHERIT
drop: ALTER TABLE {t} DROP CONSTRAINT {n}
rename: ALTER TABLE {t} RENAME CONSTRAINT {n} TO {m}
alter: ALTER TABLE {t} VALIDATE CONSTRAINT {n}
alter: COMMENT ON CONSTRAINT {n} ON {t} IS 'checked'
kind: foreign key
create: ALTER TABLE {t} ADD CONSTRAINT {n} FOREIGN KEY ({k}) REFERENCES {t} ({k})
create: ALTER TABLE {t} ADD CONSTRAINT {n} FOREIGN KEY ({k}) REFERENCES {t} ({k}) ON DELETE CASCADE
create: ALTER TABLE {t} ADD CONSTRAINT {n} FOREIGN KEY ({k}) REFERENCES {t} ({k}) DEFERRABLE INITIALLY DEFERRED
create: ALTER TABLE {t} ADD CONSTRAINT {n} FOREIGN KEY ({k}) REFERENCES {t} ({k}) NOT VALID
drop: ALTER TABLE {t} DROP CONSTRAINT {n}
rename: ALTER TABLE {t} RENAME CONSTRAINT {n} TO {m}
alter: ALTER TABLE {t} VALIDATE CONSTRAINT {n}
alter: ALTER TABLE {t} ALTER CONSTRAINT {n} DEFERRABLE
kind: exclusion
create: ALTER TABLE {t} ADD CONSTRAINT {n} EXCLUDE USING btree ({k} WITH =)
create: ALTER TABLE {t} ADD CONSTRAINT {n} EXCLUDE USING btree ({k} WITH =) WHERE ({c} IS NOT NULL)
drop: ALTER TABLE {t} DROP CONSTRAINT {n}
rename: ALTER TABLE {t} RENAME CONSTRAINT {n} TO {m}
kind: trigger
create: CREATE TRIGGER {n} BEFORE UPDATE ON {t} FOR EACH ROW EXECUTE FUNCTION {u}()
create: CREATE TRIGGER {n} BEFORE UPDATE ON {t} FOR EACH ROW WHEN (OLD.* IS DISTINCT FROM NEW.*) EXECUTE FUNCTION
    {u}()
create: CREATE TRIGGER {n} BEFORE UPDATE OF {c} ON {t} FOR EACH ROW EXECUTE FUNCTION {u}()
create: CREATE TRIGGER {n} BEFORE UPDATE ON {t} FOR EACH ROW EXECUTE FUNCTION {u}();;ALTER TABLE {t} DISABLE TRIGGER
    {n}
drop: DROP TRIGGER {n} ON {t}
rename: ALTER TRIGGER {n} ON {t} RENAME TO {m}
alter: ALTER TABLE {t} DISABLE TRIGGER {n}
alter: ALTER TABLE {t} ENABLE ALWAYS TRIGGER {n}
kind: trigger function
create: functions:CREATE FUNCTION {n}() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN RETURN NEW; END $$;;CREATE
    TRIGGER {n} BEFORE INSERT ON {t} FOR EACH ROW EXECUTE FUNCTION {n}()
create: functions:CREATE FUNCTION {n}() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN IF NEW.{c} IS NULL THEN RETURN
    NEW; END IF; RETURN NEW; END $$;;CREATE TRIGGER {n} BEFORE INSERT ON {t} FOR EACH ROW EXECUTE FUNCTION {n}()
create: functions:CREATE FUNCTION {n}() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN RETURN NULL; END $$;;CREATE
    TRIGGER {n} AFTER UPDATE ON {t} FOR EACH ROW EXECUTE FUNCTION {n}()
drop: DROP TRIGGER {n} ON {t}
rename: ALTER TRIGGER {n} ON {t} RENAME TO {m}
kind: policy
create: CREATE POLICY {n} ON {t} USING ({c} IS NOT NULL)
create: CREATE POLICY {n} ON {t} FOR SELECT USING ({k} IS NOT NULL)
create: CREATE POLICY {n} ON {t} AS RESTRICTIVE FOR INSERT WITH CHECK ({c} IS NOT NULL)
create: CREATE POLICY {n} ON {t} USING ({c} IS NOT NULL);;ALTER TABLE {t} ENABLE ROW LEVEL SECURITY
drop: DROP POLICY {n} ON {t}
rename: ALTER POLICY {n} ON {t} RENAME TO {m}
alter: ALTER POLICY {n} ON {t} USING (true)
alter: COMMENT ON POLICY {n} ON {t} IS 'mine'
kind: row security
create: ALTER TABLE {t} ENABLE ROW LEVEL SECURITY
alter: ALTER TABLE {t} FORCE ROW LEVEL SECURITY
drop: ALTER TABLE {t} DISABLE ROW LEVEL SECURITY;;ALTER TABLE {t} NO FORCE ROW LEVEL SECURITY
kind: rule
create: CREATE RULE {n} AS ON DELETE TO {t} WHERE OLD.{k} IS NULL DO INSTEAD NOTHING
create: CREATE RULE {n} AS ON UPDATE TO {t} WHERE NEW.{k} IS NULL DO INSTEAD NOTHING
create: CREATE RULE {n} AS ON DELETE TO {t} WHERE OLD.{c} IS NULL AND false DO INSTEAD NOTHING
drop: DROP RULE {n} ON {t}
rename: ALTER RULE {n} ON {t} RENAME TO {m}
alter: ALTER TABLE {t} DISABLE RULE {n}
kind: view
create: CREATE VIEW {n} AS SELECT {k}, {c} FROM {t}
create: CREATE VIEW {n} AS SELECT {k}, {c}, {s} AS other FROM {t}
create: CREATE VIEW {n} AS SELECT {c}, {k} FROM {t} WHERE {c} IS NOT NULL
create: CREATE VIEW {n} WITH (security_invoker = true) AS SELECT {k}, {c} FROM {t}
create: CREATE VIEW {n} AS SELECT {k}, {x} FROM {t} WHERE {x} > 0 WITH CHECK OPTION
create: CREATE VIEW {n} AS SELECT * FROM {t}
create: CREATE VIEW {n} AS SELECT {c}, count(*) AS number FROM {t} GROUP BY {c};;COMMENT ON VIEW {n} IS 'how many'
drop: DROP VIEW {n}
rename: ALTER VIEW {n} RENAME TO {m}
alter: ALTER VIEW {n} SET (security_barrier = true)
alter: COMMENT ON VIEW {n} IS 'seen'
alter: GRANT SELECT ON {n} TO PUBLIC
kind: view of a view
create: CREATE VIEW {n} AS SELECT {k}, {c} FROM {t};;CREATE VIEW {n}_top AS SELECT max({k}::text) AS top FROM {n}
create: CREATE VIEW {n} AS SELECT {k} FROM {t};;CREATE VIEW {n}_top AS SELECT min({k}::text) AS bottom FROM {n}
drop: DROP VIEW {n}_top;;DROP VIEW {n}
kind: materialized view
create: CREATE MATERIALIZED VIEW {n} AS SELECT {k}, {c} FROM {t}
create: CREATE MATERIALIZED VIEW {n} AS SELECT {k}, {c} FROM {t};;CREATE INDEX {n}_i ON {n} ({k})
create: CREATE MATERIALIZED VIEW {n} AS SELECT {k}, {s} FROM {t} WITH NO DATA
drop: DROP MATERIALIZED VIEW {n}
rename: ALTER MATERIALIZED VIEW {n} RENAME TO {m}
alter: REFRESH MATERIALIZED VIEW {n}
kind: statistics
create: CREATE STATISTICS {n} ON {k}, {c} FROM {t}
create: CREATE STATISTICS {n} (ndistinct) ON {c}, {k} FROM {t}
drop: DROP STATISTICS {n}
rename: ALTER STATISTICS {n} RENAME TO {m}
alter: ALTER STATISTICS {n} SET STATISTICS 90
kind: comment
create: COMMENT ON TABLE {t} IS 'one'
create: COMMENT ON TABLE {t} IS 'two; it''s'
drop: COMMENT ON TABLE {t} IS NULL
kind: column comment
create: COMMENT ON COLUMN {t}.{c} IS 'one'
create: COMMENT ON COLUMN {t}.{c} IS 'two'
drop: COMMENT ON COLUMN {t}.{c} IS NULL
kind: privilege
create: GRANT SELECT ON {t} TO PUBLIC
create: GRANT SELECT, INSERT ON {t} TO PUBLIC
drop: REVOKE ALL ON {t} FROM PUBLIC
kind: column privilege
create: GRANT SELECT ({c}) ON {t} TO PUBLIC
create: GRANT UPDATE ({c}) ON {t} TO PUBLIC
drop: REVOKE ALL ({c}) ON {t} FROM PUBLIC
kind: storage
create: ALTER TABLE {t} ALTER {s} SET STORAGE EXTERNAL
create: ALTER TABLE {t} ALTER {s} SET STORAGE MAIN
drop: ALTER TABLE {t} ALTER {s} SET STORAGE EXTENDED
kind: compression
create: ALTER TABLE {t} ALTER {s} SET COMPRESSION pglz
drop: ALTER TABLE {t} ALTER {s} SET COMPRESSION default
kind: target
create: ALTER TABLE {t} ALTER {c} SET STATISTICS 50
create: ALTER TABLE {t} ALTER {c} SET STATISTICS 80
drop: ALTER TABLE {t} ALTER {c} SET STATISTICS -1
kind: column option
create: ALTER TABLE {t} ALTER {c} SET (n_distinct = 5)
drop: ALTER TABLE {t} ALTER {c} RESET (n_distinct)
kind: option
create: ALTER TABLE {t} SET (fillfactor = 80)
create: ALTER TABLE {t} SET (autovacuum_enabled = false)
drop: ALTER TABLE {t} RESET (fillfactor, autovacuum_enabled)
kind: replica identity
create: ALTER TABLE {t} REPLICA IDENTITY FULL
create: ALTER TABLE {t} REPLICA IDENTITY NOTHING
drop: ALTER TABLE {t} REPLICA IDENTITY DEFAULT
kind: logging
create: ALTER TABLE {t} SET UNLOGGED
drop: ALTER TABLE {t} SET LOGGED
kind: sequence
create: CREATE SEQUENCE {n}
create: CREATE SEQUENCE {n} INCREMENT 5 CACHE 10
create: CREATE SEQUENCE {n} AS integer MAXVALUE 100000
create: CREATE SEQUENCE {n};;ALTER SEQUENCE {n} OWNED BY {t}.{c}
drop: DROP SEQUENCE {n}
rename: ALTER SEQUENCE {n} RENAME TO {m}
alter: ALTER SEQUENCE {n} RESTART 50
alter: ALTER SEQUENCE {n} INCREMENT 2
alter: ALTER SEQUENCE {n} OWNED BY NONE
alter: SELECT setval('{n}', 30)
0>1: ALTER SEQUENCE {n} INCREMENT 5 CACHE 10
0>3: ALTER SEQUENCE {n} OWNED BY {t}.{c}
kind: domain
create: types:CREATE DOMAIN {n} AS text
create: types:CREATE DOMAIN {n} AS text CHECK (length(VALUE) < 100)
create: types:CREATE DOMAIN {n} AS text DEFAULT 'x'
drop: DROP DOMAIN {n}
rename: ALTER DOMAIN {n} RENAME TO {m}
alter: ALTER DOMAIN {n} ADD CONSTRAINT short CHECK (length(VALUE) < 300) NOT VALID
alter: COMMENT ON DOMAIN {n} IS 'd'
0>1: ALTER DOMAIN {n} ADD CHECK (length(VALUE) < 100)
1>0: ALTER DOMAIN {n} DROP CONSTRAINT {n}_check
0>2: ALTER DOMAIN {n} SET DEFAULT 'x'
2>0: ALTER DOMAIN {n} DROP DEFAULT
kind: composite type
create: types:CREATE TYPE {n} AS (a int, b text)
create: types:CREATE TYPE {n} AS (a int, b text, c date)
create: types:CREATE TYPE {n} AS (a bigint, b text)
drop: DROP TYPE {n}
rename: ALTER TYPE {n} RENAME TO {m}
alter: ALTER TYPE {n} RENAME ATTRIBUTE b TO b2
0>1: ALTER TYPE {n} ADD ATTRIBUTE c date
1>0: ALTER TYPE {n} DROP ATTRIBUTE c
0>2: ALTER TYPE {n} ALTER ATTRIBUTE a TYPE bigint
kind: range type
create: types:CREATE TYPE {n} AS RANGE (SUBTYPE = float8)
create: types:CREATE TYPE {n} AS RANGE (SUBTYPE = int4)
drop: DROP TYPE {n}
kind: enum
create: types:CREATE TYPE {n} AS ENUM ('a', 'b')
create: types:CREATE TYPE {n} AS ENUM ('a', 'b', 'c')
create: types:CREATE TYPE {n} AS ENUM ('a', 'bee')
drop: DROP TYPE {n}
rename: ALTER TYPE {n} RENAME TO {m}
alter: ALTER TYPE {n} ADD VALUE IF NOT EXISTS 'z' BEFORE 'a'
0>1: ALTER TYPE {n} ADD VALUE 'c'
0>2: ALTER TYPE {n} RENAME VALUE 'b' TO 'bee'
2>0: ALTER TYPE {n} RENAME VALUE 'bee' TO 'b'
kind: function
create: {g} RETURNS integer LANGUAGE sql AS $$ SELECT a + 1 $$
create: {g} RETURNS integer LANGUAGE sql AS $$ SELECT a + 2 $$
create: functions:CREATE FUNCTION {n}(b integer) RETURNS integer LANGUAGE sql AS $$ SELECT b $$
create: functions:CREATE FUNCTION {n}(a integer, b text DEFAULT 'b') RETURNS bigint LANGUAGE plpgsql AS $$ BEGIN
    RETURN a; END $$
create: {g} RETURNS TABLE (k text) LANGUAGE sql AS $$ SELECT {k}::text FROM {t} $$
create: functions:CREATE FUNCTION {n}() RETURNS SETOF {t} LANGUAGE sql AS $$ SELECT * FROM {t} $$
create: functions:CREATE FUNCTION {n}() RETURNS bigint BEGIN ATOMIC SELECT count({c}) FROM {t}; END
create: {g} RETURNS integer LANGUAGE sql AS $$ SELECT a $$;;functions:CREATE FUNCTION {n}(a text) RETURNS text
    LANGUAGE sql AS $$ SELECT a $$
create: {g} RETURNS integer LANGUAGE sql AS $$ SELECT a + 1 $$;;functions:COMMENT ON FUNCTION {n}(integer) IS
    'f';;functions:REVOKE ALL ON FUNCTION {n}(integer) FROM PUBLIC
create: functions:CREATE PROCEDURE {n}(a integer) LANGUAGE plpgsql AS $$ BEGIN PERFORM a; END $$
create: functions:CREATE FUNCTION {n}_s(a integer, b integer) RETURNS integer LANGUAGE sql AS $$ SELECT a + b
    $$;;functions:CREATE AGGREGATE {n}(integer) (SFUNC = {n}_s, STYPE = integer)
rename: ALTER ROUTINE {n} RENAME TO {m}
alter: DROP FUNCTION IF EXISTS {n}(integer)
alter: CREATE OR REPLACE FUNCTION {n}(a integer) RETURNS integer LANGUAGE sql AS $$ SELECT a + 9 $$
kind: function of index
create: {f} $$;;CREATE INDEX {n}_i ON {t} ({n}({c}))
create: {f} + 1 $$;;CREATE INDEX {n}_i ON {t} ({n}({c}))
create: {f} $$;;CREATE INDEX {n}_i ON {t} ({k}) WHERE {n}({c}) > 0
create: {f} + 1 $$;;CREATE INDEX {n}_i ON {t} ({k}) WHERE {n}({c}) > 0
kind: function of check
create: {f} $$;;ALTER TABLE {t} ADD CONSTRAINT {n}_k CHECK ({n}({c}) >= 0)
create: {f} + 1 $$;;ALTER TABLE {t} ADD CONSTRAINT {n}_k CHECK ({n}({c}) >= 0)
drop: ALTER TABLE {t} DROP CONSTRAINT {n}_k
kind: function of generated column
create: {f} $$;;ALTER TABLE {t} ADD COLUMN {n}_g integer GENERATED ALWAYS AS ({n}({c})) STORED
create: {f} + 1 $$;;ALTER TABLE {t} ADD COLUMN {n}_g integer GENERATED ALWAYS AS ({n}({c})) STORED
drop: ALTER TABLE {t} DROP COLUMN {n}_g
kind: function of view
create: {f} $$;;CREATE VIEW {n}_v AS SELECT {n}({c}) AS length FROM {t}
create: {f} + 1 $$;;CREATE VIEW {n}_v AS SELECT {n}({c}) AS length FROM {t}
kind: function of policy
create: {f} $$;;CREATE POLICY {n}_p ON {t} USING ({n}({c}) >= 0)
create: {f} + 1 $$;;CREATE POLICY {n}_p ON {t} USING ({n}({c}) >= 0)
kind: function of default
create: functions:CREATE FUNCTION {n}() RETURNS integer LANGUAGE sql AS $$ SELECT 2 $$;;ALTER TABLE {t} ADD COLUMN
    {n}_d integer DEFAULT {n}()
create: functions:CREATE FUNCTION {n}() RETURNS integer LANGUAGE sql AS $$ SELECT 1 + 1 $$;;ALTER TABLE {t} ADD COLUMN
    {n}_d integer DEFAULT {n}()
drop: ALTER TABLE {t} DROP COLUMN {n}_d
kind: schema
create: CREATE SCHEMA {n};;CREATE TABLE {n}.things (id int PRIMARY KEY, a text)
create: CREATE SCHEMA {n};;CREATE TABLE {n}.things (id int PRIMARY KEY, a text, b int DEFAULT 3);;CREATE INDEX ON
    {n}.things (a)
drop: DROP SCHEMA {n} CASCADE
rename: ALTER SCHEMA {n} RENAME TO {m}
0>1: ALTER TABLE {n}.things ADD b int DEFAULT 3;;CREATE INDEX ON {n}.things (a)
kind: partitioned table
create: {p};;CREATE TABLE {n}_2021 PARTITION OF {n} FOR VALUES FROM ('2021-01-01') TO ('2022-01-01');;CREATE TABLE
    {n}_2022 PARTITION OF {n} FOR VALUES FROM ('2022-01-01') TO ('2023-01-01')
create: {p};;CREATE TABLE {n}_2021 PARTITION OF {n} FOR VALUES FROM ('2021-01-01') TO ('2022-01-01');;CREATE TABLE
    {n}_2022 PARTITION OF {n} FOR VALUES FROM ('2022-01-01') TO ('2023-01-01');;CREATE TABLE {n}_2023 PARTITION OF {n} FOR
    VALUES FROM ('2023-01-01') TO ('2024-01-01')
create: {p};;CREATE TABLE {n}_2022 PARTITION OF {n} FOR VALUES FROM ('2022-01-01') TO ('2023-01-01');;CREATE TABLE
    {n}_rest PARTITION OF {n} DEFAULT
create: {p};;CREATE TABLE {n}_2022 PARTITION OF {n} FOR VALUES FROM ('2022-01-01') TO ('2023-01-01');;CREATE INDEX
    {n}_i ON {n} (id)
drop: DROP TABLE {n}
rename: ALTER TABLE {n} RENAME TO {m}
alter: ALTER TABLE {n} DETACH PARTITION {n}_2022
alter: CREATE INDEX ON {n}_2022 (note)
0>1: CREATE TABLE {n}_2023 PARTITION OF {n} FOR VALUES FROM ('2023-01-01') TO ('2024-01-01')
1>0: ALTER TABLE {n} DETACH PARTITION {n}_2023;;DROP TABLE {n}_2023
0>2: ALTER TABLE {n} DETACH PARTITION {n}_2021;;CREATE TABLE {n}_rest PARTITION OF {n} DEFAULT;;INSERT INTO {n} SELECT
    * FROM {n}_2021;;DROP TABLE {n}_2021
2>3: ALTER TABLE {n} DETACH PARTITION {n}_rest;;CREATE INDEX {n}_i ON {n} (id)
kind: partition key
create: CREATE TABLE {n} (id int, at date NOT NULL) PARTITION BY RANGE (at);;CREATE TABLE {n}_2022 PARTITION OF {n} FOR
    VALUES FROM ('2022-01-01') TO ('2023-01-01')
create: CREATE TABLE {n} (id int, at date NOT NULL, CONSTRAINT {n}_k UNIQUE (id, at)) PARTITION BY RANGE (at);;CREATE TABLE
    {n}_2022 PARTITION OF {n} FOR VALUES FROM ('2022-01-01') TO ('2023-01-01')
drop: DROP TABLE {n}
alter: ALTER TABLE {n}_2022 ADD CONSTRAINT {n}_a UNIQUE (id, at)
0>1: ALTER TABLE ONLY {n} ADD CONSTRAINT {n}_k UNIQUE (id, at);;ALTER TABLE {n}_2022 ADD CONSTRAINT {n}_o UNIQUE (id,
    at);;ALTER INDEX {n}_k ATTACH PARTITION {n}_o
1>0: ALTER TABLE {n} DROP CONSTRAINT {n}_k
kind: inheritance
create: CREATE TABLE {n} (id int, a text);;CREATE TABLE {n}_c (b int) INHERITS ({n})
create: CREATE TABLE {n} (id int, a text, d int DEFAULT 1);;CREATE TABLE {n}_c (b int) INHERITS ({n})
create: CREATE TABLE {n} (id int, a text);;CREATE TABLE {n}_c (id int, a text, b int)
drop: DROP TABLE {n} CASCADE
0>1: ALTER TABLE {n} ADD d int DEFAULT 1
0>2: ALTER TABLE {n}_c NO INHERIT {n}
2>0: ALTER TABLE {n}_c INHERIT {n}
kind: privilege in functions
create: functions:GRANT SELECT ON {t} TO PUBLIC
create: functions:REVOKE ALL ON {t} FROM PUBLIC
create: functions:GRANT ALL ON {t} TO CURRENT_USER;;functions:COMMENT ON TABLE {t} IS 'f'
create: functions:GRANT SELECT ({c}), UPDATE ({k}) ON {t} TO pg_monitor WITH GRANT OPTION
create: functions:REVOKE CREATE ON SCHEMA public FROM PUBLIC;;functions:GRANT USAGE ON SCHEMA public TO pg_monitor
alter: REVOKE ALL ON {t} FROM PUBLIC
kind: default privilege
create: functions:ALTER DEFAULT PRIVILEGES REVOKE EXECUTE ON FUNCTIONS FROM PUBLIC
create: functions:ALTER DEFAULT PRIVILEGES IN SCHEMA public GRANT EXECUTE ON FUNCTIONS TO pg_monitor
kind: attribute of function
create: {h} $$
create: {h} $$;;functions:GRANT EXECUTE ON FUNCTION {n}(integer) TO PUBLIC, pg_monitor
create: {h} $$;;functions:REVOKE ALL ON FUNCTION {n}(integer) FROM PUBLIC;;functions:GRANT EXECUTE ON FUNCTION
    {n}(integer) TO pg_monitor
create: {h} $$;;functions:REVOKE ALL ON ALL FUNCTIONS IN SCHEMA public FROM PUBLIC
create: {h} $$;;functions:ALTER FUNCTION {n}(integer) SECURITY DEFINER SET search_path = public
create: {h} $$;;functions:ALTER FUNCTION {n}(integer) STABLE;;functions:COMMENT ON FUNCTION {n} IS 'f'
alter: GRANT EXECUTE ON FUNCTION {n}(integer) TO pg_read_all_stats
alter: ALTER FUNCTION {n}(integer) STRICT
alter: COMMENT ON FUNCTION {n}(integer) IS 'migrated'
kind: objects of functions
create: functions:CREATE VIEW {n} AS SELECT {k}, {c} FROM {t}
create: functions:CREATE VIEW {n} AS SELECT {k} FROM {t};;functions:GRANT SELECT ON {n} TO PUBLIC
create: functions:CREATE FUNCTION {n}_f() RETURNS TABLE (k text) LANGUAGE sql AS $$ SELECT {k}::text FROM {t}
    $$;;functions:CREATE VIEW {n} AS SELECT * FROM {n}_f()
create: functions:CREATE FUNCTION {n}_f() RETURNS TABLE (k text, c integer) LANGUAGE sql AS $$ SELECT {k}::text, 1 FROM
    {t} $$;;functions:CREATE VIEW {n} AS SELECT * FROM {n}_f()
create: functions:CREATE FUNCTION {n}_f() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN RETURN NEW; END
    $$;;functions:CREATE TRIGGER {n} BEFORE UPDATE ON {t} FOR EACH ROW EXECUTE FUNCTION {n}_f()
create: functions:CREATE FUNCTION {n}_f() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN RETURN NEW; END
    $$;;functions:CREATE CONSTRAINT TRIGGER {n} AFTER UPDATE ON {t} DEFERRABLE FOR EACH ROW EXECUTE FUNCTION {n}_f()
create: functions:CREATE MATERIALIZED VIEW {n} AS SELECT {k}, {c} FROM {t};;functions:CREATE INDEX {n}_i ON {n} ({k})
create: functions:CREATE FUNCTION {n}_f(a integer, b integer) RETURNS boolean LANGUAGE sql IMMUTABLE AS $$ SELECT a > b
    $$;;functions:CREATE OPERATOR <<<< (FUNCTION = {n}_f, LEFTARG = integer, RIGHTARG = integer)
kind: functions over functions
create: {h} $$;;functions:CREATE FUNCTION {n}_g() RETURNS integer BEGIN ATOMIC SELECT {n}(1); END
create: {h} + 1 $$;;functions:CREATE FUNCTION {n}_g() RETURNS integer BEGIN ATOMIC SELECT {n}(2); END
create: functions:CREATE FUNCTION {n}(a integer) RETURNS bigint LANGUAGE sql AS $$ SELECT a $$;;functions:CREATE FUNCTION
    {n}_g() RETURNS bigint BEGIN ATOMIC SELECT {n}(2); END
create: functions:CREATE FUNCTION {n}(a {t}) RETURNS text LANGUAGE sql AS $$ SELECT a.{k}::text $$;;functions:CREATE
    FUNCTION {n}_g() RETURNS SETOF text LANGUAGE sql AS $$ SELECT {n}({t}) FROM {t} $$
create: functions:CREATE FUNCTION {n}(a {t}.{k}%TYPE DEFAULT NULL) RETURNS text LANGUAGE sql AS $$ SELECT a::text $$
