"""The commands `make serve`, `status`, `deploy-config`, `monitor` and `stop`: what they do and print.

Each returns an exit status: 0 for success, 1 if the service failed or has a problem, 2 if nothing was started
or changed.
"""

import difflib
import os
import shlex
import signal
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import NoReturn

from digits.errors import InvalidSettings, NotReady
from digits.local.api import Service, State, as_lines
from digits.local.config import changed_at_start, check_gateway, read_config
from digits.local.instance import Instance
from digits.local.monitor import DASHBOARD, prometheus_command, prometheus_port
from digits.local.processes import end_all
from digits.local.runner import Runner, Stopped, ready_line, signals_raise
from digits.local.schema import check_by_rays_schema

Say = Callable[[str], object]
DEPLOY_WITHIN_S = 120.0
STOP_WITHIN_S = 15.0
RAYS_NAME = "default"  # of an application that has none
SETTLED_S = 2.0  # Ray reports the old state for a moment after a deploy


def serve(file: Path, port: int | None, haproxy: bool, say: Say) -> int:
    """Runs the service until Ctrl-C, `make stop`, or the end of Ray."""
    config = read_config(file, port)
    check_gateway()
    instance = Instance(config["http_options"]["port"])
    runner = Runner(instance, config, haproxy)
    with signals_raise():
        driver = None
        try:
            driver = runner.start()
            say(f"Starting {file} on port {instance.port}; Ray's output is in {os.path.relpath(runner.log)}")
            ready = runner.wait_until_ready(driver)
            raylet = instance.raylet()  # before the line below: it may end as soon as that is read
            say(ready)
            reason = runner.wait(driver, raylet)
            say(f"The service has ended: {reason}; see {os.path.relpath(runner.log)}")
            return 1
        except NotReady as error:
            say(f"The service did not start: {error}")
            return 1
        except Stopped:
            return 0
        finally:
            if driver:
                runner.end(driver)
                say("Stopped")


def status(port: int, say: Say) -> int:
    """Prints what runs, and what is wrong."""
    instance = Instance(port)
    service = Service(instance)
    ready, state, silence = service.ready(), None, ""
    try:
        state = service.state()
    except NotReady as error:
        if not instance.runner():
            raise
        silence = f"Ray's dashboard: {error}"
    if ready:
        say(ready_line(instance, ready["model"], state.replicas if state else None))
        if ready["warning"]:
            say(f"Warning: {ready['warning']}")
    else:
        say(f"Nothing answers at {instance.url}")
    if silence and ready:
        say(f"{silence}; requests do not need it, make deploy-config does: make stop, then make serve")
    elif silence:
        say(f"{silence}; if the service does not just start, see {os.path.relpath(instance.log)}")
    if state:
        say(f"Ray Serve: {state.status}{f': {state.reason}' if state.reason else ''}")
        if ready and state.status == "DEPLOY_FAILED":
            say("What was deployed before answers; correct the configuration, then make deploy-config")
    say(f"Dashboard: {instance.dashboard} (token: {instance.token_file})")
    say(f"Metrics:   http://127.0.0.1:{instance.ports['metrics']}/metrics")
    return 0 if ready and state and state.status == "RUNNING" and not ready["warning"] else 1


def deploy(file: Path, port: int | None, say: Say) -> int:
    """Checks a configuration, prints the difference, deploys it and prints the result.

    Options that Ray reads only when it starts are named at the end, with status 1: they are not applied.
    """
    config = read_config(file, port)
    instance = Instance(config["http_options"]["port"])
    service = Service(instance)
    before = service.state()
    try:
        wanted = {one.get("name", RAYS_NAME): one for one in check_by_rays_schema(config)}
    except InvalidSettings as error:
        raise InvalidSettings(f"{file}, {error}") from None
    running = {before.config.get("name", RAYS_NAME): before.config} if before and before.config else {}
    last = "failed" if before and before.status == "DEPLOY_FAILED" else "running"
    difference = list(
        difflib.unified_diff(as_lines(running), as_lines(wanted), last, str(file), lineterm="", n=1)
    )
    unapplied = ", ".join(changed_at_start(instance.started_with(), config))
    if not difference and not unapplied:
        say(
            f"{file} is already running" if last == "running" else f"{file} is what failed; it is tried again"
        )
    for line in difference:
        say(line)
    service.put(config)
    time.sleep(SETTLED_S)
    state: State | None = None
    deadline = time.monotonic() + DEPLOY_WITHIN_S
    while time.monotonic() < deadline:
        with suppress(NotReady):
            state, ready = service.state(), service.ready()
            if state and state.status == "DEPLOY_FAILED":
                say(f"Failed: {state.reason}; what ran before keeps answering")
                return 1
            if state and state.status == "RUNNING" and not state.changing and ready:
                say(ready_line(instance, ready["model"], state.replicas))
                if ready["warning"]:
                    say(f"Warning: {ready['warning']}")
                if unapplied:
                    say(
                        f"Not applied: {unapplied}; Ray reads this at a start only: make stop, then make "
                        f"serve with {file}"
                    )
                return 1 if ready["warning"] or unapplied else 0
        time.sleep(0.5)
    reason = (state.reason if state else "") or "see make status"
    say(f"Not done after {DEPLOY_WITHIN_S:g} s: {reason}; what ran before keeps answering")
    return 1


def stop(port: int, say: Say) -> int:
    """Stops the service, and processes that an earlier one left behind.

    Without /proc, as on macOS, only the command that started the service is found; it stops the others.
    """
    instance = Instance(port)
    runner, found = instance.runner(), instance.running()
    if not (runner or found):
        instance.remove()
        say(f"No service of yours runs on port {port}")
        return 0
    if runner:
        with suppress(ProcessLookupError):
            os.kill(runner, signal.SIGTERM)
    deadline = time.monotonic() + (STOP_WITHIN_S if runner else 0)
    while (instance.runner() or instance.running()) and time.monotonic() < deadline:
        time.sleep(0.1)
    end_all(instance.running)
    instance.remove()
    say(f"Stopped {len(found)} processes on port {port}" if found else f"Stopped the service on port {port}")
    return 0


def environment(port: int, say: Say) -> int:
    """Prints export commands with which `serve ...` reaches the service, for eval."""
    for name, value in Instance(port).client_environment().items():
        say(f"export {name}={shlex.quote(value)}")
    return 0


def monitor(port: int, say: Say) -> NoReturn:
    """Replaces this process by Prometheus, which scrapes the service and evaluates the alerts."""
    instance = Instance(port)
    own_port = prometheus_port(instance)
    folder = instance.log.with_suffix(".prometheus")
    command = prometheus_command(folder, instance.ports["metrics"], own_port)
    say(f"Prometheus: http://127.0.0.1:{own_port}/alerts (data in {os.path.relpath(folder)}); Ctrl-C ends it")
    say(f"Grafana: add it as a data source and import {os.path.relpath(DASHBOARD)}")
    os.execvp(command[0], command)


def explained(command: Callable[[], int], say: Say) -> int:
    """Runs a command; prints its expected errors in one line and returns status 2 for them."""
    try:
        return command()
    except (InvalidSettings, NotReady) as error:
        say(f"Error: {error}")
        return 2
