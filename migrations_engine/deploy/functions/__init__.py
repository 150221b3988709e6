"""The files of ``functions/``, and the routines that files of types and tables make."""

from migrations_engine.deploy.functions.deployer import FunctionCounts, FunctionDeployer

__all__ = ["FunctionCounts", "FunctionDeployer"]
