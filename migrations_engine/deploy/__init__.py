"""The steps of a deploy, a module or package each. Only this package runs DDL."""
