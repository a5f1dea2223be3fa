"""``umbel health ADDRESS``: ask a worker's probe address, without importing any app."""

from __future__ import annotations

import click

from umbel.worker.services.health import probe

__all__ = ["health"]


@click.command()
@click.argument("address")
@click.option("--live", is_flag=True, help="Ask whether it runs, not whether it takes messages.")
@click.option("-t", "--timeout", default=1.0, show_default=True, help="Seconds.")
def health(address: str, live: bool, timeout: float) -> int:
    """Exit with 0 when the worker at ADDRESS (host:port or socket path) is well, else with 69."""
    status = probe(address, "/live" if live else "/ready", timeout)
    click.echo({200: "OK", 0: "No answer"}.get(status, f"Not ready (HTTP {status})"))
    return 0 if status == 200 else 69  # noqa: PLR2004 - HTTP OK
