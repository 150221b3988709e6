"""The application for a WSGI server that is started with ``gateway.server`` as its configuration."""

from gateway.app import create_app
from gateway.server import SETTINGS

application = create_app(SETTINGS)
