"""Every failure has a status, and the table says which."""

from __future__ import annotations

import pytest

from gateway import errors
from gateway.api.error_table import ERROR_TABLE, code_of, status_of, status_of_sqlstate
from gateway.errors import GatewayError

IN_THE_TABLE = {kind for row in ERROR_TABLE for kind in row.raised_as}
OF_ITS_OWN_RULE = {errors.SchemaDeployError, errors.QueryFailed, errors.ResponseTooLarge}
DEFINED = {kind for kind in vars(errors).values() if isinstance(kind, type) and issubclass(kind, GatewayError)}


def test_every_error_class_is_in_the_table_or_has_a_rule() -> None:
    assert DEFINED == IN_THE_TABLE | OF_ITS_OWN_RULE


@pytest.mark.parametrize("row", ERROR_TABLE, ids=lambda row: f"{row.code}-{row.status}")
def test_a_class_has_the_code_and_the_status_of_its_row(row) -> None:
    for kind in row.raised_as:
        assert (code_of(kind("")), status_of(kind(""))) == (row.code, row.status)


@pytest.mark.parametrize(
    ("code", "status"),
    [
        ("schema_extraction_failed", 400),
        ("extension_not_available", 400),
        ("migration_failed", 409),
        ("function_deploy_failed", 409),
        ("extension_install_failed", 409),
        ("connection_failed", 503),
        ("internal_error", 500),
    ],
)
def test_the_engine_s_codes_have_their_status(code, status) -> None:
    error = errors.SchemaDeployError(code, "")
    assert (code_of(error), status_of(error)) == (code, status)


@pytest.mark.parametrize(
    ("sqlstate", "status"),
    [
        ("P0001", 400), ("22P02", 400), ("22003", 400), ("23502", 400), ("23514", 400), ("MY001", 400), ("PT402", 400),
        ("23503", 409), ("23505", 409), ("23P01", 409), ("23001", 409),
        ("42501", 403), ("28000", 403), ("0LP01", 403), ("0P000", 403),
        ("53200", 503), ("53300", 503),
        ("53400", 500), ("42883", 500), ("42P01", 500), ("42601", 500), ("40001", 500), ("40P01", 500), ("25006", 500),
        ("P0002", 500), ("P0004", 500), ("XX000", 500), ("54001", 500), ("55P03", 500), ("57014", 500), ("21000", 500),
        (None, 500),
    ],
)  # fmt: skip
def test_a_failed_query_has_the_status_of_its_sqlstate(sqlstate, status) -> None:
    assert status_of_sqlstate(sqlstate) == status
    assert status_of(errors.QueryFailed("", sqlstate=sqlstate)) == status
