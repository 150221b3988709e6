"""The statements that take one safe difference away, each with the phase in which it has its turn.

Definitions come from the server, which deparsed and quoted them; names that we put together are quoted by psycopg.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from enum import IntEnum
from typing import Final, NamedTuple, TypeVar

from psycopg import sql

from migrations_engine.diff import Difference
from migrations_engine.model import Attachment, Column, Constraint, Privilege, Relation, Sequence, Type

S = TypeVar("S")


class Phase(IntEnum):
    """When a statement has its turn: what stands in the way goes first, what builds on the rest comes last."""

    CLEAR = 0  #: views and the like that are made again later
    DROP = 1  #: constraints and indexes
    BASICS = 2  #: schemas, types, sequences
    COLUMNS = 3
    KEYS = 4  #: indexes, and the constraints that foreign keys refer to
    CONSTRAINTS = 5
    VIEWS = 6
    BEHAVIOUR = 7  #: triggers, rules, policies
    NOTES = 8  #: comments and privileges


class Step(NamedTuple):
    """One statement."""

    phase: Phase
    sql: sql.Composable
    effect: str = ""  #: what it locks or rewrites, in words


def statements(difference: Difference) -> tuple[Step, ...]:
    """The statements for *difference*, in order; none for what other parts of a deploy make, or what is left in place."""
    make = _MAKERS.get(difference.change_type)
    return tuple(make(difference)) if make is not None else ()


def create_view(view: Relation) -> Iterator[Step]:
    """Make a view or materialized view anew, with its indexes, rules and triggers."""
    yield Step(
        Phase.VIEWS,
        _join("CREATE", _word(view), _name(view), _options("WITH", view.options), "AS", view.definition),
        "runs the query and keeps its rows" if view.kind == "materialized view" else "",
    )
    for attachment in view.attachments:
        yield from create_attachment(view, attachment, phase=Phase.VIEWS)


def drop_view(view: Relation) -> Step:
    """Drop a view that nothing uses any more."""
    return Step(Phase.CLEAR, _join("DROP", _word(view), _name(view)), "locks the view")


def create_attachment(relation: Relation, attachment: Attachment, phase: Phase | None = None) -> Iterator[Step]:
    """Make an index, statistics object, rule, trigger or policy."""
    if attachment.kind == "index":
        unique = "UNIQUE" if attachment.unique else None
        statement = _join("CREATE", unique, "INDEX", _id(attachment.name), "ON", _name(relation), attachment.definition)
        yield Step(phase or Phase.KEYS, statement, "keeps writers waiting while it is built")
        return
    yield Step(phase or Phase.BEHAVIOUR, sql.SQL(attachment.definition.rstrip(";")), "keeps writers waiting")
    switch = {"D": "DISABLE", "R": "ENABLE REPLICA", "A": "ENABLE ALWAYS"}.get(attachment.enabled)
    if switch is not None:
        word = attachment.kind.upper()
        yield _alter(relation, phase or Phase.BEHAVIOUR, switch, word, _id(attachment.name))


def drop_attachment(relation: Relation, attachment: Attachment) -> Step:
    """Drop an index, statistics object, rule, trigger or policy."""
    word = attachment.kind.upper()
    if attachment.kind == "index":
        return Step(Phase.DROP, _join("DROP", word, _id(relation.schema, attachment.name)), "locks the table briefly")
    if attachment.kind == "statistics":
        return Step(Phase.DROP, _join("DROP", word, _id(attachment.schema or relation.schema, attachment.name)))
    return Step(
        Phase.CLEAR, _join("DROP", word, _id(attachment.name), "ON", _name(relation)), "locks the table briefly"
    )


def grant(privilege: Privilege) -> Step:
    """Give a role what it may do."""
    option = "WITH GRANT OPTION" if privilege.grantable else None
    return Step(Phase.NOTES, _join("GRANT", *_privilege(privilege, "TO"), option))


def comment(kind: str, identity: str, text: str | None) -> Step:
    """Set a comment, or take it away; *kind* and *identity* as ``pg_identify_object`` gives them."""
    word = "COLUMN" if kind.endswith("column") else _COMMENT_WORDS.get(kind, kind.upper())
    if kind == "domain constraint":
        name, _, domain = identity.partition(" on ")
        identity = f"{name} ON DOMAIN {domain}"
    return Step(Phase.NOTES, _join("COMMENT ON", word, identity, "IS", "NULL" if text is None else sql.Literal(text)))


_COMMENT_WORDS: Final = {
    "table constraint": "CONSTRAINT",
    "domain constraint": "CONSTRAINT",
    "composite type": "TYPE",
    "statistics object": "STATISTICS",
}


def _add_schema(difference: Difference) -> Iterator[Step]:
    yield Step(Phase.BASICS, _join("CREATE SCHEMA", _id(_want(difference, str))))


def _add_type(difference: Difference) -> Iterator[Step]:
    type_ = _want(difference, Type)
    name = _id(type_.schema, type_.name)
    if type_.kind == "enum":
        values = sql.SQL(", ").join(sql.Literal(value) for value in type_.values)
        yield Step(Phase.BASICS, _join("CREATE TYPE", name, "AS ENUM (", values, ")"))
    elif type_.kind == "composite":
        attributes = sql.SQL(", ").join(_join(_id(a.name), a.type, _collate(a.collation)) for a in type_.attributes)
        yield Step(Phase.BASICS, _join("CREATE TYPE", name, "AS (", attributes, ")"))
    elif type_.kind == "range":
        details = [f"SUBTYPE = {type_.base}", *(detail for detail in type_.details if detail)]
        yield Step(Phase.BASICS, _join("CREATE TYPE", name, "AS RANGE (", ", ".join(details), ")"))
    else:
        checks = [_join("CONSTRAINT", _id(name), definition) for name, definition in type_.checks]
        default = f"DEFAULT {type_.default}" if type_.default is not None else None
        not_null = "NOT NULL" if type_.not_null else None
        yield Step(
            Phase.BASICS,
            _join("CREATE DOMAIN", name, "AS", type_.base, _collate(type_.collation), default, not_null, *checks),
        )


def _add_enum_value(difference: Difference) -> Iterator[Step]:
    found, wanted = _find(difference, Type), _want(difference, Type)
    value = difference.name or ""
    place = wanted.values.index(value)
    where = ("AFTER", wanted.values[place - 1]) if place else ("BEFORE", found.values[0]) if found.values else None
    position: list[sql.Composable | str] = [where[0], sql.Literal(where[1])] if where else []
    statement = _join(
        "ALTER TYPE", _id(found.schema, found.name), "ADD VALUE IF NOT EXISTS", sql.Literal(value), *position
    )
    yield Step(Phase.BASICS, statement, "the value cannot be used before the deploy is over")


def _add_sequence(difference: Difference) -> Iterator[Step]:
    sequence = _want(difference, Sequence)
    yield Step(Phase.BASICS, _create_sequence(sequence))
    if sequence.owned_by is not None:
        yield Step(Phase.CONSTRAINTS, _join("ALTER SEQUENCE", _name(sequence), "OWNED BY", sequence.owned_by))


def _alter_sequence(difference: Difference) -> Iterator[Step]:
    found, wanted = _find(difference, Sequence), _want(difference, Sequence)
    yield Step(Phase.CONSTRAINTS, _join("ALTER SEQUENCE", _name(found), "AS", wanted.type, _sequence_options(wanted)))
    if difference.name is None and found.owned_by != wanted.owned_by:
        yield Step(Phase.CONSTRAINTS, _join("ALTER SEQUENCE", _name(found), "OWNED BY", wanted.owned_by or "NONE"))


def _add_view(difference: Difference) -> Iterator[Step]:
    yield from create_view(_want(difference, Relation))


def _drop_view(difference: Difference) -> Iterator[Step]:
    yield drop_view(_find(difference, Relation))


def _replace_view(difference: Difference) -> Iterator[Step]:
    view = _want(difference, Relation)
    options = _options("WITH", view.options)
    yield Step(
        Phase.VIEWS,
        _join("CREATE OR REPLACE VIEW", _name(view), options, "AS", view.definition),
        "locks the view briefly",
    )


def _add_column(difference: Difference) -> Iterator[Step]:
    relation, column = _relation(difference), _want(difference, Column)
    effect = "rewrites the table" if difference.rewrites else "rewrites the table only for a default that varies"
    if column.is_serial and column.sequence is not None:
        yield Step(Phase.COLUMNS, _create_sequence(column.sequence))
    parts: list[sql.Composable | str | None] = [column.type, _collate(column.collation), *_value_of(column)]
    parts += [
        "COMPRESSION " + column.compression if column.compression else None,
        "NOT NULL" if column.not_null else None,
    ]
    yield _alter(relation, Phase.COLUMNS, "ADD COLUMN", _id(column.name), *parts, effect=effect)
    if column.storage:
        yield _alter(relation, Phase.COLUMNS, "ALTER COLUMN", _id(column.name), "SET STORAGE", column.storage)
    if column.is_serial and column.sequence is not None:
        yield _own(relation, column, column.sequence)


def _value_of(column: Column) -> list[sql.Composable | str | None]:
    if column.generated:
        return [f"GENERATED ALWAYS AS ({column.default}) {column.generated}"]
    if column.identity and column.sequence is not None:
        name = sql.SQL("SEQUENCE NAME {}").format(_name(column.sequence))
        return [f"GENERATED {column.identity} AS IDENTITY (", name, _sequence_options(column.sequence), ")"]
    if column.sequence is not None:
        return ["DEFAULT", _nextval(column.sequence)]
    return [f"DEFAULT {column.default}" if column.default is not None else None]


def _alter_column_type(difference: Difference) -> Iterator[Step]:
    """A default is set again with the type, because the old one, cast, would be another expression."""
    relation, found, wanted = _relation(difference), _find(difference, Column), _want(difference, Column)
    name = _id(found.name)
    action = [_join("ALTER COLUMN", name, "TYPE", wanted.type, _collate(wanted.collation))]
    if found.default is not None and wanted.default is not None and not found.generated:
        action.append(_join("ALTER COLUMN", name, "SET DEFAULT", wanted.default))
    effect = "rewrites the table, nobody can use it meanwhile" if difference.rewrites else "does not rewrite the table"
    yield _alter(relation, Phase.COLUMNS, sql.SQL(", ").join(action), effect=effect)


def _alter_column_default(difference: Difference) -> Iterator[Step]:
    relation, wanted = _relation(difference), _want(difference, Column)
    if wanted.is_serial and wanted.sequence is not None:
        yield Step(Phase.COLUMNS, _create_sequence(wanted.sequence))
        yield _own(relation, wanted, wanted.sequence)
        yield _alter_column(difference, "SET DEFAULT", _nextval(wanted.sequence))
        yield _move_on(relation, wanted, sql.Literal(_id(wanted.sequence.schema, wanted.sequence.name).as_string(None)))
    elif wanted.default is not None and not wanted.generated:
        yield _alter_column(difference, "SET DEFAULT", wanted.default)
    else:
        yield _alter_column(difference, "DROP DEFAULT")


def _alter_column_identity(difference: Difference) -> Iterator[Step]:
    relation, found, wanted = _relation(difference), _find(difference, Column), _want(difference, Column)
    if wanted.identity is None:
        yield _alter_column(difference, "DROP IDENTITY")
    elif found.identity is not None:
        yield _alter_column(difference, "SET GENERATED", wanted.identity)
    elif wanted.sequence is not None:
        if found.default is not None:
            yield _alter_column(difference, "DROP DEFAULT")
        yield _alter_column(difference, "ADD", *_value_of(wanted))
        table = _id(relation.schema, relation.name).as_string(None)
        own = sql.SQL("pg_get_serial_sequence({}, {})").format(sql.Literal(table), sql.Literal(wanted.name))
        yield _move_on(relation, wanted, own)


def _alter_column_generated(difference: Difference) -> Iterator[Step]:
    wanted = _want(difference, Column)
    if wanted.generated is None:
        yield _alter_column(difference, "DROP EXPRESSION")
    else:
        effect = "rewrites the table, nobody can use it meanwhile" if difference.rewrites else ""
        yield _alter_column(difference, f"SET EXPRESSION AS ({wanted.default})", effect=effect)


def _drop_not_null(difference: Difference) -> Iterator[Step]:
    yield _alter_column(difference, "DROP NOT NULL")


def _alter_column_storage(difference: Difference) -> Iterator[Step]:
    yield _alter_column(difference, "SET STORAGE", difference.to_text or "DEFAULT")


def _alter_column_compression(difference: Difference) -> Iterator[Step]:
    yield _alter_column(difference, "SET COMPRESSION", difference.to_text or "default")


def _alter_column_statistics(difference: Difference) -> Iterator[Step]:
    yield _alter_column(difference, "SET STATISTICS", difference.to_text or "-1")


def _add_constraint(difference: Difference) -> Iterator[Step]:
    """A key of a plain table is built as an index first: readers go on until the constraint takes it over."""
    relation, wanted = _relation(difference), _want(difference, Constraint)
    name, phase = _id(wanted.name), Phase.KEYS if wanted.kind in "pu" else Phase.CONSTRAINTS
    word, _, columns = wanted.definition.partition(" (")
    plain = relation.kind == "table" and word in ("PRIMARY KEY", "UNIQUE") and columns.endswith(")")
    if plain and " INCLUDE (" not in columns and " WITHOUT OVERLAPS" not in columns and " WITH (" not in columns:
        index = _join("CREATE UNIQUE INDEX", name, "ON", _name(relation), f"({columns}")
        yield Step(phase, index, "keeps writers waiting while it is built")
        yield _alter(
            relation, phase, "ADD CONSTRAINT", name, word, "USING INDEX", name, effect="locks the table briefly"
        )
        return
    effect = "keeps writers of both tables waiting" if wanted.kind == "f" else "locks the table while it is checked"
    checked = "NOT VALID" if wanted.unvalidated else None
    yield _alter(relation, phase, "ADD CONSTRAINT", name, wanted.definition, checked, effect=effect)


def _drop_constraint(difference: Difference) -> Iterator[Step]:
    constraint = _find(difference, Constraint)
    yield _alter(
        _relation(difference), Phase.DROP, "DROP CONSTRAINT", _id(constraint.name), effect="locks the table briefly"
    )


def _alter_constraint(difference: Difference) -> Iterator[Step]:
    yield from _drop_constraint(difference)
    yield from _add_constraint(difference)


def _validate_constraint(difference: Difference) -> Iterator[Step]:
    name = _id(_find(difference, Constraint).name)
    yield _alter(
        _relation(difference), Phase.CONSTRAINTS, "VALIDATE CONSTRAINT", name, effect="lets readers and writers go on"
    )


def _rename_constraint(difference: Difference) -> Iterator[Step]:
    found, wanted = _find(difference, Constraint), _want(difference, Constraint)
    yield _alter(_relation(difference), Phase.DROP, "RENAME CONSTRAINT", _id(found.name), "TO", _id(wanted.name))


def _add_attachment(difference: Difference) -> Iterator[Step]:
    yield from create_attachment(_relation(difference), _want(difference, Attachment))


def _drop_attachment(difference: Difference) -> Iterator[Step]:
    yield drop_attachment(_relation(difference), _find(difference, Attachment))


def _alter_attachment(difference: Difference) -> Iterator[Step]:
    yield from _drop_attachment(difference)
    yield from _add_attachment(difference)


def _rename_index(difference: Difference) -> Iterator[Step]:
    found, wanted = _find(difference, Attachment), _want(difference, Attachment)
    index = _id(_relation(difference).schema, found.name)
    yield Step(Phase.DROP, _join("ALTER INDEX", index, "RENAME TO", _id(wanted.name)))


def _alter_row_security(difference: Difference) -> Iterator[Step]:
    switch = "ENABLE" if _want(difference, Relation).row_security else "DISABLE"
    yield _alter(_relation(difference), Phase.BEHAVIOUR, switch, "ROW LEVEL SECURITY")


def _alter_force_row_security(difference: Difference) -> Iterator[Step]:
    switch = "FORCE" if _want(difference, Relation).force_row_security else "NO FORCE"
    yield _alter(_relation(difference), Phase.BEHAVIOUR, switch, "ROW LEVEL SECURITY")


def _alter_replica_identity(difference: Difference) -> Iterator[Step]:
    identity = _want(difference, Relation).replica_identity or "DEFAULT"
    yield _alter(_relation(difference), Phase.CONSTRAINTS, "REPLICA IDENTITY", identity)


def _alter_persistence(difference: Difference) -> Iterator[Step]:
    effect = "rewrites the table, nobody can use it meanwhile"
    yield _alter(_relation(difference), Phase.COLUMNS, "SET LOGGED", effect=effect)


def _alter_option(difference: Difference) -> Iterator[Step]:
    relation, name = _relation(difference), difference.name or ""
    word = _word(relation)
    if difference.to_text is None:
        yield Step(Phase.NOTES, _join("ALTER", word, _name(relation), "RESET (", name, ")"))
    else:
        value = sql.Literal(difference.to_text)
        yield Step(Phase.NOTES, _join("ALTER", word, _name(relation), "SET (", name, "=", value, ")"))


def _alter_column_option(difference: Difference) -> Iterator[Step]:
    found, wanted = _find(difference, Column), _want(difference, Column)
    kept = {option.partition("=")[0] for option in wanted.options}
    gone = [name for name in (option.partition("=")[0] for option in found.options) if name not in kept]
    if gone:
        yield _alter_column(difference, "RESET (", ", ".join(gone), ")")
    if wanted.options:
        yield _alter_column(difference, "SET", _options("", wanted.options))


def _alter_comment(difference: Difference) -> Iterator[Step]:
    yield comment(difference.name or "", difference.table, difference.to_text)


def _grant(difference: Difference) -> Iterator[Step]:
    yield grant(_want(difference, Privilege))


def _revoke(difference: Difference) -> Iterator[Step]:
    yield Step(Phase.NOTES, _join("REVOKE", *_privilege(_want(difference, Privilege), "FROM")))


_MAKERS: Final[dict[str, Callable[[Difference], Iterator[Step]]]] = {
    "add_schema": _add_schema,
    "add_type": _add_type,
    "add_enum_value": _add_enum_value,
    "add_sequence": _add_sequence,
    "alter_sequence": _alter_sequence,
    "add_view": _add_view,
    "drop_view": _drop_view,
    "alter_view": _replace_view,
    "add_column": _add_column,
    "alter_column_type": _alter_column_type,
    "alter_column_default": _alter_column_default,
    "alter_column_identity": _alter_column_identity,
    "alter_column_generated": _alter_column_generated,
    "drop_not_null": _drop_not_null,
    "alter_column_storage": _alter_column_storage,
    "alter_column_compression": _alter_column_compression,
    "alter_column_statistics": _alter_column_statistics,
    "alter_column_option": _alter_column_option,
    "add_constraint": _add_constraint,
    "drop_constraint": _drop_constraint,
    "alter_constraint": _alter_constraint,
    "validate_constraint": _validate_constraint,
    "rename_constraint": _rename_constraint,
    "rename_index": _rename_index,
    **{f"add_{kind}": _add_attachment for kind in ("index", "statistics", "rule", "trigger", "policy")},
    **{f"drop_{kind}": _drop_attachment for kind in ("index", "statistics", "rule", "trigger", "policy")},
    **{f"alter_{kind}": _alter_attachment for kind in ("index", "statistics", "rule", "trigger", "policy")},
    "alter_row_security": _alter_row_security,
    "alter_force_row_security": _alter_force_row_security,
    "alter_replica_identity": _alter_replica_identity,
    "alter_persistence": _alter_persistence,
    "alter_option": _alter_option,
    "alter_comment": _alter_comment,
    "grant_privilege": _grant,
    "revoke_privilege": _revoke,
}


def _privilege(privilege: Privilege, preposition: str) -> list[sql.Composable | str | None]:
    column = sql.SQL("({})").format(_id(privilege.column)) if privilege.column else None
    grantee = _id(privilege.grantee) if privilege.grantee else "PUBLIC"
    return [privilege.privilege, column, "ON", privilege.kind, privilege.label, preposition, grantee]


def _alter(relation: Relation, phase: Phase, *parts: sql.Composable | str | None, effect: str = "") -> Step:
    return Step(phase, _join("ALTER", _word(relation), _name(relation), *parts), effect)


def _alter_column(difference: Difference, *parts: sql.Composable | str | None, effect: str = "") -> Step:
    name = _id(difference.name or "")
    return _alter(_relation(difference), Phase.COLUMNS, "ALTER COLUMN", name, *parts, effect=effect)


def _create_sequence(sequence: Sequence) -> sql.Composable:
    word = "CREATE UNLOGGED SEQUENCE" if sequence.unlogged else "CREATE SEQUENCE"
    return _join(word, _name(sequence), "AS", sequence.type, _sequence_options(sequence))


def _own(relation: Relation, column: Column, sequence: Sequence) -> Step:
    owner = _id(relation.schema, relation.name, column.name)
    return Step(Phase.COLUMNS, _join("ALTER SEQUENCE", _name(sequence), "OWNED BY", owner))


def _move_on(relation: Relation, column: Column, sequence: sql.Composable) -> Step:
    """Let a sequence that is new to a column with rows go on behind the highest number."""
    highest = sql.SQL("max({})").format(_id(column.name))
    least = sql.Literal(column.sequence.minimum if column.sequence else 1)
    call = sql.SQL("SELECT setval({}, {}) FROM {} HAVING {} >= {}").format(
        sequence, highest, _name(relation), highest, least
    )
    return Step(Phase.COLUMNS, call)


def _sequence_options(sequence: Sequence) -> str:
    return (
        f"INCREMENT BY {sequence.increment} MINVALUE {sequence.minimum} MAXVALUE {sequence.maximum} "
        f"START WITH {sequence.start} CACHE {sequence.cache} {'CYCLE' if sequence.cycle else 'NO CYCLE'}"
    )


def _nextval(sequence: Sequence) -> sql.Composable:
    name = sql.Literal(_id(sequence.schema, sequence.name).as_string(None))
    return sql.SQL("nextval({}::regclass)").format(name)


def _options(word: str, options: tuple[str, ...]) -> sql.Composable | None:
    if not options:
        return None
    pairs = [option.partition("=")[::2] for option in options]
    return _join(word, "(", sql.SQL(", ").join(_join(name, "=", sql.Literal(value)) for name, value in pairs), ")")


def _collate(collation: str | None) -> str | None:
    return f"COLLATE {collation}" if collation else None


def _word(relation: Relation) -> str:
    return "TABLE" if relation.kind == "partitioned table" else relation.kind.upper()


def _name(item: Relation | Sequence) -> sql.Composable:
    return _id(item.schema, item.name)


def _id(*names: str) -> sql.Identifier:
    return sql.Identifier(*names)


def _join(*parts: sql.Composable | str | None) -> sql.Composable:
    """Put a statement together; a plain text is a keyword, or what the server itself spelled and quoted."""
    spelled = [sql.SQL(part) if isinstance(part, str) else part for part in parts if part]
    return sql.SQL(" ").join(spelled)


def _relation(difference: Difference) -> Relation:
    assert difference.relation is not None
    return difference.relation


def _want(difference: Difference, kind: type[S]) -> S:
    assert isinstance(difference.wanted, kind)
    return difference.wanted


def _find(difference: Difference, kind: type[S]) -> S:
    assert isinstance(difference.found, kind)
    return difference.found
