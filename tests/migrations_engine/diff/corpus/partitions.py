"""Partitions and child tables, and objects that are not compared."""

from __future__ import annotations

from .case import case

_TABLE = "CREATE TABLE t (a int, b text);"
_PARTITIONED = (
    "CREATE TABLE t (a int, b text) PARTITION BY RANGE (a); CREATE TABLE t1 PARTITION OF t FOR VALUES FROM (1) TO (9);"
)
_PARENT = "CREATE TABLE p (a int, b text);"
_CITEXT = "CREATE EXTENSION citext;"

PARTITIONS = [
    case("column of a child that it declares itself", _PARENT, "CREATE TABLE c (a int) INHERITS (p)", "ALTER TABLE p ALTER a TYPE bigint; CREATE TABLE c (a bigint) INHERITS (p)",
          there=("safe alter_column_type p.a",), back=("dataloss alter_column_type p.a 0",)),
    case("column that becomes the child's own", _PARENT, "CREATE TABLE c () INHERITS (p)", "CREATE TABLE c (a int) INHERITS (p)",
          there=(), back=(), named=True),
    case("NOT NULL in a child alone", _PARENT, "CREATE TABLE c () INHERITS (p)", "CREATE TABLE c (a int NOT NULL) INHERITS (p)",
          there=("dataloss set_not_null c.a 0",), back=("safe drop_not_null c.a",), named=True),
    case("type in an attached partition", "", "CREATE TABLE t (a int, b int) PARTITION BY RANGE (a); CREATE TABLE t1 (a int, b int); ALTER TABLE t ATTACH PARTITION t1 FOR VALUES FROM (1) TO (9)", "CREATE TABLE t (a int, b bigint) PARTITION BY RANGE (a); CREATE TABLE t1 (a int, b bigint); ALTER TABLE t ATTACH PARTITION t1 FOR VALUES FROM (1) TO (9)",
          there=("safe alter_column_type t.b",), back=("dataloss alter_column_type t.b 0",)),
    case("column in an attached partition", "", "CREATE TABLE t (a int) PARTITION BY RANGE (a); CREATE TABLE t1 (a int); ALTER TABLE t ATTACH PARTITION t1 DEFAULT", "CREATE TABLE t (a int, b int DEFAULT 3) PARTITION BY RANGE (a); CREATE TABLE t1 (a int, b int DEFAULT 3); ALTER TABLE t ATTACH PARTITION t1 DEFAULT",
          there=("safe add_column t.b",), back=("dataloss drop_column t.b 0",)),
    case("default in an attached partition", "", "CREATE TABLE t (a int, b int DEFAULT 1) PARTITION BY RANGE (a); CREATE TABLE t1 (a int, b int DEFAULT 1); ALTER TABLE t ATTACH PARTITION t1 DEFAULT", "CREATE TABLE t (a int, b int DEFAULT 2) PARTITION BY RANGE (a); CREATE TABLE t1 (a int, b int DEFAULT 2); ALTER TABLE t ATTACH PARTITION t1 DEFAULT",
          there=("safe alter_column_default t.b",), back=("safe alter_column_default t.b",)),
    case("bounds", "", "CREATE TABLE t (a int) PARTITION BY LIST (a); CREATE TABLE t1 PARTITION OF t FOR VALUES IN (1)", "CREATE TABLE t (a int) PARTITION BY LIST (a); CREATE TABLE t1 PARTITION OF t FOR VALUES IN (1, 2)",
          there=("incompatible alter_partitioning t1",), back=("incompatible alter_partitioning t1",)),
    case("partition or not", "", "CREATE TABLE t (a int) PARTITION BY LIST (a); CREATE TABLE t1 (a int)", "CREATE TABLE t (a int) PARTITION BY LIST (a); CREATE TABLE t1 PARTITION OF t DEFAULT",
          there=("incompatible alter_partitioning t1", "incompatible alter_inheritance t1"), back=("incompatible alter_partitioning t1", "incompatible alter_inheritance t1")),
    case("index of one partition", _PARTITIONED, "", "CREATE INDEX i ON t1 (b)",
          there=("safe add_index t1.i",), back=("safe drop_index t1.i",)),
    case("name of a partition's index", _PARTITIONED + "CREATE INDEX i ON t (b);", "", "ALTER INDEX t1_b_idx RENAME TO other",
          there=("safe rename_index t1.t1_b_idx",), back=("safe rename_index t1.other",)),
    case("trigger of a partitioned table", _PARTITIONED + "CREATE FUNCTION g() RETURNS trigger LANGUAGE plpgsql AS $$BEGIN RETURN NEW; END$$;", "", "CREATE TRIGGER x AFTER INSERT ON t FOR EACH ROW EXECUTE FUNCTION g()",
          there=("safe add_trigger t.x",), back=("safe drop_trigger t.x",)),
    case("trigger switched off in a partition", _PARTITIONED + "CREATE FUNCTION g() RETURNS trigger LANGUAGE plpgsql AS $$BEGIN RETURN NEW; END$$; CREATE TRIGGER x AFTER INSERT ON t FOR EACH ROW EXECUTE FUNCTION g();", "", "ALTER TABLE t1 DISABLE TRIGGER x",
          there=(), back=(), named=True),
    case("foreign key of a partitioned table", "CREATE TABLE p (id int PRIMARY KEY);"+_PARTITIONED, "", "ALTER TABLE t ADD CONSTRAINT fk FOREIGN KEY (a) REFERENCES p",
          there=("safe add_constraint t.fk 0",), back=("safe drop_constraint t.fk",)),
    case("options of a partition", _PARTITIONED, "", "ALTER TABLE t1 SET (fillfactor = 50)",
          there=("safe alter_option t1.fillfactor",), back=("safe alter_option t1.fillfactor",)),
    case("NOT NULL of a partitioned table", _PARTITIONED, "ALTER TABLE t ALTER b SET NOT NULL", "",
          there=("safe drop_not_null t.b",), back=("dataloss set_not_null t.b 0",)),
    case("child of two parents", "CREATE TABLE p (a int); CREATE TABLE q (b int);", "CREATE TABLE c () INHERITS (p)", "CREATE TABLE c () INHERITS (p, q)",
          there=("incompatible alter_inheritance c",), back=("incompatible alter_inheritance c",)),
    case("identity of a partitioned table", "", "CREATE TABLE t (a int, b int NOT NULL) PARTITION BY LIST (a); CREATE TABLE t1 PARTITION OF t DEFAULT", "CREATE TABLE t (a int, b int GENERATED ALWAYS AS IDENTITY) PARTITION BY LIST (a); CREATE TABLE t1 PARTITION OF t DEFAULT",
          there=("safe alter_column_identity t.b",), back=("safe alter_column_identity t.b",), since=18),
]  # fmt: skip

