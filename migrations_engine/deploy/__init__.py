"""Changes → database: the only room that runs DDL, a module per step of a deploy."""
