"""The example application over a year, changed as its developers would: tables first, migrations where data has to move."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

from .conftest import Tenant
from .histories.checks import structure

EXAMPLE = Path(__file__).parents[2] / "examples" / "clinic" / "postgresql"
Files = dict[str, str]


@dataclass(frozen=True, kw_only=True)
class Edit:
    """What one release changes: texts replaced in files, files that are new, and files that are gone."""

    replace: dict[str, list[tuple[str, str]]] = field(default_factory=dict)
    add: Files = field(default_factory=dict)
    remove: tuple[str, ...] = ()

    def applied(self, files: Files) -> Files:
        files = {label: text for label, text in files.items() if label not in self.remove} | self.add
        for label, pairs in self.replace.items():
            for old, new in pairs:
                assert old in files[label], (label, old)
                files[label] = files[label].replace(old, new)
        return files


REVENUE = (
    "CREATE VIEW revenue AS SELECT {} FROM appointments a JOIN appointment_treatments t ON t.appointment_id = a.id {};"
)
SPECIALITY = [("speciality", "specialty")]
YEAR = {
    "patients have a telephone, which the search shows": Edit(
        replace={
            "tables/patients.pssql": [
                ("born_on    date NOT NULL,", "born_on    date NOT NULL,\n    phone varchar(20),")
            ],
            "functions/find_patients.pssql": [
                ("email email_address,", "email email_address, phone varchar,"),
                ("p.email, count", "p.email, p.phone, count"),
            ],
        },
    ),
    "codes grow, with the columns that refer to them": Edit(
        replace={
            "tables/treatments.pssql": [("varchar(10)", "varchar(20)")],
            "tables/appointment_treatments.pssql": [("varchar(10)", "varchar(20)")],
        },
    ),
    "a view of the revenue": Edit(add={"tables/revenue.pssql": REVENUE.format("a.id, t.price", "")}),
    "a status more, which old rows get at once": Edit(
        replace={
            "types/appointment_status.pssql": [("'attended', ", "'attended', 'no_show', ")],
            "functions/day_schedule.pssql": [
                ("a.starts_at < p_day + 1", "a.starts_at < p_day + 1 AND a.status <> 'no_show'")
            ],
        },
        add={
            "migrations/003_no_show.pssql": "UPDATE appointments SET status = 'no_show'"
            " WHERE status = 'booked' AND starts_at < '2020-01-01';"
        },
    ),
    "addresses have a country, and e-mail addresses a length": Edit(
        replace={
            "types/postal_address.pssql": [("postal_code text", "postal_code text,\n    country text")],
            "types/email_address.pssql": [
                ("AS text\n", "AS text\n    CONSTRAINT short_enough CHECK (length(VALUE) < 255)\n")
            ],
        },
    ),
    "rooms, which appointments are in": Edit(
        replace={
            "tables/appointments.pssql": [
                ("note            text", "note text,\n    room_id integer REFERENCES rooms (id)")
            ]
        },
        add={
            "tables/rooms.pssql": "CREATE TABLE rooms (id serial PRIMARY KEY, title text NOT NULL UNIQUE);",
            "seeders/rooms.pssql": "INSERT INTO rooms (id, title) VALUES (1, 'Ground floor');",
            "functions/rooms_free.pssql": "CREATE FUNCTION rooms_free(p_at timestamptz) RETURNS SETOF rooms LANGUAGE sql STABLE"
            " BEGIN ATOMIC SELECT r.* FROM rooms r WHERE NOT EXISTS (SELECT 1 FROM appointments a"
            " WHERE a.room_id = r.id AND a.starts_at = p_at); END;",
        },
    ),
    "a spelling mended": Edit(
        replace={"tables/practitioners.pssql": SPECIALITY, "seeders/practitioners.pssql": SPECIALITY},
        add={"migrations/004_spelling.pssql": "ALTER TABLE practitioners RENAME COLUMN speciality TO specialty;"},
    ),
    "names that are searched for, and an index": Edit(
        replace={
            "tables/patients.pssql": [
                ("DEFAULT now()\n", "DEFAULT now(),\n    sought text GENERATED ALWAYS AS (lower(full_name)) STORED\n"),
                ("COMMENT", "CREATE INDEX patients_sought ON patients (sought);\nCOMMENT"),
            ],
            "functions/find_patients.pssql": [("IN lower(p.full_name)", "IN p.sought")],
        },
    ),
    "a telephone is required": Edit(
        replace={"tables/patients.pssql": [("phone varchar(20)", "phone varchar(20) NOT NULL DEFAULT ''")]},
        add={
            "migrations/005_phone.pssql": "UPDATE patients SET phone = '' WHERE phone IS NULL;"
            " ALTER TABLE patients ALTER phone SET NOT NULL;"
        },
    ),
    "wider keys, under a view, a function and foreign keys": Edit(
        replace={
            "tables/appointments.pssql": [
                ("id              integer", "id              bigint"),
                ("follow_up_of    integer", "follow_up_of    bigint"),
            ],
            "tables/appointment_treatments.pssql": [("appointment_id integer", "appointment_id bigint")],
            "functions/cancel_appointment.pssql": [("p_appointment_id integer", "p_appointment_id bigint")],
            "functions/book_appointment.pssql": [
                ("RETURNS integer", "RETURNS bigint"),
                ("v_appointment_id integer", "v_appointment_id bigint"),
            ],
        },
    ),
    "the revenue by day, and what is searched for otherwise": Edit(
        replace={"tables/patients.pssql": [("(lower(full_name))", "(lower(btrim(full_name)))")]},
        add={"tables/revenue.pssql": REVENUE.format("a.starts_at::date AS day, sum(t.price) AS price", "GROUP BY 1")},
    ),
    "a column goes, and a treatment comes": Edit(
        replace={
            "tables/appointments.pssql": [("    follow_up_of    bigint REFERENCES appointments (id),\n", "")],
            "seeders/treatments.pssql": [("25.50);", "25.50),\n    ('XRAY', 'X-ray', 15, 80.00);")],
        },
        add={
            "migrations/006_no_follow_ups.pssql": "ALTER TABLE appointments DROP COLUMN follow_up_of;",
            "migrations/007_xray.pssql": "INSERT INTO treatments VALUES ('XRAY', 'X-ray', 15, 80.00) ON CONFLICT DO NOTHING;",
        },
    ),
    "when appointments were changed, by a trigger": Edit(
        replace={
            "tables/appointments.pssql": [
                ("note text,", "note text,\n    changed_at timestamptz,"),
                (
                    ");\n",
                    ");\nCREATE TRIGGER touched BEFORE UPDATE ON appointments FOR EACH ROW EXECUTE FUNCTION touch();\n",
                ),
            ]
        },
        add={
            "functions/touch.pssql": "CREATE FUNCTION touch() RETURNS trigger LANGUAGE plpgsql AS"
            " $$ BEGIN NEW.changed_at := now(); RETURN NEW; END $$;"
        },
    ),
    "a function less, and one with another signature": Edit(
        replace={
            "functions/find_patients.pssql": [
                ("p_limit integer DEFAULT 20", "p_limit integer DEFAULT 50, p_city text DEFAULT NULL")
            ]
        },
        remove=("functions/rooms_free.pssql",),
    ),
}


def releases() -> Iterator[Files]:
    files = {str(path.relative_to(EXAMPLE)): path.read_text() for path in EXAMPLE.rglob("*") if path.is_file()}
    yield files
    for edit in YEAR.values():
        files = edit.applied(files)
        yield files


def test_a_year_of_changes(make_database: Callable[[], str]):
    first, *later = releases()
    assert len(later) >= 10
    each, jumping, fresh = (Tenant(make_database()) for _ in range(3))
    for tenant in (each, jumping):
        tenant.register(first)
        tenant.execute(
            "SELECT register_patient('Ada Byron', 'ada@example.com', '1815-12-10', ROW('Street', 'London', 'W1'))"
        )
        tenant.execute("SELECT book_appointment(p.id, 1, '2019-05-06 10:00+00', '{CONSULT,VACC}') FROM patients AS p")
    for name, files in zip(YEAR, later, strict=True):
        report = each.migrate(files)
        assert report.differences == (), name
    assert jumping.migrate(later[-1]).differences == ()
    fresh.register(later[-1])
    for tenant in (each, jumping):
        assert structure(tenant) == structure(fresh)
        assert tenant.migrate(later[-1] | {"seeders/none.pssql": ""}).schema_validation.is_empty
        assert tenant.rows("SELECT full_name, (address).city, (address).country, sought FROM patients") == [
            ("Ada Byron", "London", None, "ada byron")
        ]
        assert tenant.rows("SELECT status::text FROM appointments") == [("no_show",)]
        assert tenant.rows("SELECT code FROM treatments ORDER BY code") == [
            ("CHECKUP",),
            ("CONSULT",),
            ("VACC",),
            ("XRAY",),
        ]
        assert tenant.rows("SELECT price FROM revenue") == [(70.5,)]
