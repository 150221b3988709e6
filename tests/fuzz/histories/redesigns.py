"""Changes of a design: words of a status, keys, references, and columns that replace others of their name."""

from __future__ import annotations

import re
from collections.abc import Callable

from tests.fuzz.histories.columns import is_free
from tests.fuzz.histories.declarations import Column, Declarations, Table, quoted
from tests.fuzz.histories.history import Change, History, LiveColumn
from tests.fuzz.histories.styles import TABLE_STYLES

REFERENCES = """
SELECT c.conrelid::regclass::text, quote_ident(c.conname), a.attname, c.confrelid::regclass::text, b.attname,
       a.attnotnull
FROM pg_constraint c JOIN pg_attribute a ON a.attrelid = c.conrelid AND a.attnum = c.conkey[1]
JOIN pg_attribute b ON b.attrelid = c.confrelid AND b.attnum = c.confkey[1] JOIN pg_class t ON t.oid = c.conrelid
WHERE c.contype = 'f' AND cardinality(c.conkey) = 1 AND c.conparentid = 0 AND t.relkind = 'r'
AND c.connamespace = 'public'::regnamespace ORDER BY 1, 2
"""


def _checked(name: str, words: tuple[str, ...]) -> str:
    return f"CHECK ({name} IN ({', '.join(map(repr, words))}))"


def status(h: History) -> Change | None:
    """Add a column with a list of words, which the next release extends for a row of its own."""
    if (one := h.column()) is None:
        return None
    name, table = h.name("status_"), quoted(one.table)
    few, many = ("new", "open"), ("new", "open", "done")
    text = f"{name} text NOT NULL DEFAULT 'new' {_checked(name, few)}"

    def extend(column: Column) -> None:
        column.without("CHECK")
        column.clauses.append(_checked(name, many))

    check = f"{one.table[: 62 - len(name) - 6]}_{name}_check"
    alter = f"ALTER TABLE {table} "
    sql = f"{alter}DROP CONSTRAINT {quoted(check)};;{alter}ADD CONSTRAINT {quoted(check)} {_checked(name, many)}"
    later = Change(
        kind="more words",
        sql=f"{sql};;UPDATE {table} SET {name} = 'done'",
        declare=lambda files: files.edit_column(one.table, name, extend),
        places=("both", "both", "declaration", "lag"),
    )
    return Change(
        kind="status",
        sql=f"{alter}ADD COLUMN {text}",
        declare=lambda files: files.add_element(one.table, text),
        places=("both", "both", "declaration"),
        later=(later,),
    )


def referential_action(h: History) -> Change | None:
    """Change what a foreign key does when the row to which it refers goes."""
    if (found := h.pick(h.ask(REFERENCES))) is None:
        return None
    table, name, column, other, key, required = found
    action = h.pick(["CASCADE", "RESTRICT"] if required else ["CASCADE", "SET NULL"])

    def change(one: Column) -> None:
        clauses = [re.sub(r"\s*ON DELETE (CASCADE|RESTRICT|NO ACTION|SET NULL)", "", text) for text in one.clauses]
        is_key = [text.upper().startswith("REFERENCES") for text in clauses]
        one.clauses = [f"{t} ON DELETE {action}" if k else t for t, k in zip(clauses, is_key, strict=True)]

    def declare(files: Declarations) -> bool:
        declared = files.table(table.strip('"'))
        place = declared.column(column) if declared else None
        has_key = place is not None and any(text.upper().startswith("REFERENCES") for text in place[1].clauses)
        return has_key and files.edit_column(table.strip('"'), column, change)

    refers = f"FOREIGN KEY ({quoted(column)}) REFERENCES {other} ({quoted(key)}) ON DELETE {action}"
    alter = f"ALTER TABLE {table} "
    return Change(
        kind="referential action",
        sql=f"{alter}DROP CONSTRAINT {name};;{alter}ADD CONSTRAINT {name} {refers}",
        declare=declare,
        places=("both", "both", "declaration", "lag"),
    )


def widen_key(h: History) -> Change | None:
    """Widen a key with the columns that refer to it."""
    keys = [c for c in h.columns() if c.in_key and c.key_length == 1 and c.type == "integer" and not c.identity]
    if (one := h.pick(keys)) is None:
        return None
    users = [(t.strip('"'), c) for t, _, c, o, k, _ in h.ask(REFERENCES) if (o.strip('"'), k) == (one.table, one.name)]
    columns = [(one.table, one.name), *users]

    def widen(column: Column) -> None:
        column.type = "bigserial" if "serial" in column.type.lower() else "bigint"

    return Change(
        kind="widen key",
        sql=";;".join(f"ALTER TABLE {quoted(t)} ALTER COLUMN {quoted(c)} TYPE bigint" for t, c in columns),
        declare=lambda files: all(files.edit_column(table, column, widen) for table, column in columns),
        places=("both", "both", "declaration", "lag"),
    )


def composite_key(h: History) -> Change | None:
    """Give a table a key of two columns."""
    keys = [c for c in h.columns() if c.in_key and c.key_length == 1 and re.match(r"tab\d", c.table)]
    if (one := h.pick(keys)) is None:
        return None
    table = one.table

    def declare(files: Declarations) -> bool:
        return files.edit_column(table, one.name, lambda column: column.without("PRIMARY")) and files.add_element(
            table, f"PRIMARY KEY ({one.name}, title)"
        )

    drop, add = f"DROP CONSTRAINT {table}_pkey", f"ADD PRIMARY KEY ({one.name}, title)"
    return Change(
        kind="composite key",
        sql=f"ALTER TABLE {table} {drop};;ALTER TABLE {table} {add}",
        declare=declare,
        places=("both", "both", "lag"),
    )


