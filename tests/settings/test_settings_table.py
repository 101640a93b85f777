"""The table of settings for the README has every setting, its default and its meaning."""

from __future__ import annotations

from dataclasses import fields

from router.directory.options import DirectoryOptions
from router.directory.postgres.options import PostgresOptions
from router.gateway.options import GatewayOptions
from router.settings.describe import settings_table
from router.settings.directory_table import DirectoryTable
from router.settings.notation import Table
from router.settings.schema import GatewayTable, LimitsTable, TimeoutsTable, UpstreamTable
from router.settings.walk import is_table, item_of, settings_of, unwrap


def rows() -> list[list[str]]:
    return [line.strip("| ").replace("\\|", "¦").split(" | ") for line in settings_table().splitlines()[2:]]


def all_tables(table: type[Table]) -> list[type[Table]]:
    return [table, *(sub for child in table.__subclasses__() for sub in all_tables(child))]


def test_every_setting_of_the_schema_has_a_row() -> None:
    shown = {row[0].strip("`").rpartition(".")[2] for row in rows()}
    for table in all_tables(Table):
        for name, annotation in settings_of(table).items():
            item = item_of(annotation)
            if not is_table(unwrap(annotation if item is None else item)):
                assert name in shown, f"{table.__name__}.{name}"


def test_every_row_has_a_value_a_default_and_a_meaning() -> None:
    for row in rows():
        assert len(row) == 4, row
        assert all(cell.strip() for cell in row), row


def test_no_setting_has_two_rows() -> None:
    names = [row[0] for row in rows()]
    assert len(names) == len(set(names))


def test_defaults_are_shown_as_they_are_written() -> None:
    shown = {row[0].strip("`"): row[2] for row in rows()}
    assert shown["gateway.listen"] == "`127.0.0.1:8080`"
    assert shown["gateway.timeouts.head"] == "`10`"
    assert shown["gateway.limits.max_body"] == "–"
    assert shown["directory.url"] == "`sqlite:///directory.db`"
    assert shown["identify.workspace_id"] == "`[0-9a-f]{24}`"
    assert shown["policy.unknown_workspace"] == "`home`"


def test_every_option_of_the_gateway_can_be_set() -> None:
    settable = {f"{name}_timeout" for name in TimeoutsTable.model_fields}
    settable |= set(LimitsTable.model_fields) | set(UpstreamTable.model_fields)
    tables = {"tls", "timeouts", "limits", "upstream"}
    of_the_process = {"listen", "proxy_protocol", "drain_delay"}
    settable |= {"cors", "log_sample", "trace_sample"} | set(GatewayTable.model_fields) - tables - of_the_process
    assert settable == {field.name for field in fields(GatewayOptions)}


def test_every_option_of_the_directory_can_be_set() -> None:
    options = {field.name for kind in (DirectoryOptions, PostgresOptions) for field in fields(kind)}
    assert options == set(DirectoryTable.model_fields) - {"id", "locks"}
