from __future__ import annotations

from dataclasses import FrozenInstanceError
from ipaddress import ip_network
from pathlib import Path

import pytest
from psycopg.conninfo import conninfo_to_dict

from gateway.settings import Settings, SettingsError, unknown_names


def read(environ: dict[str, str], dotenv_path: Path | None = None) -> Settings:
    return Settings.from_environment(environ, dotenv_path)


def problems_of(environ: dict[str, str], dotenv_path: Path | None = None) -> tuple[str, ...]:
    with pytest.raises(SettingsError) as caught:
        read(environ, dotenv_path)
    return caught.value.problems


def test_without_any_setting_the_documented_defaults_hold():
    settings = read({})
    assert (settings.gateway_host, settings.gateway_port) == ("127.0.0.1", 9000)
    assert (settings.max_connections_per_pool, settings.max_total_connections, settings.max_pools) == (10, 200, 200)
    assert (settings.pool_idle_timeout_seconds, settings.pool_max_lifetime_seconds) == (1800, 3600)
    assert settings.pool_wait_timeout_seconds == 5
    assert settings.data_dir == Path("data")
    assert conninfo_to_dict(settings.conninfo) == {"host": "localhost", "port": "5432", "dbname": "postgres"}


def test_settings_cannot_be_changed():
    with pytest.raises(FrozenInstanceError):
        read({}).workers = 3


def test_a_name_of_the_rust_gateway_still_restricts_the_administration(tmp_path):
    earlier, name = ip_network("10.0.0.0/8"), "ALLOWED_ADMIN_IPS"
    assert read({name: "10.0.0.0/8"}).allowed_admin_networks == (earlier,)
    assert read({name: "10.0.0.0/8", "ALLOWED_ADMIN_NETWORKS": "::1"}).allowed_admin_networks == (ip_network("::1"),)
    assert problems_of({name: "x"})[0].startswith(name)
    (tmp_path / ".env").write_text(f"{name}=10.0.0.0/8\nRUST_LOG=info\n")
    assert unknown_names(tmp_path / ".env") == ()


def test_as_many_pools_as_connections_by_default():
    assert read({"MAX_TOTAL_CONNECTIONS": "500"}).max_pools == 500
    assert read({"MAX_TOTAL_CONNECTIONS": "500", "MAX_POOLS": "7"}).max_pools == 7


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("GATEWAY_PORT", "70000"),
        ("GATEWAY_PORT", "0"),
        ("GATEWAY_HOST", "127.0.0.1 9000"),
        ("WORKERS", "0"),
        ("WORKERS", "two"),
        ("THREADS", "1.5"),
        ("THREADS", "٣"),
        ("MAX_TOTAL_CONNECTIONS", "-1"),
        ("MAX_TOTAL_CONNECTIONS", "3"),
        ("MAX_CONNECTIONS_PER_POOL", "1_0"),
        ("POOL_WAIT_TIMEOUT_SECS", "0"),
        ("POOL_WAIT_TIMEOUT_SECS", "nan"),
        ("POOL_IDLE_TIMEOUT_SECS", "1e400"),
        ("STATEMENT_TIMEOUT_MS", "0"),
        ("STATEMENT_TIMEOUT_MS", "2147483648"),
        ("LOCK_TIMEOUT_MS", "5s"),
        ("ALLOWED_NETWORKS", "10.0.0.0/33"),
        ("ALLOWED_NETWORKS", "127.0.0.0/8,localhost"),
        ("ALLOWED_ADMIN_NETWORKS", ","),
        ("TRUSTED_PROXIES", "*"),
        ("CALLABLE_SCHEMAS", "pg_catalog"),
        ("LOG_LEVEL", "loud"),
        ("LOG_FORMAT", "xml"),
        ("MAX_UPLOAD_BYTES", "64MB"),
        ("DB_PORT", "postgres"),
        ("DATABASE_URL", "mysql://somewhere"),
        ("DATABASE_URL", "postgres://host/db?no_such_option=1"),
        ("DATABASE_URL", "postgres://host/db?connect_timeout=soon"),
    ],
)
def test_a_wrong_value_is_one_line_that_names_it(name, value):
    (problem,) = problems_of({name: value})
    assert problem.startswith(name)
    assert "\n" not in problem


