"""What the gateway does, one verb a module; knows no HTTP."""
