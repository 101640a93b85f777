"""URLs of a directory: what is read, what is refused, and that no password is shown."""

from __future__ import annotations

import sys
from dataclasses import replace
from typing import TYPE_CHECKING
from urllib.parse import quote

import pytest
from hypothesis import given
from hypothesis import strategies as st
from psycopg.conninfo import conninfo_to_dict

from router.directory.postgres.options import PostgresOptions
from router.settings.directories import PostgresUrl, read_directory_url, read_postgres_url
from router.settings.grammar import GrammarError, SqliteUrl
from router.settings.load import load_text

if TYPE_CHECKING:
    from pathlib import Path

    from tests.settings.conftest import ProblemsOf

URL = "postgresql://user:hush@db.internal/router?sslmode=verify-full"


def test_a_url_of_each_kind_is_read_as_what_it_is() -> None:
    assert read_directory_url("sqlite:///d.db") == SqliteUrl("d.db")
    assert read_directory_url(URL) == PostgresUrl(URL, "db.internal/router")


@pytest.mark.parametrize(
    ("text", "name"),
    [
        ("postgresql://db/router", "db/router"),
        ("postgres://db:6432/router", "db:6432/router"),
        ("postgresql://user@a:5432,b:5433/router?target_session_attrs=any", "a:5432,b:5433/router"),
        ("postgresql://user:p%40ss@[::1]:5432/router", "[::1]:5432/router"),
        ("postgresql:///router", "/router"),
        ("postgresql://%2Frun%2Fpostgresql/router?options=-c%20search_path%3Dx", "/run/postgresql/router"),
    ],
)
def test_a_url_of_postgresql_names_hosts_and_a_database(text: str, name: str) -> None:
    assert read_postgres_url(text).name == name


@pytest.mark.parametrize(
    "text",
    [
        "postgresql://db",
        "postgresql://db/",
        "postgresql+psycopg://db/router",
        "postgresql://user:hu@sh@db/router",
        "postgresql://user:hu/sh@db/router",
        "postgresql://user:hu#sh@db/router",
        "postgresql://user:hu?sh@db/router",
        "postgresql://user:hush@db:port/router",
        "postgresql://user:hush@db/router?hush",
        "postgresql://user:hush@db/router#hush",
        "postgresql://user:hush @db/router",
    ],
)
def test_what_libpq_would_misread_is_refused_without_a_word_of_it(text: str) -> None:
    with pytest.raises(GrammarError) as refused:
        read_postgres_url(text)
    assert "hush" not in str(refused.value)


@given(st.text(min_size=1, max_size=20).filter(lambda text: "\0" not in text and "\n" not in text))
def test_every_password_can_be_written_percent_encoded(password: str) -> None:
    url = read_postgres_url(f"postgresql://user:{quote(password, safe='')}@db/router")
    assert conninfo_to_dict(url.text)["password"] == password
    assert url.name == "db/router"


def test_neither_a_url_nor_the_options_show_a_password() -> None:
    shown = f"{read_postgres_url(URL)} {read_postgres_url(URL)!r} {PostgresOptions(URL, URL, URL)!r}"
    assert "hush" not in shown


def test_a_directory_in_postgresql_is_built_with_all_that_is_set(base: str, tmp_path: Path) -> None:
    lines = f"""url = "{URL}"
replica_url = "postgresql:///replica"
listen_url = "postgresql:///direct"
locks = "here"
accept_loss = true
pool_size = 3"""
    settings = load_text(base.replace('url = "sqlite:///directory.db"', lines), {}, folder=tmp_path).directory
    expected = PostgresOptions(URL, "postgresql:///replica", "postgresql:///direct", pool_size=3, accept_loss=True)
    assert settings.place == expected
    assert (settings.name, settings.locks) == ("db.internal/router", tmp_path / "here")


def test_the_locks_of_a_host_are_beside_the_configuration_unless_said_otherwise(base: str, tmp_path: Path) -> None:
    text = base.replace("sqlite:///directory.db", URL)
    assert load_text(text, {}, folder=tmp_path).directory.locks == tmp_path / "directory-gateways"


def test_the_locks_of_a_sqlite_directory_are_beside_it(base: str, tmp_path: Path) -> None:
    settings = load_text(base, {}, folder=tmp_path).directory
    assert settings == replace(settings, locks=tmp_path / "directory.db-gateways")


def test_without_psycopg_there_is_one_line_with_the_mend(
    base: str, problems_of: ProblemsOf, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "psycopg", None)
    monkeypatch.setitem(sys.modules, "psycopg.conninfo", None)
    (problem,) = problems_of(base.replace("sqlite:///directory.db", URL))
    assert str(problem) == (
        "directory.url: PostgreSQL needs psycopg, which is not here; mend: pip install 'region-router[postgres]'"
    )


@pytest.mark.parametrize(
    ("url", "warned"),
    [
        ("postgresql://db/router", True),
        ("postgresql://db/router?sslmode=prefer", True),
        ("postgresql://db/router?sslmode=require", False),
        ("postgresql://127.0.0.1,localhost/router", False),
        ("postgresql://127.0.0.1,db/router", True),
        ("postgresql:///router", False),
    ],
)
def test_a_way_that_may_not_be_encrypted_is_said_aloud(base: str, tmp_path: Path, url: str, *, warned: bool) -> None:
    settings = load_text(base.replace("sqlite:///directory.db", url), {}, folder=tmp_path)
    assert any(warning.path == "directory.url" for warning in settings.warnings) is warned
