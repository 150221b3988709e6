"""Reading JSON bodies and fields: every wrong one is named, none is ignored."""

from __future__ import annotations

import io

import pytest
from marshmallow import ValidationError, fields
from werkzeug.exceptions import RequestEntityTooLarge, UnsupportedMediaType

from gateway.api.requests import Flag, FormFlag, Name, Request, TenantId, load, read_json, single_values
from gateway.api.v1.requests import CallRequest
from gateway.api.v2.requests import MigrateRequest
from gateway.errors import InvalidRequest
from gateway.security.api_keys import ANONYMOUS


class Sample(Request):
    platform = Name(required=True)
    count = fields.Integer(strict=True)
    names = fields.List(Name())
    tenant_id = TenantId(load_default=None, allow_none=True)
    force = Flag(load_default=False)
    label = fields.String(required=True)


def environ(body: bytes, content_type: str = "application/json") -> dict[str, object]:
    return {"CONTENT_TYPE": content_type, "CONTENT_LENGTH": str(len(body)), "wsgi.input": io.BytesIO(body)}


def test_all_wrong_fields_are_named_at_once() -> None:
    with pytest.raises(InvalidRequest) as raised:
        load(Sample(), {"platform": "a%b", "tenant_id": "../x", "force": "perhaps", "databse_id": "7"}, ANONYMOUS)
    assert set(raised.value.facts["fields"]) == {"platform", "tenant_id", "force", "label", "databse_id"}
    for said in (
        "platform has a character that is not allowed",
        "tenant_id has a character that is not allowed",
        "force must be true or false",
        "label is required",
        "databse_id is not a field of this request",
    ):
        assert said in raised.value.message


def test_an_unknown_field_is_answered_with_the_known_ones() -> None:
    with pytest.raises(InvalidRequest) as raised:
        load(MigrateRequest(""), {"platform": "a", "schema_name": "b", "onyl": ["c"]}, ANONYMOUS)
    problem, _, known = raised.value.message.partition("; the request has the fields ")
    assert problem == "onyl is not a field of this request"
    assert {"platform", "database_id", "only"} <= set(known.split(", "))
    with pytest.raises(InvalidRequest, match=r"^tenant is not a field .*, params$"):
        load(CallRequest(), {"platform": "a", "function": "f", "tenant": "b"}, ANONYMOUS)


@pytest.mark.parametrize(
    ("field", "value", "wrong"),
    [
        ("label", 5, "label must be a string"),
        ("label", None, "label must not be null"),
        ("count", 1.5, "count must be a whole number"),
        ("force", "yes", "force must be true or false, without quotes"),
        ("names", "a", "names must be a list"),
        ("names", [None], "names must not be null"),
    ],
)
def test_the_message_is_a_sentence_about_the_wrong_field(field, value, wrong) -> None:
    with pytest.raises(InvalidRequest) as raised:
        load(Sample(), {"platform": "a", "label": "x", field: value}, ANONYMOUS)
    assert raised.value.message == wrong


@pytest.mark.parametrize("platform", [None, 17, "", ["a"], {"a": 1}, "İ", "_x"])
def test_a_platform_is_a_name(platform) -> None:
    with pytest.raises(InvalidRequest, match=r"^platform "):
        load(Sample(), {"platform": platform, "label": "x"}, ANONYMOUS)


@pytest.mark.parametrize(("given", "read"), [(None, None), ("", None), ("null", None), ("main", None), ("b-1", "b-1")])
def test_a_tenant_id_may_mean_the_main_database(given, read) -> None:
    assert load(Sample(), {"platform": "a", "tenant_id": given, "label": "x"}, ANONYMOUS)["tenant_id"] == read


@pytest.mark.parametrize(
    ("given", "read"),
    [
        ("true", True), ("True", True), ("1", True), ("on", True), (" yes ", True),
        ("false", False), ("FALSE", False), ("0", False), ("off", False), ("no", False), ("", False),
    ],
)  # fmt: skip
def test_a_flag_of_a_form_is_read_as_shells_write_it(given, read) -> None:
    assert FormFlag().deserialize(given) is read


