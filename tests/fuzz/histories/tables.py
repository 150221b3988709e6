"""Changes of tables, types, keys, rows and files."""

from __future__ import annotations

import re
from collections.abc import Callable

from tests.fuzz.histories import columns, redesigns
from tests.fuzz.histories.columns import is_free
from tests.fuzz.histories.declarations import Column, Declarations, quoted
from tests.fuzz.histories.history import Change, History
from tests.fuzz.histories.objects import Declare


def create_table(h: History) -> Change | None:
    key, name = h.column(lambda c: bool(c.in_key) and c.key_length == 1), h.name("tab")
    refers = (
        f",\n    owner_id {key.type} REFERENCES {quoted(key.table)} ({quoted(key.name)})"
        if key and h.random.random() < 0.5
        else ""
    )
    columns = h.random.choice(
        ["id serial PRIMARY KEY", "id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY", "id int PRIMARY KEY"]
    )
    rest = f"title text NOT NULL DEFAULT 't',\n    amount numeric(8,2){refers}"
    text = f"CREATE TABLE {name} (\n    {columns},\n    {rest}\n)"
    index = f"CREATE INDEX {name}_title ON {name} (title)"
    return Change(
        kind="create table",
        sql=f"{text};;{index}",
        declare=lambda files: files.add(f"tables/{name}.pssql", text, index),
        other=text.replace("amount numeric(8,2)", "amount numeric(9,2)"),
    )


def _own_table(h: History) -> str | None:
    return h.pick(sorted({c.table for c in h.columns() if re.match(r"tab\d|as_\d|more\d", c.table)}))


def drop_table(h: History) -> Change | None:
    if (name := _own_table(h)) is None:
        return None
    return Change(
        kind="drop table",
        sql=f"DROP TABLE {name}",
        declare=lambda files: files.drop_table(name),
        places=("both",) * 6 + ("migration", "lag", "declaration") * (not h.files.mentioning(name, "seeders/")),
        then=lambda: h.gone(name),
    )


def rename_table(h: History) -> Change | None:
    if (one := h.column()) is None:
        return None
    old, new = quoted(one.table), h.name(one.table.lower().rstrip("0123456789"))
    return Change(
        kind="rename table",
        sql=f"ALTER TABLE {old} RENAME TO {new}",
        declare=lambda files: files.table(one.table) is not None and files.rename(old, new),
        places=columns.places_of_renames(h, old),
        then=lambda: h.renamed(old, new),
    )


def split_table(h: History) -> Change | None:
    one = h.column(lambda c: is_free(h, c) and not c.generated and not c.identity)
    keys = [c for c in h.columns() if one and c.table == one.table and c.in_key and c.key_length == 1]
    if one is None or not keys:
        return None
    table, key, column, name = quoted(one.table), quoted(keys[0].name), quoted(one.name), h.name("more")
    refers = f"{key} {keys[0].type} PRIMARY KEY REFERENCES {table} ({key})"
    text = f"CREATE TABLE {name} (\n    {refers},\n    {column} {one.type}\n)"
    return Change(
        kind="split table",
        sql=f"{text};;INSERT INTO {name} ({key}, {column}) SELECT {key}, {column} FROM {table};;"
        f"ALTER TABLE {table} DROP COLUMN {column}",
        declare=lambda files: files.drop_column(one.table, one.name) and files.add(f"tables/{name}.pssql", text),
        places=h.unless_seeded(one, "both", "both", "lag"),
        then=lambda: h.gone(column),
    )


def merge_table(h: History) -> Change | None:
    tables = sorted({c.table for c in h.columns() if c.table.startswith("more")})
    if (name := h.pick(tables)) is None:
        return None
    key, column, *_ = [c for c in h.columns() if c.table == name] + [None]
    host = h.ask(
        f"SELECT confrelid::regclass::text FROM pg_constraint WHERE conrelid = '{name}'::regclass AND contype = 'f'"
    )
    if not host or column is None:
        return None
    new, table = h.name("merged"), host[0][0]
    sql = (
        f"ALTER TABLE {table} ADD COLUMN {new} {column.type};;UPDATE {table} AS a SET {new} = b.{quoted(column.name)}"
        f" FROM {name} AS b WHERE b.{quoted(key.name)} = a.{quoted(key.name)};;DROP TABLE {name}"
    )
    declare = lambda files: files.drop_table(name) and files.add_element(table.strip('"'), f"{new} {column.type}")  # noqa: E731
    return Change(
        kind="merge table", sql=sql, declare=declare, places=("both", "both", "lag"), then=lambda: h.gone(name)
    )


