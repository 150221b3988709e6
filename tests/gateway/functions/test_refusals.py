"""What is read from an error of the server, which a function may make as long as it likes."""

from __future__ import annotations

import pytest

from gateway.functions.refusals import _OF_PARAMETER
from tests.support.cost import grows_faster_than_the_input, repeated

SHAPES = {
    "digits in a statement": repeated('SQL statement "SELECT 1\n', "1", ':"\nPL/pgSQL function f() line 1 at EXECUTE'),
    "a last line of digits": repeated("", "1", "("),
    "words and digits": repeated("\n", "a 1 ", '"'),
    "lines": repeated("", "\n1", "("),
}


@pytest.mark.parametrize("shape", SHAPES)
def test_a_context_costs_in_proportion_to_its_length(shape: str) -> None:
    assert not grows_faster_than_the_input(_OF_PARAMETER.search, SHAPES[shape])


@pytest.mark.parametrize(
    ("context", "of_value"),
    [
        ("unnamed portal parameter $1 = '...'", True),
        ("unnamed portal parameter $12 = ''", True),
        ("Parameter 1 des unbenannten Portals", True),
        ("JSON data, line 1: {\nunnamed portal parameter $1 = '...'", True),
        ('SQL function "f1" during inlining', False),
        ("PL/pgSQL function f1() line 2 at RETURN", False),
        ("unnamed portal parameter", False),
    ],
)
def test_the_context_of_a_value_is_told_from_that_of_a_function(context: str, of_value: bool) -> None:
    assert (_OF_PARAMETER.search(context) is not None) is of_value
