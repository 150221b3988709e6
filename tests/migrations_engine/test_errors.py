"""What an error of the server becomes in a report."""

from __future__ import annotations

import psycopg
import pytest

from migrations_engine.errors import DeployInterrupted, ServerMessage


@pytest.mark.parametrize(("length", "kept"), [(1, 1), (100_000, 100_000), (5_000_000, 100_000)])
def test_the_texts_of_an_error_are_kept_up_to_a_length(connection: psycopg.Connection, length: int, kept: int) -> None:
    with pytest.raises(psycopg.Error) as failure:
        connection.execute(f"""DO $$ BEGIN
            RAISE EXCEPTION '%', repeat('é', {length})
            USING DETAIL = repeat('d', {length}), HINT = repeat('h', {length});
        END $$""")
    message = ServerMessage.of(failure.value)
    for text, letter in ((message.message, "é"), (message.detail, "d"), (message.hint, "h")):
        rest = "" if length == kept else f"… ({length} characters)"
        assert text == letter * kept + rest


def test_the_lines_of_libpq_about_a_lost_connection_are_joined() -> None:
    server = ServerMessage.of(psycopg.OperationalError("server closed the connection\n\tThis probably means\n"))
    error = DeployInterrupted.of(server)
    assert error.message == (
        "the connection to PostgreSQL was lost: server closed the connection This probably means; repeat the request"
    )
