"""Which scheduler addresses are accepted, and what the others are told."""

from __future__ import annotations

from pathlib import Path

import pytest

from MaskWhatMattersLib.errors import ConsentRequiredError, InputError
from MaskWhatMattersLib.jobs import SchedulerRunner
from MaskWhatMattersLib.jobs.addresses import parse_address


@pytest.mark.parametrize(
    ("address", "advice"),
    [
        ("gpu-server:8786", "no scheme.*tls://"),
        ("", "no scheme"),
        ("http://gpu-server:8786", "must begin with tls:// or tcp://"),
        ("tcp://gpu-server", "no port.*8786"),
        ("tcp://gpu-server:0", "no port"),
        ("tcp://gpu-server:99999", "cannot be read"),
        ("tcp://:8786", "host and port only"),
        ("tcp://gpu-server:8786/status", "host and port only"),
        ("tcp://0.0.0.0:8786", "every network.*127.0.0.1"),
        ("tcp://[::]:8786", "every network"),
        ("tcp://0:8786", "every network"),
    ],
)
def test_an_address_that_cannot_be_used_says_what_to_type(address: str, advice: str) -> None:
    with pytest.raises(InputError, match=advice):
        SchedulerRunner(address, consent_to_send_pixels=True)


@pytest.mark.parametrize(
    ("address", "loopback"),
    [
        ("tcp://127.0.0.1:8786", True),
        ("tcp://127.3.2.1:8786", True),
        ("tcp://localhost:8786", True),
        ("tls://[::1]:8786", True),
        ("tcp://192.168.1.7:8786", False),
        ("tls://gpu-server.hospital.org:8786", False),
        ("tls://localhost.hospital.org:8786", False),
    ],
)
def test_only_this_very_computer_is_loopback(address: str, loopback: bool) -> None:
    parsed = parse_address(f"  {address} ")
    assert parsed.is_loopback is loopback
    assert str(parsed) == address


@pytest.mark.parametrize("scheme", ["tcp", "tls"])
def test_pixels_leave_this_computer_only_with_consent(scheme: str, tmp_path: Path) -> None:
    files = pem_files(tmp_path) if scheme == "tls" else {}
    protection = "NOT encrypted" if scheme == "tcp" else r"\(encrypted\)"
    with pytest.raises(ConsentRequiredError, match=protection):
        SchedulerRunner(f"{scheme}://192.168.1.7:8786", **files)
    SchedulerRunner(f"{scheme}://192.168.1.7:8786", **files, consent_to_send_pixels=True).close()


def test_tls_needs_all_its_files(tmp_path: Path) -> None:
    files = pem_files(tmp_path)
    with pytest.raises(InputError, match="needs TLS files; the CA, key is not given"):
        SchedulerRunner("tls://127.0.0.1:8786", tls_cert=files["tls_cert"])
    files["tls_key"].unlink()
    with pytest.raises(InputError, match=r"do not exist: key .*tls_key.pem"):
        SchedulerRunner("tls://127.0.0.1:8786", **files)


def test_tls_files_for_an_address_without_tls_are_refused(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"not encrypted\. Write tls://"):
        SchedulerRunner("tcp://127.0.0.1:8786", **pem_files(tmp_path))


def pem_files(folder: Path) -> dict[str, Path]:
    files = {name: folder / f"{name}.pem" for name in ("tls_ca", "tls_cert", "tls_key")}
    for file in files.values():
        file.touch()
    return files
