"""The operations of the gateway, one per module, independent of HTTP."""