OTHERS = [
    case("citext and text", _CITEXT, "CREATE TABLE t (a citext UNIQUE, b citext[])", "CREATE TABLE t (a text UNIQUE, b varchar[])",
          there=("safe alter_column_type t.a", "safe alter_column_type t.b"), back=("safe alter_column_type t.a", "safe alter_column_type t.b"), since=18, alone=True),
    case("citext and a length", _CITEXT, "CREATE TABLE t (a citext)", "CREATE TABLE t (a varchar(2))",
          there=("dataloss alter_column_type t.a 1",), back=("safe alter_column_type t.a",), since=18, alone=True, rows="INSERT INTO t VALUES ('abc'), ('AB')"),
    case("citext and char", _CITEXT, "CREATE TABLE t (a citext)", "CREATE TABLE t (a char(2))",
          there=("dataloss alter_column_type t.a 1",), back=("dataloss alter_column_type t.a 0",), since=18, alone=True, rows="INSERT INTO t VALUES ('abc'), ('AB')"),
    case("owner", _TABLE, "", "ALTER TABLE t OWNER TO pg_monitor",
          there=(), back=(), named=True),
    case("schema's owner", "", "CREATE SCHEMA s#", "CREATE SCHEMA s# AUTHORIZATION pg_monitor",
          there=(), back=(), named=True),
    case("extension", "DROP EXTENSION IF EXISTS vector;", "", "CREATE EXTENSION vector",
          there=(), back=(), alone=True, named=True),
    case("base type", "", "", "CREATE TYPE shell",
          there=(), back=(), named=True),
    case("subscription", "", "", "CREATE SUBSCRIPTION sub# CONNECTION 'host=nowhere' PUBLICATION p WITH (connect = false, slot_name = NONE)",
          there=(), back=(), named=True),
]  # fmt: skip