def copy_table(h: History) -> Change | None:
    if (one := h.column(lambda c: c.type != "tsvector" and c.typtype == "b")) is None:
        return None
    name, column = h.name("as_"), quoted(one.name)
    sql = f"CREATE TABLE {name} AS SELECT DISTINCT {column} FROM {quoted(one.table)}"
    return Change(
        kind="create table as",
        sql=sql,
        declare=lambda files: files.add(f"tables/{name}.pssql", f"CREATE TABLE {name} (\n    {column} {one.type}\n)"),
    )


def swap_table(h: History) -> Change | None:
    """Build a table anew beside the old one, as one does to reorder it."""
    if (name := _own_table(h)) is None:
        return None
    text = h.files.table(name)
    columns = [c.name for c in h.columns() if c.table == name]
    if text is None or not columns:
        return None
    new = str(text).replace(f"CREATE TABLE {name}", f"CREATE TABLE {name}_new")
    names = ", ".join(map(quoted, columns))
    copied = (
        f"INSERT INTO {name}_new ({names}) OVERRIDING SYSTEM VALUE SELECT {names} FROM {name}"  # rows keep their keys
    )
    sql = f"{new};;{copied};;DROP TABLE {name};;ALTER TABLE {name}_new RENAME TO {name}"
    return Change(kind="swap table", sql=sql, places=("migration",))


def move_table(h: History) -> Change | None:
    if (name := _own_table(h)) is None:
        return None
    area = h.name("area")

    def declare(files: Declarations) -> bool:
        if files.table(name) is None:
            return False
        done = files.rename(name, f"{area}.{name}")
        files.files[f"tables/{area}.pssql"] = [f"CREATE SCHEMA {area}"]
        return done

    sql = f"CREATE SCHEMA {area};;ALTER TABLE {name} SET SCHEMA {area}"
    return Change(kind="set schema", sql=sql, declare=declare, places=("both",), then=lambda: h.gone(name))


def _enum(h: History) -> tuple[str, list[str]] | None:
    return h.pick(
        h.ask(
            "SELECT enumtypid::regtype::text, array_agg(enumlabel::text ORDER BY enumsortorder) FROM pg_enum"
            " GROUP BY 1 ORDER BY 1"
        )
    )


def _labels(name: str, change: Callable[[str], str]) -> Declare:
    def declare(files: Declarations) -> bool:
        if (place := files.place("TYPE", name)) is None:
            return False
        old = files.files[place[0]][place[1]]
        files.files[place[0]][place[1]] = new = change(old)
        return new != old

    return declare


def enum_value(h: History) -> Change | None:
    if (found := _enum(h)) is None:
        return None
    name, labels = found
    new, after = h.name("v"), h.pick(labels)
    return Change(
        kind="enum value",
        sql=f"ALTER TYPE {name} ADD VALUE '{new}' AFTER '{after}'",
        declare=_labels(name, lambda text: text.replace(f"'{after}'", f"'{after}', '{new}'")),
        other=f"ALTER TYPE {name} ADD VALUE '{new}'",
    )


def enum_rename(h: History) -> Change | None:
    if (found := _enum(h)) is None:
        return None
    name, labels = found
    old, new = h.pick(labels), h.name("w")

    def declare(files: Declarations) -> bool:
        return _labels(name, lambda text: text.replace(f"'{old}'", f"'{new}'"))(files) and not [
            text for text in files.mentioning(name) if f"'{old}'" in text
        ]

    return Change(
        kind="enum rename",
        sql=f"ALTER TYPE {name} RENAME VALUE '{old}' TO '{new}'",
        declare=declare,
        places=("both", "both", "migration", "lag"),
    )


