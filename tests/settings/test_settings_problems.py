"""Each kind of problem in a configuration is one line that names the place, the fault and the mend."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from pathlib import Path

    from tests.settings.conftest import ProblemsOf

# What is changed in the base configuration, what it becomes, and the one problem that follows.
CASES = {
    "unknown section": ("[ops]", "[opps]", "opps: there is no such setting; mend: did you mean ops?"),
    "unknown setting": (
        'home = "global"',
        'hom = "global"',
        "policy.hom: there is no such setting; mend: did you mean home?",
    ),
    "unknown setting of a service": (
        'path = "/api"',
        'path = "/api"\nacton = "redirect"',
        "services.api.acton: there is no such setting; mend: did you mean action?",
    ),
    "unknown setting like no other": (
        "[ops]",
        "[ops]\nzzz = 1",
        "ops.zzz: there is no such setting; mend: known here: listen",
    ),
    "text where a list belongs": (
        'listen = ["127.0.0.1:9090"]',
        'listen = "127.0.0.1:9090"',
        "ops.listen: must be a list",
    ),
    "empty list of listeners": ('listen = ["127.0.0.1:9090"]', "listen = []", "ops.listen: there is no listener"),
    "number where text belongs": ('path = "/api"', "path = 3", "services.api.path: must be text"),
    "boolean where a number belongs": (
        "[ops]",
        "limits.pool_size = true\n[ops]",
        "gateway.limits.pool_size: must be a whole number",
    ),
    "fraction where a whole number belongs": (
        "[ops]",
        "limits.pool_size = 2.5\n[ops]",
        "gateway.limits.pool_size: must be a whole number",
    ),
    "negative time": ("[ops]", "timeouts.head = -1\n[ops]", "gateway.timeouts.head: must be more than 0"),
    "endless time": ("[ops]", "timeouts.head = inf\n[ops]", "gateway.timeouts.head: must be a finite number"),
    "no number at all": ("[ops]", "timeouts.head = nan\n[ops]", "gateway.timeouts.head: must be a finite number"),
    "time of a month": ("[ops]", "timeouts.head = 2592000\n[ops]", "gateway.timeouts.head: must be 604800 or less"),
    "no connection": ("[ops]", "limits.pool_size = 0\n[ops]", "gateway.limits.pool_size: must be 1 or more"),
    "unknown choice": (
        'home = "global"',
        'home = "global"\nunknown_workspace = "guess"',
        "policy.unknown_workspace: is not one of the values that are known; mend: write 'home' or 'refuse'",
    ),
    "listener without port": ('"127.0.0.1:9090"', '"127.0.0.1"', 'ops.listen[0]: "127.0.0.1" is not host:port'),
    "listener without host": ('"127.0.0.1:9090"', '":9090"', "ops.listen[0]: the host is missing"),
    "listener without brackets": ('"127.0.0.1:9090"', '"::1:9090"', 'ops.listen[0]: "::1:9090" is not host:port'),
    "listener's port too large": ('"127.0.0.1:9090"', '"127.0.0.1:99999"', "ops.listen[0]: there is no port 99999"),
    "listener twice": (
        '"127.0.0.1:9090"',
        '"127.0.0.1:8080"',
        "ops.listen[0]: 127.0.0.1:8080 is taken by gateway.listen[0]",
    ),
    "listener under a wildcard": (
        '"127.0.0.1:9090"',
        '"0.0.0.0:8080"',
        "ops.listen[0]: 0.0.0.0:8080 is taken by gateway.listen[0]",
    ),
    "password with a slash": (
        "sqlite:///directory.db",
        "postgresql://user:hush/@db/router",
        "directory.url: this is not a URL of PostgreSQL",
    ),
    "PostgreSQL without a database": (
        "sqlite:///directory.db",
        "postgresql://user:hush@db",
        "directory.url: the URL names no database",
    ),
    "parameter that libpq does not know": (
        "sqlite:///directory.db",
        "postgresql://user:hush@db/router?colour=blue",
        "directory.url: libpq cannot read this URL",
    ),
    "replica of a file": (
        "[identify]",
        'replica_url = "postgresql://db/router"\n[identify]',
        "directory.replica_url: a directory in SQLite has no such thing",
    ),
    "other database": (
        "sqlite:///directory.db",
        "mysql://db/x",
        "directory.url: the URL of a directory starts with sqlite:///",
    ),
    "two slashes": (
        "sqlite:///directory.db",
        "sqlite://directory.db",
        "directory.url: the URL of a directory starts with sqlite:///",
    ),
    "no file": ("sqlite:///directory.db", "sqlite:///", "directory.url: the URL names no file"),
    "directory in memory": (
        "sqlite:///directory.db",
        "sqlite:///:memory:",
        "directory.url: a directory in memory could not be shared with the command line",
    ),
    "query behind the file": (
        "sqlite:///directory.db",
        "sqlite:///directory.db?mode=ro",
        "directory.url: the path of the directory's file has one of ?, #, % or a control character",
    ),
    "lease shorter than its renewal": (
        "[identify]",
        "lease = 1\n[identify]",
        "directory.lease: ends before it could be renewed once",
    ),
    "field larger than the head": (
        "[ops]",
        "limits.max_field = 70000\n[ops]",
        "gateway.limits.max_field: is more than max_head",
    ),
    "id pattern that is none": (
        "[identify]",
        '[identify]\nworkspace_id = "[z-a]{24}"',
        "identify.workspace_id: the pattern is not a regular expression",
    ),
    "template without id": (
        "[identify]",
        '[identify]\npaths = ["/workspaces/*"]',
        "identify.paths[0]: the template does not say where the id stands",
    ),
    "template without slash": (
        "[identify]",
        '[identify]\npaths = ["workspaces/{workspace}"]',
        "identify.paths[0]: a template starts with / and does not end with one",
    ),
    "template with two ids": (
        "[identify]",
        '[identify]\npaths = ["/{workspace}/{workspace}"]',
        "identify.paths[0]: {workspace} may stand once",
    ),
    "subdomains of one host": (
        '"*.clockify.me"\n',
        '"clockify.me"\n',
        'identify.subdomains: "clockify.me" is not a pattern of subdomains',
    ),
    "credential in a framing field": (
        "[identify]",
        '[identify]\napi_key_header = "Host"',
        'identify.api_key_header: "Host" frames or routes a request and is no credential',
    ),
    "field name with a blank": (
        "[identify]",
        '[identify]\napi_key_header = "X Api"',
        'identify.api_key_header: "X Api" is not the name of a header field',
    ),
    "home that is no region": (
        'home = "global"',
        'home = "globl"',
        'policy.home: there is no region "globl"; mend: did you mean global?',
    ),
    "match with a port": ("pto.api.clockify.me/v1", "pto.api.clockify.me:443/v1", "services.time-off.match[0]: "),
    "match with a query": ("clockify.me/v1", "clockify.me/v1?a", "services.time-off.match[0]: segment "),
    "match with an escape": ("clockify.me/v1", "clockify.me/v%31", "services.time-off.match[0]: segment "),
    "match with dot segments": (
        "clockify.me/v1",
        "clockify.me/../v1",
        "services.time-off.match[0]: a path has no dot segment",
    ),
    "match with two slashes": (
        "clockify.me/v1",
        "clockify.me//v1",
        "services.time-off.match[0]: a path has no empty segment (//)",
    ),
    "match with a star inside": ("pto.api", "pto.*", 'services.time-off.match[0]: "pto.*.clockify.me" has a * inside'),
    "match beyond ASCII": ("pto.api", "ptö.api", "services.time-off.match[0]: a host is plain ASCII"),
    "match without host": ("pto.api.clockify.me/v1", "/v1", "services.time-off.match[0]: the host is missing"),
    "equal matches": (
        "pto.api.clockify.me/v1",
        "Clockify.ME./api/",
        "services.time-off.match[0]: the same host and prefix as services.api.match[0]",
    ),
    "service without host": ('["pto.api.clockify.me/v1"]', "[]", "services.time-off.match: the service has no host"),
    "service without path": ('path = "/pto/v1"', "", "services.time-off.path: the service has no path"),
    "path without slash": ('path = "/pto/v1"', 'path = "pto"', "services.time-off.path: a path starts with /"),
    "service of an unknown region": (
        'path = "/pto/v1"',
        'path = "/pto/v1"\nregion = "eus"',
        'services.time-off.region: there is no region "eus"; mend: did you mean eu?',
    ),
    "service's name in capitals": ("[services.api]", "[services.API]", "services.API: the name cannot be used"),
    "region's name with a dot": ("[regions.eu]", '[regions."e.u"]', 'regions."e.u": the name cannot be used'),
    "region without origin": (
        'origin = "https://euc1.internal:8443"',
        "",
        "regions.eu.origin: the region has no origin",
    ),
    "region without public URL": (
        'public_url = "https://euc1.clockify.me"',
        "",
        "regions.eu.public_url: the region has no public URL",
    ),
    "origin with a path": (
        "euc1.internal:8443",
        "euc1.internal:8443/api",
        "regions.eu.origin: a URL here has no path, no query and no trailing slash",
    ),
    "origin with a user": (
        "euc1.internal:8443",
        "user:hush@euc1.internal",
        "regions.eu.origin: a URL here has no user and no password",
    ),
    "origin of another scheme": (
        "https://euc1.internal:8443",
        "ftp://euc1.internal",
        "regions.eu.origin: the scheme is neither http nor https",
    ),
    "origin without scheme": ("https://euc1.internal:8443", "euc1.internal", "regions.eu.origin: this is not a URL"),
    "origin with port 0": ("euc1.internal:8443", "euc1.internal:0", "regions.eu.origin: there is no port 0"),
    "origin beyond ASCII": ("euc1.internal", "eüc1.internal", "regions.eu.origin: a host is plain ASCII"),
    "origin with half an address": (
        "euc1.internal:8443",
        "1.2.3:8443",
        'regions.eu.origin: "1.2.3" is not an IPv4 address',
    ),
    "public URL with a path": (
        "https://euc1.clockify.me",
        "https://euc1.clockify.me/api",
        "regions.eu.public_url: a URL here has no path, no query and no trailing slash",
    ),
    "origin that is the gateway": (
        "https://euc1.internal:8443",
        "http://localhost:8080",
        "regions.eu.origin: is this gateway's own listener 127.0.0.1:8080",
    ),
    "override of an unknown service": (
        "services.time-off = {",
        "services.timeoff = {",
        'regions.global.services.timeoff: there is no service "timeoff"; mend: did you mean time-off?',
    ),
    "override that is the gateway": (
        'path = "/v1" }',
        'origin = "http://127.0.0.1:8080" }',
        "regions.global.services.time-off.origin: is this gateway's own listener 127.0.0.1:8080",
    ),
    "certificates that are not there": (
        "[regions.eu]",
        '[regions.eu]\ntls = { ca = "nowhere.pem" }',
        "regions.eu.tls.ca: the file cannot be read (no such file)",
    ),
    "certificates that are a folder": (
        "[regions.eu]",
        '[regions.eu]\ntls = { ca = "." }',
        "regions.eu.tls.ca: the file cannot be read (not a file)",
    ),
    "certificates without a path": (
        "[regions.eu]",
        '[regions.eu]\ntls = { ca = "" }',
        "regions.eu.tls.ca: the file's path is empty or not printable",
    ),
    "TLS that nothing uses": (
        "[regions.global]",
        '[regions.global]\ntls = { server_name = "x" }',
        "regions.global.tls: no https origin uses it",
    ),
    "label of two lines": (
        '"EU (Germany)"',
        '"EU\\nGermany"',
        "regions.eu.label: the text is empty, longer than 200 characters or not printable",
    ),
    "route without conditions": (
        "[services.api]",
        '[[policy.routes]]\naction = "proxy"\n[services.api]',
        "policy.routes[0]: the route fits everything",
    ),
    "route without outcome": (
        "[services.api]",
        '[[policy.routes]]\nmethod = "GET"\n[services.api]',
        "policy.routes[0]: the route changes nothing",
    ),
    "route with two outcomes": (
        "[services.api]",
        '[[policy.routes]]\nmethod = "GET"\naction = "proxy"\nregion = "eu"\n[services.api]',
        "policy.routes[0]: the route has an action and a region",
    ),
    "route of an unknown service": (
        "[services.api]",
        '[[policy.routes]]\nservice = "apis"\naction = "proxy"\n[services.api]',
        'policy.routes[0].service: there is no service "apis"; mend: did you mean api?',
    ),
    "route to an unknown region": (
        "[services.api]",
        '[[policy.routes]]\nservice = "api"\nregion = "mars"\n[services.api]',
        'policy.routes[0].region: there is no region "mars"; mend: known here: eu, global',
    ),
    "route with a method in lower case": (
        "[services.api]",
        '[[policy.routes]]\nmethod = "post"\naction = "proxy"\n[services.api]',
        'policy.routes[0].method: "post" is not a method; mend: write it in upper case, as in "POST"',
    ),
    "route with a broken template": (
        "[services.api]",
        '[[policy.routes]]\npath = "/a/../b"\naction = "proxy"\n[services.api]',
        "policy.routes[0].path: a template has no dot segment",
    ),
}


@pytest.mark.parametrize("name", CASES)
def test_each_problem_is_one_line_with_its_place_and_its_mend(name: str, base: str, problems_of: ProblemsOf) -> None:
    old, new, expected = CASES[name]
    assert old in base
    found = [str(problem) for problem in problems_of(base.replace(old, new, 1))]
    assert len(found) == 1, found
    assert found[0].startswith(expected)
    assert "; mend: " in found[0]
    assert found[0].isprintable()


def test_the_base_has_no_problem(base: str, problems_of: ProblemsOf) -> None:
    assert problems_of(base) == ()


@pytest.mark.parametrize(
    "section", ["gateway", "directory", "services", "regions", "services.api", "regions.eu.services"]
)
def test_a_value_where_a_table_belongs_is_one_problem(section: str, problems_of: ProblemsOf) -> None:
    found = [str(problem) for problem in problems_of(f"{section} = 3")]
    assert f"{section}: must be a table; mend: write [{section}] and its settings below" in found
    assert len([line for line in found if line.startswith((f"{section}:", f"{section}."))]) == 1


def test_nothing_at_all_lacks_services_and_regions(problems_of: ProblemsOf) -> None:
    assert [(problem.path, problem.text) for problem in problems_of("")] == [
        ("regions", "there is no region"),
        ("services", "there is no service"),
    ]


def test_a_key_without_its_certificate_is_a_problem(base: str, problems_of: ProblemsOf, tmp_path: Path) -> None:
    (tmp_path / "gw.key").write_text("key")
    text = base.replace("[regions.eu]", '[regions.eu]\ntls = { key = "gw.key" }')
    assert [problem.path for problem in problems_of(text)] == ["regions.eu.tls.cert"]
