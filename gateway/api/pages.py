"""HTML pages: rendered on the server, with one style, without scripts and external resources."""

from __future__ import annotations

import base64
import hashlib
from functools import cache
from importlib.resources import files
from typing import Any, Final

import orjson
from flask import Response
from jinja2 import Environment, PackageLoader, StrictUndefined

from gateway.sql_layout import lay_out

_TEMPLATES: Final = "templates"


def render(template: str, **values: Any) -> str:  # noqa: ANN401 - what the template shows
    """Return *template* rendered with *values*, which are escaped."""
    return _environment().get_template(template).render(values)


def html_page(text: str, status: int = 200) -> Response:
    """Return *text* as a response with a strict content security policy."""
    return protected(Response(text, status, mimetype="text/html"))


def protected(response: Response) -> Response:
    """Return *response* with the headers that restrict browsers."""
    response.headers["Content-Security-Policy"] = (
        f"default-src 'none'; style-src 'sha256-{_style_hash()}'; img-src data:; form-action 'self'; base-uri 'none'; "
        "frame-ancestors 'none'"
    )
    response.headers["X-Content-Type-Options"] = "nosniff"
    response.headers["Referrer-Policy"] = "no-referrer"
    response.headers["Cache-Control"] = "no-store"
    return response


@cache
def _style() -> str:
    return files("gateway.api").joinpath(_TEMPLATES, "style.css").read_text(encoding="utf-8")


@cache
def _style_hash() -> str:
    return base64.b64encode(hashlib.sha256(_style().encode()).digest()).decode()


@cache
def _environment() -> Environment:
    environment = Environment(
        loader=PackageLoader("gateway.api", _TEMPLATES),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.globals["style"] = _style()
    environment.filters["lay_out"] = lay_out
    environment.filters["json"] = _indented
    environment.filters["megabytes"] = _megabytes
    return environment


def _indented(value: Any) -> str:  # noqa: ANN401 - JSON of any kind
    return orjson.dumps(value, option=orjson.OPT_INDENT_2).decode()


def _megabytes(size: int | None) -> str:
    return "?" if size is None else f"{size / 2**20:.1f} MB"
