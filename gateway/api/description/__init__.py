"""The description of the interface: an OpenAPI document made from the schemas and the table of routes, and its page."""
