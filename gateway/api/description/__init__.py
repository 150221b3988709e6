"""The description of the API: an OpenAPI document generated from the schemas and the table of routes, and a page."""
