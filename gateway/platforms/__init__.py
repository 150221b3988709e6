"""The registry of version 2: which platforms there are, and every version of the schemas they have stored."""

from gateway.platforms.deploy_log import DeployLog, LoggedDeploy
from gateway.platforms.platform_registry import PlatformRegistry, SchemaUpload
from gateway.platforms.records import EarlierPlatform, Platform, SchemaVersion, StoredSchema

__all__ = [
    "DeployLog",
    "EarlierPlatform",
    "LoggedDeploy",
    "Platform",
    "PlatformRegistry",
    "SchemaUpload",
    "SchemaVersion",
    "StoredSchema",
]
