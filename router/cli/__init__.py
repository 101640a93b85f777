"""The command line `region-router`: people and scripts on one side, the rooms' own functions on the other.

The laws of the room: a command decides nothing that a gateway decides too, it calls what the gateway calls. What is
data goes to stdout, what is said about it to stderr; `--json` makes the data one object, or one a line. Whatever goes
wrong is told in one line each, all at once, and the exit code is 2. No credential is read from an argument (but in the
request that `resolve` explains), and none is ever printed.

- `commands`: the table of all commands, from which each is loaded only when it is run; `entry`: the whole program,
  from arguments to an exit code; `errors`: what goes wrong → lines and exit code.
- `options`, `output`, `session`: what commands share: their options, how values are shown, settings and directory.
- `configuration`, `serving`, `health`, `touring`: check-config, serve, healthcheck, demo.
- `maintenance`: the directory as a whole.
- `workspaces`, `importing` (with `rows`), `keys`, `transfers`, `watching`, `gateways`: what is in it. They have it done
  at a `desk`: `here` on this machine's directory, `there` by a control API (`api_client`); `shown` is what they show.
- `resolving`: a request walked through without a gateway; `explaining` says why each step went as it did.
"""

from router.cli.entry import main

__all__ = ["main"]
