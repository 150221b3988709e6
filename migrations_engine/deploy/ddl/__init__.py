"""One safe difference → the statements that take it away."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import Final

from migrations_engine.deploy.ddl import columns, members, notes, relations, types
from migrations_engine.deploy.ddl.statement import Step
from migrations_engine.diff import Difference

#: By change type. New tables have no entry, because their files are run; what has none is left in place.
_MAKERS: Final[Mapping[str, Callable[[Difference], Iterator[Step]]]] = {
    "add_schema": types.add_schema,
    "add_type": types.add_type,
    "add_enum_value": types.add_enum_value,
    "add_sequence": types.add_sequence,
    "alter_sequence": types.alter_sequence,
    "add_view": relations.add_view,
    "drop_view": relations.drop_view,
    "alter_view": relations.replace_view,
    "add_column": columns.add_column,
    "alter_column_type": columns.alter_type,
    "alter_column_default": columns.alter_default,
    "alter_column_identity": columns.alter_identity,
    "alter_column_generated": columns.alter_generated,
    "drop_not_null": columns.drop_not_null,
    "alter_column_storage": columns.alter_storage,
    "alter_column_compression": columns.alter_compression,
    "alter_column_statistics": columns.alter_statistics,
    "alter_column_option": columns.alter_options,
    "add_constraint": members.add_constraint,
    "drop_constraint": members.drop_constraint,
    "alter_constraint": members.alter_constraint,
    "validate_constraint": members.validate_constraint,
    "rename_constraint": members.rename_constraint,
    "rename_index": members.rename_index,
    **{f"add_{kind}": members.add_attachment for kind in ("index", "statistics", "rule", "trigger", "policy")},
    **{f"drop_{kind}": members.drop_attachment for kind in ("index", "statistics", "rule", "trigger", "policy")},
    **{f"alter_{kind}": members.alter_attachment for kind in ("index", "statistics", "rule", "trigger", "policy")},
    "alter_row_security": relations.alter_row_security,
    "alter_force_row_security": relations.alter_force_row_security,
    "alter_replica_identity": relations.alter_replica_identity,
    "alter_persistence": relations.set_logged,
    "alter_option": relations.alter_option,
    "alter_comment": notes.alter_comment,
    "grant_privilege": notes.grant_privilege,
    "revoke_privilege": notes.revoke_privilege,
}


def statements(difference: Difference) -> tuple[Step, ...]:
    """The statements for *difference*, in order; none for what other parts of a deploy make, or is left in place."""
    make = _MAKERS.get(difference.change_type)
    return tuple(make(difference)) if make is not None else ()
