"""Classifies changes of the type of a column, from the two types alone."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Final, Self

from migrations_engine.diff.difference import Verdict, dataloss, incompatible, safe
from migrations_engine.model import DEFAULT_SCHEMA, Type

_MODIFIED: Final = re.compile(r'(?P<head>(?:"(?:[^"]|"")*"|[^"(])*?) ?\((?P<modifiers>[^()]*)\)(?P<tail>.*)')
_UNLIMITED: Final = {"bpchar": "character", '"bit"': "bit"}  #: as ``format_type`` prints them without a length

_DIGITS: Final = {"smallint": 5, "integer": 10, "bigint": 19}  #: decimal digits of the largest value, manual table 8.2
_STRINGS: Final = frozenset({"text", "character varying", "character", "name", '"char"'})
_NAME_CHARACTERS: Final = 63  #: the longest ``name``, NAMEDATALEN - 1 bytes
_INTERVAL_FINEST: Final = ("YEAR", "MONTH", "DAY", "HOUR", "MINUTE", "SECOND")
_SECOND_PRECISION: Final = 6  #: of times and intervals without one, manual table 8.9

#: The new type represents every value of the old one exactly, with any modifiers.
_EXACT: Final = frozenset(
    {
        ("smallint", "integer"),
        ("smallint", "bigint"),
        ("integer", "bigint"),
        ("smallint", "real"),  # 24 bits of mantissa hold 16
        ("smallint", "double precision"),
        ("integer", "double precision"),  # 53 bits hold 32
        ("real", "double precision"),
        ("oid", "bigint"),
        ("character varying", "text"),
        ("name", "text"),
        ("cidr", "inet"),
    }
)
_OIDS: Final = frozenset(
    {
        "oid",
        "regclass",
        "regcollation",
        "regconfig",
        "regdictionary",
        "regnamespace",
        "regoper",
        "regoperator",
        "regproc",
        "regprocedure",
        "regrole",
        "regtype",
    }
)
#: Assignment casts of PostgreSQL (``pg_cast.castcontext`` a or i), except those of strings.
_ASSIGNABLE: Final[Mapping[str, frozenset[str]]] = {
    "smallint": frozenset({"integer", "bigint", "numeric", "real", "double precision"}) | _OIDS,
    "integer": frozenset({"smallint", "bigint", "numeric", "real", "double precision", "money"}) | _OIDS,
    "bigint": frozenset({"smallint", "integer", "numeric", "real", "double precision", "money"}) | _OIDS,
    "numeric": frozenset({"smallint", "integer", "bigint", "real", "double precision", "money"}),
    "real": frozenset({"smallint", "integer", "bigint", "numeric", "double precision"}),
    "double precision": frozenset({"smallint", "integer", "bigint", "numeric", "real"}),
    "money": frozenset({"numeric"}),
    "bit": frozenset({"bit varying"}),
    "bit varying": frozenset({"bit"}),
    "box": frozenset({"polygon"}),
    "path": frozenset({"polygon"}),
    "point": frozenset({"box"}),
    "polygon": frozenset({"path"}),
    "cidr": frozenset({"inet"}),
    "inet": frozenset({"cidr"}),
    "macaddr": frozenset({"macaddr8"}),
    "macaddr8": frozenset({"macaddr"}),
    "json": frozenset({"jsonb"}),
    "jsonb": frozenset({"json"}),
    "date": frozenset({"timestamp without time zone", "timestamp with time zone"}),
    "interval": frozenset({"time without time zone"}),
    "time without time zone": frozenset({"time with time zone", "interval"}),
    "time with time zone": frozenset({"time without time zone"}),
    "timestamp without time zone": frozenset({"timestamp with time zone", "time without time zone", "date"}),
    "timestamp with time zone": frozenset(
        {"timestamp without time zone", "time with time zone", "time without time zone", "date"}
    ),
    "oid": _OIDS | {"bigint", "integer"},
    **{
        name: frozenset({"oid", "bigint", "integer"})
        for name in _OIDS - {"oid", "regoper", "regoperator", "regproc", "regprocedure"}
    },
    "regoper": frozenset({"oid", "bigint", "integer", "regoperator"}),
    "regoperator": frozenset({"oid", "bigint", "integer", "regoper"}),
    "regproc": frozenset({"oid", "bigint", "integer", "regprocedure"}),
    "regprocedure": frozenset({"oid", "bigint", "integer", "regproc"}),
}
_BUILT_IN: Final = frozenset(_ASSIGNABLE) | _STRINGS
#: Types with the same storage format.
_SAME_STORED: Final = frozenset({("character varying", "text"), ("text", "character varying"), ("cidr", "inet")})
#: Types that have the precision of microseconds without a modifier.
_TIMES: Final = frozenset(
    {
        "time without time zone",
        "time with time zone",
        "timestamp without time zone",
        "timestamp with time zone",
    }
)
#: Types whose storage format stays the same when a modifier grows or is removed.
_MODIFIER_ONLY_LIMITS: Final = frozenset({"character varying", "bit varying", "interval"}) | _TIMES


@dataclass(frozen=True, slots=True)
class TypeName:
    """The parts of the name of a type, as ``format_type`` prints it."""

    base: str  #: without modifiers and brackets: ``timestamp without time zone``, ``public.vector``
    modifiers: tuple[str, ...] = ()
    fields: str = ""  #: of an interval: ``DAY TO SECOND``
    is_array: bool = False

    @classmethod
    def parse(cls, text: str) -> Self:
        """Parse the name of a type. One that cannot be parsed becomes a name that matches nothing."""
        element = text.removesuffix("[]")
        modifiers: tuple[str, ...] = ()
        base = element
        if match := _MODIFIED.fullmatch(element):
            base = match["head"] + match["tail"]
            modifiers = tuple(part.strip() for part in match["modifiers"].split(","))
        fields = ""
        if base.startswith("interval "):
            base, _, fields = base.partition(" ")
        return cls(_UNLIMITED.get(base, base), modifiers, fields.upper(), element != text)

    @property
    def label(self) -> str:
        """The label of the type among those of the application."""
        return self.base.removeprefix(f"{DEFAULT_SCHEMA}.")

    @property
    def numbers(self) -> tuple[int, ...]:
        """The modifiers of a type that is known to have numeric ones."""
        return tuple(int(modifier) for modifier in self.modifiers)

    @property
    def is_citext(self) -> bool:
        """Return whether it is the type of the extension of that name, in any schema."""
        return self.base.rpartition(".")[2] == "citext"

    @property
    def is_built_in(self) -> bool:
        """Return whether it is a type of PostgreSQL itself."""
        return self.base in _BUILT_IN


def classify_type_change(current: str, wanted: str, types: Mapping[str, Type] | None = None) -> Verdict:
    """Return the verdict for changing *current* to *wanted*, both as ``format_type`` prints them.

    It is safe if every value stays exactly the same; dataloss if PostgreSQL casts by itself but may change or refuse
    values; incompatible if it does not cast, if the meaning changes (a number becomes text), or if the pair is unknown,
    because to block a harmless change is the smaller mistake.

    :param types: the application's own types by label, to resolve domains
    """
    known = types or {}
    old, new = TypeName.parse(current), TypeName.parse(wanted)
    if old == new:
        return safe("the same type")
    old_domain, new_domain = _domain(old, known), _domain(new, known)
    if old_domain or new_domain:
        return _with_domains(current, wanted, old_domain, new_domain, known)
    if old.is_array != new.is_array:
        return incompatible(f"{current} and {wanted} differ in being an array")
    if old.is_citext or new.is_citext:
        return _with_citext(old, new, current, wanted)
    if _is_exact(old, new):
        return safe(f"every value of {current} fits in {wanted} unchanged", rewrites=_rewrites(old, new))
    return _not_exact(old, new, current, wanted)


def _with_citext(old: TypeName, new: TypeName, current: str, wanted: str) -> Verdict:
    """Return the verdict for a change between a string and citext, which ignores case when it compares."""
    if new.is_citext and _is_exact(old, replace(new, base="text")):
        return safe(f"every value of {current} is a value of {wanted}; those that differ only in case become equal")
    if old.is_citext and _is_exact(replace(old, base="text"), new):
        return safe(f"every value of {current} is a value of {wanted}; those that differ in case are no longer equal")
    if {old.base, new.base} & _STRINGS:
        return dataloss(f"not every value of {current} fits in {wanted}")
    return incompatible(f"{current} does not become {wanted} without saying how")


def _not_exact(old: TypeName, new: TypeName, current: str, wanted: str) -> Verdict:
    if old.base == new.base and not old.is_built_in:
        if old.modifiers:
            return incompatible(f"values of {current} are not values of {wanted}")
        return dataloss(f"values that {wanted} does not allow are refused")
    if {old.base, new.base} != {"name", '"char"'} and (old.base == new.base or {old.base, new.base} <= _STRINGS):
        return dataloss(f"not every value of {current} fits in {wanted}")
    if new.base in _ASSIGNABLE.get(old.base, ()):
        return dataloss(f"values of {current} may change or be refused as {wanted}")
    return incompatible(f"{current} does not become {wanted} without saying how")


def _domain(name: TypeName, types: Mapping[str, Type]) -> Type | None:
    found = types.get(name.label)
    return found if found is not None and found.kind == "domain" and not name.is_array else None


def _with_domains(current: str, wanted: str, old: Type | None, new: Type | None, types: Mapping[str, Type]) -> Verdict:
    """Return the verdict if one type is a domain. Its constraints may refuse values; from it nothing is lost."""
    below = classify_type_change(old.base or current if old else current, new.base or wanted if new else wanted, types)
    if below.compatibility != "safe":
        return below._replace(reason=f"{current} to {wanted}: {below.reason}")
    if new is not None and _restricts(new, types):
        return dataloss(f"values that the domain {wanted} does not allow are refused")
    return safe(f"every value of {current} is a value of {wanted}", rewrites=below.rewrites)


def _restricts(domain: Type, types: Mapping[str, Type]) -> bool:
    below = _domain(TypeName.parse(domain.base or ""), types)
    return bool(domain.checks or domain.not_null or (below is not None and _restricts(below, types)))


def _is_exact(old: TypeName, new: TypeName) -> bool:
    if old.base == new.base:
        return _modifiers_grow(old, new)
    if (old.base, new.base) in _EXACT:
        return True
    if old.base in _DIGITS and new.base == "numeric":
        return not new.modifiers or (new.numbers[1] >= 0 and new.numbers[0] - new.numbers[1] >= _DIGITS[old.base])
    if new.base == "character varying":
        limit = {"text": None, "name": _NAME_CHARACTERS}.get(old.base, -1)
        return limit != -1 and (not new.modifiers or (limit is not None and new.numbers[0] >= limit))
    if (old.base, new.base) == ("bit", "bit varying"):
        return not new.modifiers or bool(old.modifiers and new.numbers[0] >= old.numbers[0])
    return False


def _modifiers_grow(old: TypeName, new: TypeName) -> bool:
    """Return whether the new modifiers of the same type allow all values of the old ones. No modifier allows all."""
    if old.base == "interval":
        return _interval_grain(new) >= _interval_grain(old)
    if not new.modifiers:
        return True
    if not old.modifiers:
        return old.base in _TIMES and new.numbers[0] == _SECOND_PRECISION
    if old.base == "numeric":
        (old_precision, old_scale), (new_precision, new_scale) = old.numbers, new.numbers
        return new_scale >= old_scale and new_precision - new_scale >= old_precision - old_scale
    if old.base == "character" or old.base in _MODIFIER_ONLY_LIMITS:
        return new.numbers[0] >= old.numbers[0]
    return False


def _interval_grain(name: TypeName) -> tuple[int, int]:
    """Return the precision of an interval. PostgreSQL truncates below the last field that the type names."""
    finest = name.fields.rpartition(" TO ")[2] or "SECOND"
    return _INTERVAL_FINEST.index(finest), name.numbers[0] if name.modifiers else _SECOND_PRECISION


def _rewrites(old: TypeName, new: TypeName) -> bool:
    if old.base != new.base:
        unlimited = ("bit", "bit varying") if not new.modifiers else None
        return old.is_array or (old.base, new.base) not in {*_SAME_STORED, unlimited}
    if not new.modifiers or new.is_array:  # PostgreSQL rewrites arrays for every change of a limit
        return bool(new.modifiers)
    if old.base == "numeric":
        return new.numbers[1] != old.numbers[1]
    return old.base not in _MODIFIER_ONLY_LIMITS