def test_all_problems_are_reported_together():
    found = problems_of({"WORKERS": "x", "GATEWAY_PORT": "x", "DB_PORT": "x", "LOG_LEVEL": "x"})
    assert {problem.split()[0] for problem in found} == {"WORKERS", "GATEWAY_PORT", "DB_PORT", "LOG_LEVEL"}


def test_the_environment_wins_over_the_file_and_the_empty_value_is_none(tmp_path):
    file = tmp_path / ".env"
    file.write_text("\ufeffWORKERS=3\nTHREADS=5 # per worker\nexport LOG_LEVEL='debug'\nGATEWAY_PORT=\n", "utf-8")
    settings = read({"THREADS": "6", "DATA_DIR": "", "LOG_FORMAT": "  "}, file)
    assert (settings.workers, settings.threads, settings.log_level) == (3, 6, "debug")
    assert (settings.gateway_port, settings.data_dir, settings.log_format) == (9000, Path("data"), "text")


def test_a_password_stays_as_written(tmp_path):
    password = "  ${HOME} 'it''s' \\ % # @:/"
    assert conninfo_to_dict(read({"DB_PASSWORD": password}).conninfo)["password"] == password
    file = tmp_path / ".env"
    file.write_text("DB_PASSWORD='${HOME}$(id)'\n")
    assert conninfo_to_dict(read({}, file).conninfo)["password"] == "${HOME}$(id)"


def test_a_line_that_is_no_setting_is_a_problem(tmp_path):
    file = tmp_path / ".env"
    file.write_text("WORKERS=3\nTHREADS 5\n\nGATEWAY_PORT\n")
    assert [problem.removeprefix(str(file)) for problem in problems_of({}, file)] == [
        " line 2 is not NAME=value",
        " line 4 is not NAME=value",
    ]


def test_a_file_that_is_not_text_is_a_problem(tmp_path):
    file = tmp_path / ".env"
    file.write_bytes(b"DB_PASSWORD=\xe9\n")
    assert len(problems_of({}, file)) == 1


def test_misspelt_names_in_the_file_are_found(tmp_path):
    file = tmp_path / ".env"
    file.write_text("WORKERS=3\nMAX_TOTAL_CONECTIONS=5\nRUST_LOG=info\nDB_HOST=db\n")
    assert unknown_names(file) == ("MAX_TOTAL_CONECTIONS",)


@pytest.mark.parametrize("scheme", ["postgres", "postgresql"])
def test_a_database_url_keeps_all_parameters_of_libpq(scheme):
    settings = read(
        {
            "DATABASE_URL": f"{scheme}://me%40x:p%40ss%2F@a.example:5433,b.example:5434/maintenance"
            "?sslmode=verify-full&target_session_attrs=read-write&application_name=x%20y",
            "DB_HOST": "elsewhere",
        }
    )
    assert conninfo_to_dict(settings.conninfo) == {
        "user": "me@x",
        "password": "p@ss/",
        "host": "a.example,b.example",
        "port": "5433,5434",
        "dbname": "maintenance",
        "sslmode": "verify-full",
        "target_session_attrs": "read-write",
        "application_name": "x y",
    }
    assert settings.maintenance_database == "maintenance"


def test_a_database_url_may_name_a_socket_and_no_database():
    settings = read({"DATABASE_URL": "postgres://me@/?host=%2Frun%2Fpostgresql"})
    assert settings.maintenance_database == "postgres"
    assert settings.server_description == "host=/run/postgresql dbname=postgres user=me"


