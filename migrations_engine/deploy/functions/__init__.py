"""The files of ``functions/``, and the routines that files of types and tables make."""

from migrations_engine.deploy.functions.counts import FunctionCounts
from migrations_engine.deploy.functions.deployer import FunctionDeployer
from migrations_engine.deploy.functions.grants import alterations
from migrations_engine.deploy.functions.other_objects import OtherObjects, create_objects_of_migrated_tables
from migrations_engine.deploy.functions.runner import REPLACEMENT_REFUSED
from migrations_engine.deploy.functions.triggers import trigger_drops

__all__ = [
    "REPLACEMENT_REFUSED",
    "FunctionCounts",
    "FunctionDeployer",
    "OtherObjects",
    "alterations",
    "create_objects_of_migrated_tables",
    "trigger_drops",
]
