"""The files of ``functions/``, and the routines that files of types and tables make."""

from migrations_engine.deploy.functions.counts import FunctionCounts
from migrations_engine.deploy.functions.deployer import FunctionDeployer
from migrations_engine.deploy.functions.grants import reversals

__all__ = ["FunctionCounts", "FunctionDeployer", "reversals"]
