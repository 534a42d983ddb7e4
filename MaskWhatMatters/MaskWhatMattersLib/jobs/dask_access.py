"""The few calls that open Dask: its own annotations are partial, so its objects pass as `Any` beyond this file."""

from __future__ import annotations

from pathlib import Path
from typing import Any

Client = Any
"""A `distributed.Client`."""

Future = Any
"""A `distributed.Future`."""


def tls_security(ca: Path, certificate: Path, key: Path) -> Any:
    """Settings of a Dask client, scheduler or worker that speaks TLS and nothing else."""
    from distributed import Security

    roles = ("client", "scheduler", "worker")
    certificates = {f"tls_{role}_cert": str(certificate) for role in roles}
    keys = {f"tls_{role}_key": str(key) for role in roles}
    return Security(require_encryption=True, tls_ca_file=str(ca), **certificates, **keys)  # type: ignore[no-untyped-call]


def open_client(address: str, security: Any, timeout_s: float, *, direct: bool | None = None) -> Client:
    """Connect to a scheduler, without becoming the default of whatever else uses Dask in this process.

    Args:
        address: Of the scheduler.
        security: From `tls_security`; None without TLS.
        timeout_s: Longest wait, s.
        direct: Exchange data with the workers without a detour over the scheduler; it needs a network that allows it.

    Raises:
        OSError: Nothing answers in time.
    """
    import distributed

    return distributed.Client(  # type: ignore[no-untyped-call]
        address, security=security, timeout=timeout_s, set_as_default=False, direct_to_workers=direct
    )
