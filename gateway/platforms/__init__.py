"""The registry of version 2: the platforms, and every version of their stored schemas."""

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
