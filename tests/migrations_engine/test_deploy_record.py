"""What a deploy writes down for the next one."""

from __future__ import annotations

import base64
import json
import zlib

from .conftest import Tenant

FILES = {"tables/t.sql": "CREATE TABLE t (id int PRIMARY KEY, a int);"}


def test_the_catalogs_of_earlier_versions_were_not_packed(tenant: Tenant):
    tenant.register(FILES)
    [(packed,)] = tenant.rows(
        "SELECT definition ->> 'zlib' FROM _stonescriptdb_gateway_tables WHERE table_name = '*declared'"
    )
    plain = zlib.decompress(base64.b64decode(packed)).decode()
    assert [one["label"] for one in json.loads(plain)["relations"]] == ["t"]
    tenant.execute(
        f"UPDATE _stonescriptdb_gateway_tables SET definition = '{plain}' WHERE table_name = '*declared';"
        "ALTER TABLE t ADD COLUMN by_hand int"
    )
    more = {**FILES, "tables/t.sql": "CREATE TABLE t (id int PRIMARY KEY, a int, b int);"}
    assert tenant.migrate(more).schema_validation.dataloss_changes == ()
    assert "by_hand" in {
        name for (name,) in tenant.rows("SELECT attname FROM pg_attribute WHERE attrelid = 't'::regclass")
    }


def test_the_privileges_of_functions_had_another_name_in_earlier_versions(tenant: Tenant):
    function = "CREATE FUNCTION f() RETURNS int LANGUAGE sql AS 'SELECT 1'; REVOKE EXECUTE ON FUNCTION f FROM PUBLIC;"
    files = {"tables/t.sql": FILES["tables/t.sql"] + function}
    tenant.register(files)
    tenant.execute(
        "UPDATE _stonescriptdb_gateway_tables SET definition = replace(definition::text, 'privileges', 'rights')::jsonb"
        " WHERE table_name = '*routines'"
    )
    more = {**files, "functions/g.sql": "CREATE FUNCTION g() RETURNS int LANGUAGE sql AS 'SELECT 2'"}
    assert tenant.migrate(more).differences == ()
