"""The Flask application: services, guard and views."""

from __future__ import annotations

from flask import Flask, request

from gateway.api import admin, admin_pages, health, metrics
from gateway.api.description import docs_page, openapi
from gateway.api.errors import register_error_handlers
from gateway.api.guard import Guard
from gateway.api.requests import EXTENSION
from gateway.api.v1 import call, deploys, query
from gateway.api.v2 import databases, migrations, platforms
from gateway.services import build_services
from gateway.settings import Settings


def create_app(settings: Settings) -> Flask:
    """Create the application. Opens no connection and starts no thread, because it runs before the workers are forked.

    ``app.extensions["gateway"]`` has ``open()`` and ``close()`` for the worker that serves it.
    """
    app = Flask(__name__, static_folder=None, template_folder=None)
    app.config["PROVIDE_AUTOMATIC_OPTIONS"] = False
    app.url_map.merge_slashes = False  # a route has one spelling
    services = app.extensions[EXTENSION] = build_services(settings)
    register_error_handlers(app, services.events)
    metrics.count(app, services.events)

    guard = Guard(settings, services.events)

    @app.before_request
    def admit() -> None:
        guard.admit_flask(request)

    for views in (deploys, call, query, platforms, databases, migrations, admin, health, metrics, openapi, docs_page):
        app.register_blueprint(views.blueprint)
    if settings.admin_page:
        app.register_blueprint(admin_pages.blueprint)
    app.wsgi_app = call.CallMiddleware(app.wsgi_app, services, guard)  # type: ignore[method-assign]  # as Flask documents it
    return app
