"""The methods of gunicorn that the gateway replaces have not changed since they were reviewed."""

from __future__ import annotations

import inspect
from hashlib import blake2b
from typing import Final

import pytest
from gunicorn.arbiter import Arbiter
from gunicorn.glogging import Logger
from gunicorn.workers.base import Worker as BaseWorker

from gateway.serving.logs import GunicornLogger
from gateway.serving.worker import Worker

RECORDED: Final[dict[str, str]] = {
    "Arbiter.stop": "742ea586918e",
    "Logger.setup": "0068b81e28bc",
    "Worker.handle_exit": "f6d135496251",
    "Worker.handle_quit": "571433e60680",
    "Worker.init_signals": "ecbbab5abc3d",
    "Worker.run": "5e8aff4701ea",
}


def relied_on() -> dict[str, str]:
    """Return the replaced methods, each with a digest of its source."""
    replaced = [
        *(getattr(BaseWorker, name) for name in vars(Worker) if inspect.isfunction(vars(BaseWorker).get(name))),
        *(getattr(Logger, name) for name in vars(GunicornLogger) if inspect.isfunction(vars(Logger).get(name))),
        Arbiter.stop,  # wrapped in gateway.serving.config
    ]
    return {
        method.__qualname__: blake2b(inspect.getsource(method).encode(), digest_size=6).hexdigest()
        for method in replaced
    }


def test_every_replaced_method_is_recorded_and_nothing_else():
    assert sorted(relied_on()) == sorted(RECORDED)


@pytest.mark.parametrize("name", sorted(RECORDED))
def test_the_source_is_the_reviewed_one(name):
    assert relied_on()[name] == RECORDED[name], (
        f"this gunicorn has another {name}: compare it with the last one, see that the gateway does not depend on the "
        "difference, and record its digest here"
    )
