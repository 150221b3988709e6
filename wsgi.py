"""The application for a WSGI server that is started with ``gateway.serving.config`` as its configuration."""

from gateway.app import create_app
from gateway.serving.config import SETTINGS

application = create_app(SETTINGS)