def enum_replace(h: History) -> Change | None:
    """Replace the type by one of the same name with a value more."""
    if (found := _enum(h)) is None:
        return None
    name, labels = found
    new = [*labels, h.name("r")]
    text = f"CREATE TYPE {name} AS ENUM ({', '.join(repr(label) for label in new)})"
    users = [c for c in h.columns() if c.type == name]
    sql = [f"ALTER TYPE {name} RENAME TO {name}_old", text]
    for c in users:
        alter = f"ALTER TABLE {quoted(c.table)} ALTER {quoted(c.name)}"
        default = h.ask(
            "SELECT pg_get_expr(adbin, adrelid) FROM pg_attrdef JOIN pg_attribute ON attrelid = adrelid"
            f" AND attnum = adnum WHERE adrelid = '{quoted(c.table)}'::regclass AND attname = '{c.name}'"
        )
        sql += [f"{alter} DROP DEFAULT"] if default else []
        sql.append(f"{alter} TYPE {name} USING {quoted(c.name)}::text::{name}")
        sql += [f"{alter} SET DEFAULT {default[0][0].replace(name + '_old', name)}"] if default else []
    return Change(
        kind="enum replace",
        sql=";;".join([*sql, f"DROP TYPE {name}_old"]),
        declare=_labels(name, lambda _: text),
        places=("both", "both", "lag"),
    )


def _key(h: History) -> tuple[str, str, str] | None:
    return h.pick(
        h.ask(
            "SELECT k.conrelid::regclass::text, quote_ident(k.conname), quote_ident(a.attname) FROM pg_constraint k"
            " JOIN pg_attribute a ON a.attrelid = k.conrelid AND a.attnum = k.conkey[1]"
            " JOIN pg_class c ON c.oid = k.conrelid"
            " WHERE k.contype = 'p' AND cardinality(k.conkey) = 1 AND c.relkind = 'r'"
            " AND c.relname !~ '^_stone' AND c.relnamespace = 'public'::regnamespace ORDER BY 1"
        )
    )


def key_name(h: History) -> Change | None:
    if (found := _key(h)) is None:
        return None
    table, old, column = found
    new = h.name("key_")

    def change(one: Column) -> None:
        one.without("PRIMARY", "CONSTRAINT")
        one.clauses.append(f"CONSTRAINT {new} PRIMARY KEY")

    def declare(files: Declarations) -> bool:
        text = files.table(table.strip('"'))
        place = text.column(column.strip('"')) if text else None
        if place and any(clause.upper().startswith("PRIMARY") for clause in place[1].clauses):
            return files.edit_column(table.strip('"'), column.strip('"'), change)
        return files.rename(old, new)

    using = f"CREATE UNIQUE INDEX {new} ON {table} ({column});;ALTER TABLE {table} DROP CONSTRAINT {old}"
    using += f", ADD CONSTRAINT {new} PRIMARY KEY USING INDEX {new}"
    sql = h.random.choice([f"ALTER TABLE {table} RENAME CONSTRAINT {old} TO {new}", using])
    return Change(kind="key name", sql=sql, declare=declare)


def unique_using(h: History) -> Change | None:
    """Add a key, or make one of an index, with a name or without one."""
    if (found := _key(h)) is None:
        return None
    table, _, column = found
    name = h.name("uq_")
    unique = f"UNIQUE ({column})"
    index = f"CREATE UNIQUE INDEX {name} ON {table} ({column});;ALTER TABLE {table} ADD "
    added = [f"{index}CONSTRAINT {name} UNIQUE USING INDEX {name}", f"{index}UNIQUE USING INDEX {name}"]
    added += [f"ALTER TABLE {table} ADD CONSTRAINT {name} {unique}"]
    element = h.random.choice([f"CONSTRAINT {name} {unique}", unique])
    return Change(
        kind="unique using index",
        sql=h.random.choice(added),
        declare=lambda files: files.add_element(table.strip('"'), element),
    )


def validated(h: History) -> Change | None:
    one = h.column(lambda c: c.is_number)
    if one is None:
        return None
    name, table = h.name("late_"), quoted(one.table)
    check = f"ALTER TABLE {table} ADD CONSTRAINT {name} CHECK ({quoted(one.name)} >= -5000)"
    place = h.files.place("TABLE", one.table)
    validate = Change(kind="validate", sql=f"ALTER TABLE {table} VALIDATE CONSTRAINT {name}", places=("migration",))
    return Change(
        kind="not valid",
        sql=f"{check} NOT VALID",
        declare=(lambda files: files.add(place[0], check)) if place else None,
        later=(validate,),
        places=("both", "lag", "migration"),
    )


