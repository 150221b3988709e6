"""Some random histories of the example; ``make fuzz-histories`` plays many, of any schema."""

from __future__ import annotations

import pytest

from tests.fuzz.histories.__main__ import EXAMPLES
from tests.fuzz.histories.declarations import Declarations
from tests.fuzz.histories.play import Player
from tests.fuzz.histories.server import Server

EXAMPLE = EXAMPLES / "clinic" / "postgresql"


@pytest.mark.slow
@pytest.mark.parametrize("seed", ["clinic-0", "clinic-1"])
def test_an_old_a_skipping_and_a_new_database_are_alike(postgres_url: str, superuser_url: str, seed: str):
    result = Player(Server(postgres_url, superuser_url), Declarations.read(EXAMPLE), seed).play()
    assert len(result.releases) > 1
    assert result.faults == []


def test_a_column_of_a_declaration():
    declarations = Declarations(
        {"tables/t.sql": ["CREATE TABLE t (a int DEFAULT 1 NOT NULL, b numeric(3, 2) CHECK (b > 0))"]}
    )
    assert declarations.edit_column("t", "a", lambda column: column.without("DEFAULT"))
    assert declarations.drop_column("t", "b")
    assert declarations.files == {"tables/t.sql": ["CREATE TABLE t (\n    a int NOT NULL\n)"]}
