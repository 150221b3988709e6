"""Small schemas for several acceptance tests: paths inside the archive, and the contents of the files."""

from __future__ import annotations

USERS = "CREATE TABLE users (id SERIAL PRIMARY KEY, name TEXT NOT NULL);\n"
ORDERS = "CREATE TABLE orders (id SERIAL PRIMARY KEY, user_id INT REFERENCES users(id));\n"
COUNT_USERS = """\
CREATE OR REPLACE FUNCTION count_users() RETURNS bigint LANGUAGE sql AS $$
    SELECT count(*) FROM users
$$;
"""
ADD_USER = """\
CREATE OR REPLACE FUNCTION add_user(p_name text) RETURNS TABLE (user_id int, user_name text) LANGUAGE plpgsql AS $$
BEGIN
    RETURN QUERY INSERT INTO users (name) VALUES (p_name) RETURNING id, name;
END
$$;
"""
BROKEN_FUNCTION = "CREATE FUNCTION broken() RETURNS int LANGUAGE sql AS $$ SELECT nothing FROM nowhere $$;\n"

SHOP = {
    "tables/orders.pssql": ORDERS,
    "tables/users.pssql": USERS,
    "functions/count_users.pssql": COUNT_USERS,
    "functions/add_user.pssql": ADD_USER,
    "seeders/users.pssql": "INSERT INTO users (id, name) VALUES (1, 'Ada'), (2, 'Grace');\n",
}
