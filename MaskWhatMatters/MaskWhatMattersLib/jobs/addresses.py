"""Addresses of Dask schedulers: what can be used, what is safe, and what to say otherwise."""

from __future__ import annotations

import ipaddress
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlsplit

from MaskWhatMattersLib.errors import ConsentRequiredError, InputError

_EXAMPLE = 'such as "tls://gpu-server.hospital.org:8786"'
_TYPE_IT = f"Type it {_EXAMPLE}."


@dataclass(frozen=True)
class SchedulerAddress:
    """Where a scheduler listens, and with which credentials it is reached."""

    scheme: str
    host: str
    port: int

    def __str__(self) -> str:
        host = f"[{self.host}]" if ":" in self.host else self.host
        return f"{self.scheme}://{host}:{self.port}"

    @property
    def is_loopback(self) -> bool:
        """Whether data sent there stay on this computer."""
        if self.host == "localhost":
            return True
        try:
            return ipaddress.ip_address(self.host).is_loopback
        except ValueError:
            return False


def parse_address(text: str) -> SchedulerAddress:
    """Read an address that a person typed.

    Raises:
        InputError: It is no usable address; the message says what to type.
    """
    typed = text.strip()
    if "://" not in typed:
        raise InputError(
            f'The scheduler address has no scheme; found "{typed}". Start it with tls:// (or tcp:// on a network that '
            f"you trust), {_EXAMPLE}."
        )
    try:
        parts = urlsplit(typed)
        scheme, host, port = parts.scheme, parts.hostname or "", parts.port
    except ValueError as error:
        raise InputError(f'The scheduler address cannot be read: {error}; found "{typed}". {_TYPE_IT}') from None
    if scheme not in ("tls", "tcp"):
        raise InputError(f'The scheduler address must begin with tls:// or tcp://; found "{scheme}://". {_TYPE_IT}')
    if not host or parts.path or parts.query or parts.username:
        raise InputError(f'The scheduler address must be scheme, host and port only; found "{typed}". {_TYPE_IT}')
    if not port:
        raise InputError(
            f'The scheduler address has no port; found "{typed}". Add the one that the scheduler prints when it '
            f"starts, usually :8786, {_EXAMPLE}."
        )
    if _is_unspecified(host):
        raise InputError(
            f"{host} is not an address that can be reached: a scheduler listening there listens on every network; "
            f'found "{typed}". Give the name or address of the computer it runs on, or 127.0.0.1 for this one, and '
            "start the scheduler with that --host."
        )
    return SchedulerAddress(scheme, host, port)


def require_tls_files(address: SchedulerAddress, files: dict[str, Path | str | None]) -> tuple[Path, Path, Path] | None:
    """Check the credentials against the scheme.

    Args:
        address: The scheduler.
        files: Files by what they are: CA, certificate, key.

    Returns:
        The three files in that order; None for an address without encryption.

    Raises:
        InputError: A file is missing, or given although the address is not encrypted.
    """
    given = {name: Path(file) for name, file in files.items() if file}
    if address.scheme == "tcp" and given:
        raise InputError(
            f"TLS files were given for {address}, which is not encrypted. Write tls:// instead of tcp://, or leave out "
            f"the {', '.join(given)}."
        )
    if address.scheme == "tls" and (missing := sorted(files.keys() - given.keys())):
        raise InputError(
            f"{address} needs TLS files; the {', '.join(missing)} is not given. Ask whoever runs the scheduler for the "
            "CA, certificate and key files (PEM)."
        )
    if absent := [f"{name} {file}" for name, file in given.items() if not file.is_file()]:
        raise InputError(f"TLS files do not exist: {', '.join(absent)}. Choose existing PEM files.")
    return (given["CA"], given["certificate"], given["key"]) if given else None


def require_consent(address: SchedulerAddress, consent_to_send_pixels: bool) -> None:
    """Make sure that somebody agreed before image data leave this computer.

    Raises:
        ConsentRequiredError: Nobody did.
    """
    if consent_to_send_pixels or address.is_loopback:
        return
    protection = "encrypted" if address.scheme == "tls" else "NOT encrypted"
    raise ConsentRequiredError(
        f"Running on {address} sends the image's pixels to another computer ({protection}); nobody has agreed to that "
        "yet. Agree if you may share these images with that computer, or run on this computer."
    )


def _is_unspecified(host: str) -> bool:
    try:
        return ipaddress.ip_address(host).is_unspecified
    except ValueError:
        return host in ("0", "*")