def test_secrets_are_in_no_representation_and_in_no_message():
    secret = "hunter2"
    url = f"postgres://me:{secret}@host:5432/db"
    settings = read({"DATABASE_URL": url})
    assert secret not in repr(settings)
    assert secret not in settings.server_description
    for wrong in (url + "?nonsense=1", f"postgres://me:{secret}%zz@host/db", f"host=x pasword={secret}"):
        assert not any(secret in problem for problem in problems_of({"DATABASE_URL": wrong}))


def test_keys_are_stored_by_owner(tmp_path):
    file = tmp_path / "keys"
    file.write_text("API_KEY_SHOP=of-the-file\nAPI_KEY_CAFE=c1\n")
    settings = read(
        {"API_KEY_SHOP": "old, new", "API_KEY_my-app": "m", "API_KEY_ADMIN": "b", "ADMIN_TOKEN": "a,b",
         "API_KEYS_FILE": str(file)}
    )  # fmt: skip
    assert settings.api_keys == {"SHOP": ("old", "new"), "CAFE": ("c1",), "MY_APP": ("m",), "ADMIN": ("a", "b")}
    assert read({}).api_keys == {}
    assert not any(key in repr(settings) for key in ("old", "c1"))


@pytest.mark.parametrize(
    ("environment", "variable"),
    [
        ({"API_KEY_SHOP": ""}, "API_KEY_SHOP"),
        ({"API_KEY_SHOP": "secret,"}, "API_KEY_SHOP"),
        ({"API_KEY_SHOP": "secret secret"}, "API_KEY_SHOP"),
        ({"ADMIN_TOKEN": "sécret"}, "ADMIN_TOKEN"),
        ({"API_KEY_ADMIN": " "}, "API_KEY_ADMIN"),
        ({"API_KEY_SHOP": "secret", "API_KEY_CAFE": "secret"}, "API_KEY_SHOP"),
        ({"API_KEY_SHOP": "secret", "ADMIN_TOKEN": "secret"}, "API_KEY_SHOP"),
        ({"API_KEYS_FILE": "/nowhere/secret-free"}, "API_KEYS_FILE"),
    ],
)
def test_a_key_that_protects_nothing_stops_the_start(environment, variable):
    (problem,) = problems_of(environment)
    assert problem.startswith(variable)
    assert "secret" not in problem.replace("/nowhere/secret-free", "")


def test_rate_limits_are_stored_by_platform():
    settings = read({"RATE_LIMIT": "100/second", "RATE_LIMIT_my-app": "6000 per minute", "RATE_LIMIT_SHOP": ""})
    assert (settings.rate_limit, settings.rate_limits) == ("100/second", {"MY_APP": "6000 per minute"})
    for name in ("RATE_LIMIT", "RATE_LIMIT_SHOP"):
        for wrong in ("100", "a lot", "100/fortnight", "/second"):
            (problem,) = problems_of({name: wrong})
            assert problem.startswith(name)


def test_a_file_of_keys_holds_nothing_else(tmp_path):
    file = tmp_path / "keys"
    file.write_text("API_KEY_SHOP=secret\nGATEWAY_PORT=secret\n")
    (problem,) = problems_of({"API_KEYS_FILE": str(file)})
    assert problem == "API_KEYS_FILE sets GATEWAY_PORT, which is not the name of a key"


def test_networks_may_be_written_as_addresses_with_a_mask_of_their_network():
    settings = read({"ALLOWED_NETWORKS": "127.0.0.0/8, 192.168.1.100/24,::1", "TRUSTED_PROXIES": "10.0.0.1"})
    assert settings.allowed_networks == (ip_network("127.0.0.0/8"), ip_network("192.168.1.0/24"), ip_network("::1"))
    assert settings.trusted_proxies == (ip_network("10.0.0.1"),)


def test_several_schemas_may_be_callable():
    assert read({"CALLABLE_SCHEMAS": "public, api"}).callable_schemas == ("public", "api")
