"""The commands besides ``serve``, ``check-config`` and ``demo``."""

from gateway.commands.fleet import add_fleet_commands
from gateway.commands.owners import add_owner_commands

__all__ = ["add_fleet_commands", "add_owner_commands"]
