"""The steps of a deploy, a module each. The only package that runs DDL."""