def expand_contract(h: History) -> Change | None:
    """Replace a column by another one over two releases."""
    one = h.column(lambda c: is_free(h, c) and c.is_text)
    if one is None:
        return None
    new, table, old = h.name("exp_"), quoted(one.table), quoted(one.name)
    contract = Change(
        kind="contract",
        sql=f"UPDATE {table} SET {new} = {old} WHERE {new} IS NULL;;ALTER TABLE {table} DROP COLUMN {old}",
        declare=lambda files: files.drop_column(one.table, one.name),
        places=("both",),
        then=lambda: h.gone(old),
    )
    sql = f"ALTER TABLE {table} ADD COLUMN {new} text;;UPDATE {table} SET {new} = upper({old})"
    return Change(
        kind="expand",
        sql=sql,
        declare=lambda files: files.add_element(one.table, f"{new} text"),
        places=("both",),
        later=(contract,),
    )


def rows(h: History) -> Change | None:
    """Write rows by a migration."""
    one = h.column(lambda c: c.is_text and not c.in_key and not c.generated)
    key = one and h.pick([c for c in h.columns() if c.table == one.table and c.in_key and c.key_length == 1])
    if one is None or not key:
        return None
    table, column = quoted(one.table), quoted(one.name)
    own = _own_table(h)
    choices = [
        f"UPDATE {table} SET {column} = lower({column}) WHERE {column} IS NOT NULL",
        f"DELETE FROM {table} WHERE {column} = 'word 1'",
        f"DO $$ BEGIN IF to_regclass('{table}') IS NOT NULL THEN UPDATE {table} SET {column} = 'd'"
        f" WHERE {column} = 'word 2'; END IF; END $$",
        f"WITH gone AS (DELETE FROM {table} WHERE {column} = 'word 0' RETURNING *) SELECT count(*) FROM gone",
    ]
    if own:
        choices += [f"INSERT INTO {own} SELECT * FROM {own} WHERE false", f"DELETE FROM {own}"]
        if re.match(r"tab\d", own):
            choices += [f"INSERT INTO {own} (title) SELECT {column} FROM {table} WHERE {column} IS NOT NULL ORDER BY 1"]
            choices += [f"INSERT INTO {own} (title) VALUES ('first'), ('second')"]
    return Change(kind="rows", sql=h.random.choice(choices), places=("migration",))


def seeder(h: History) -> Change | None:
    tables = sorted({c.table for c in h.columns() if re.match(r"tab\d", c.table)})
    if (name := h.pick(tables)) is None:
        return None
    number, label = h.number, f"seeders/{name}.pssql"

    def declare(files: Declarations) -> bool:
        if files.table(name) is None:
            return False
        override = " OVERRIDING SYSTEM VALUE" if "ALWAYS" in str(files.table(name)) else ""
        text = f"INSERT INTO {name} (id, title){override} VALUES ({number + 500}, 'seed {number}');\n"
        files.files[label] = ["".join(files.files.get(label, [])) + text]
        return True

    return Change(kind="seeder", declare=declare, places=("declaration",))


def concurrently(h: History) -> Change | None:
    if (one := h.column(lambda c: c.relkind == "r" and c.type not in {"json", "tsvector"})) is None:
        return None
    name, table = h.name("conc_"), quoted(one.table)
    text = f"CREATE INDEX CONCURRENTLY {name} ON {table} ({quoted(one.name)})"
    place = h.files.place("TABLE", one.table)
    return Change(
        kind="concurrently",
        sql=text,
        declare=(lambda files: files.add(place[0], text.replace(" CONCURRENTLY", ""))) if place else None,
        outside=True,
        places=("both", "migration", "lag"),
    )


def shape(h: History) -> Change | None:
    """Change only how declarations are written: files and comments."""
    labels = sorted(label for label in h.files.files if label.startswith("tables/"))
    if (label := h.pick(labels)) is None:
        return None

    def declare(files: Declarations) -> bool:
        found = files.files.pop(label)
        files.files[label.replace(".pssql", f"_{h.number}.pssql")] = ["-- moved\n" + text for text in found]
        return True

    return Change(kind="shape", declare=declare, places=("declaration",))


KINDS: tuple[Callable[[History], Change | None], ...] = (
    *columns.KINDS, *redesigns.KINDS, create_table, drop_table, rename_table, split_table, merge_table, copy_table,
    swap_table, move_table, enum_value, enum_rename, enum_replace,
    key_name, unique_using, validated, expand_contract, rows, seeder, concurrently, shape,
)  # fmt: skip


def random_change(h: History) -> Change | None:
    draw = h.random.random()
    if draw < 0.2:
        return h.add_object()
    if draw < 0.45 and h.objects:
        return h.change_object()
    return h.random.choice(KINDS)(h)
