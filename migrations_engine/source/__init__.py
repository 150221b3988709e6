"""Files become a model here: archives and folders are read, SQL is cut into tokens. Never a connection."""