@pytest.mark.parametrize("given", [1, 0, True, "2", "ja", [], ["true"], {}])
def test_other_values_of_a_flag_in_a_form_are_refused(given) -> None:
    with pytest.raises(ValidationError, match="must be true or false"):
        FormFlag().deserialize(given)


@pytest.mark.parametrize("given", [True, False])
def test_a_flag_of_json_is_a_boolean(given) -> None:
    assert load(Sample(), {"platform": "a", "label": "x", "force": given}, ANONYMOUS)["force"] is given


@pytest.mark.parametrize("given", [1, 0, "true", "yes", "", "ja", None, [], [True], {}])
def test_other_values_of_a_flag_in_json_are_refused(given) -> None:
    with pytest.raises(InvalidRequest, match=r"^force "):
        load(Sample(), {"platform": "a", "label": "x", "force": given}, ANONYMOUS)


def test_a_field_of_a_query_string_may_not_be_repeated() -> None:
    assert single_values([("platform", "a"), ("x", "")]) == {"platform": "a", "x": ""}
    with pytest.raises(InvalidRequest, match="platform was sent twice"):
        single_values([("platform", "a"), ("platform", "b")])


@pytest.mark.parametrize("body", [b"", b"{", b"nonsense", b'{"a":1}x', b'{"a":"\xff"}', b'{"a":NaN}', b"[" * 100_000])
def test_what_is_not_json_is_refused(body) -> None:
    with pytest.raises(InvalidRequest, match="not readable JSON"):
        read_json(environ(body), 10**6)


@pytest.mark.parametrize("body", [b"[]", b"null", b'"x"', b"17"])
def test_a_body_is_an_object(body) -> None:
    with pytest.raises(InvalidRequest, match="must be a JSON object"):
        read_json(environ(body), 10**6)


@pytest.mark.parametrize("content_type", ["", "text/plain", "application/x-www-form-urlencoded", "application/jsonx"])
def test_a_body_without_the_json_content_type_is_refused(content_type) -> None:
    with pytest.raises(UnsupportedMediaType):
        read_json(environ(b"{}", content_type), 10**6)


@pytest.mark.parametrize("content_type", ["application/json; charset=utf-8", "Application/JSON", "application/ld+json"])
def test_json_has_many_spellings(content_type) -> None:
    assert read_json(environ(b'{"b":1,"a":2}', content_type), 10**6) == {"b": 1, "a": 2}


def test_a_body_without_a_length_has_a_limit_too() -> None:
    body = b'{"a":"%b"}' % (b"x" * 1000)
    with pytest.raises(RequestEntityTooLarge):
        read_json(environ(body), 999)
    unannounced = {"CONTENT_TYPE": "application/json", "wsgi.input_terminated": True, "wsgi.input": io.BytesIO(body)}
    with pytest.raises(RequestEntityTooLarge):
        read_json(unannounced, len(body) - 1)
    unannounced["wsgi.input"] = io.BytesIO(body)
    assert read_json(unannounced, len(body)) == {"a": "x" * 1000}


class Broken(io.RawIOBase):
    """A body whose client hangs up, or whose chunks are none."""

    def read(self, size: int = -1) -> bytes:
        raise OSError("Invalid chunk size: b'zz'")

    def readinto(self, buffer) -> int:
        raise OSError("Invalid chunk size: b'zz'")


@pytest.mark.parametrize("how", [{"CONTENT_LENGTH": "7"}, {"wsgi.input_terminated": True}])
def test_a_body_that_breaks_off_is_the_client_s_fault(how) -> None:
    with pytest.raises(InvalidRequest, match="could not be read"):
        read_json({"CONTENT_TYPE": "application/json", "wsgi.input": Broken(), **how}, 1000)
    with pytest.raises(InvalidRequest, match="announced length"):
        read_json({**environ(b"{}"), "CONTENT_LENGTH": "3"}, 1000)