def _named_once(h: History) -> LiveColumn | None:
    columns = h.columns(partitions=True)
    return h.pick(
        [c for c in columns if is_free(h, c) and sum(o.name == c.name for o in columns) == 1 and not c.generated]
    )


def replace_column(h: History) -> Change | None:
    """Drop a column, and add another one with its name."""
    if (one := _named_once(h)) is None or h.files.mentioning(one.table, "seeders/"):
        return None
    table, name = quoted(one.table), quoted(one.name)
    new = h.pick([kind for kind in ("integer", "text", "date") if kind != one.type])

    def declare(files: Declarations) -> bool:
        return files.drop_column(one.table, one.name) and files.add_element(one.table, f"{name} {new}")

    return Change(
        kind="replace column",
        sql=f"ALTER TABLE {table} DROP COLUMN {name};;ALTER TABLE {table} ADD COLUMN {name} {new}",
        declare=declare,
        places=("both", "both", "lag") if len(h.files.mentioning(one.name)) == 1 else ("both",),
        then=lambda: h.gone(name),
    )


def succeed_column(h: History) -> Change | None:
    """Rename a column, and add another one with its earlier name."""
    if (one := _named_once(h)) is None or h.files.mentioning(one.table, "seeders/"):
        return None
    table, old, new = quoted(one.table), quoted(one.name), h.name("ren_")

    def declare(files: Declarations) -> bool:
        done = files.table(one.table) is not None and files.rename(old, new)
        return done and files.add_element(one.table, f"{old} integer DEFAULT 5")

    rename = f"ALTER TABLE {table} RENAME COLUMN {old} TO {new}"
    return Change(
        kind="succeed column",
        sql=f"{rename};;ALTER TABLE {table} ADD COLUMN {old} integer DEFAULT 5",
        declare=declare,
        places=("both",),
        then=lambda: h.renamed(old, new),
    )


def exchange_names(h: History) -> Change | None:
    """Exchange the names of two columns of a table."""
    columns = h.columns(partitions=True)
    free = [c for c in columns if is_free(h, c) and sum(o.name == c.name for o in columns) == 1 and not c.generated]
    one = h.pick(free)
    two = one and h.pick([c for c in free if c.table == one.table and c.name != one.name])
    if one is None or two is None or h.files.mentioning(one.table, "seeders/"):
        return None
    table, a, b, between = quoted(one.table), quoted(one.name), quoted(two.name), h.name("ren_")
    steps = [(a, between), (b, a), (between, b)]
    return Change(
        kind="exchange names",
        sql=";;".join(f"ALTER TABLE {table} RENAME COLUMN {old} TO {new}" for old, new in steps),
        declare=lambda files: files.table(one.table) is not None and all(files.rename(*step) for step in steps),
        places=("both",),
        then=lambda: [h.renamed(*step) for step in steps] and None,
    )


def seeded_value(h: History) -> Change | None:
    """Change a seeded row, or remove it."""
    found = [
        (label, row)
        for label, text in h.files.files.items()
        if label.startswith("seeders/")
        for row in re.findall(
            r"INSERT INTO (\w+) \(id, title\)[\w ]* VALUES \((\d+), '(seed [\w ]+)'\);\n", "".join(text)
        )
    ]
    if not found:
        return None
    label, (table, key, title) = h.pick(found)
    goes = h.random.random() < 0.3
    line = re.compile(rf"INSERT INTO {table} \(id, title\)[\w ]* VALUES \({key}, '{title}'\);\n")

    def declare(files: Declarations) -> bool:
        text = "".join(files.files.get(label, []))
        new = line.sub("", text) if goes else text.replace(f"'{title}'", f"'{title} b'")
        files.files[label] = [new]
        return new != text

    change = f"DELETE FROM {table}" if goes else f"UPDATE {table} SET title = '{title} b'"
    return Change(kind="seeded value", sql=f"{change} WHERE id = {key}", declare=declare, places=("both",))


def layout(h: History) -> Change | None:
    """Change only how a table is declared, or where a migration or function stands."""
    draw = h.random.random()
    if draw < 0.3:
        return _moved(h)
    tables = sorted({c.table for c in h.columns() if h.files.table(c.table) is not None})
    if (name := h.pick(tables)) is None or h.files.mentioning(name, "seeders/"):
        return None
    style = h.random.choice([*TABLE_STYLES, None])

    def change(table: Table) -> str:
        if style is not None:
            return style(str(table))
        columns = [text for text in table.elements if Column.of(text) is not None]
        others = [text for text in table.elements if Column.of(text) is None]
        return str(Table(table.head, [*columns[1:], columns[0], *others], table.tail))

    def declare(files: Declarations) -> bool:
        place, table = files.place("TABLE", name), files.table(name)
        if place is None or table is None:
            return False
        files.files[place[0]][place[1]] = change(table)
        return files.table(name) is not None

    return Change(kind="layout", declare=declare, places=("declaration",))


def _moved(h: History) -> Change | None:
    """Move a file of functions or a migration into a folder, where it has the same place in the order."""
    labels = sorted(label for label in h.files.files if re.match(r"functions/\w+\.|migrations/9\w+\.", label))
    if (label := h.pick(labels)) is None:
        return None
    folder, name = label.split("/")
    new = f"functions/moved/{name}" if folder == "functions" else f"migrations/{name.replace('_change', '_renamed')}"

    def declare(files: Declarations) -> bool:
        files.files = {new if one == label else one: found for one, found in files.files.items()}
        return True

    return Change(kind="move file", declare=declare, places=("declaration",))


KINDS: tuple[Callable[[History], Change | None], ...] = (
    status, referential_action, widen_key, composite_key, replace_column, succeed_column, exchange_names,
    seeded_value, layout,
)  # fmt: skip
