"""Temporary TLS credentials: only who can read this user's private folder may talk to the worker."""

from __future__ import annotations

import datetime
import ipaddress
import os
from pathlib import Path

from MaskWhatMattersLib.errors import JobError

CERTIFICATE_FILE = "certificate.pem"
KEY_FILE = "key.pem"


def write_credentials(folder: Path) -> None:
    """Write a self-signed certificate and its key, readable by the owner only.

    Both ends use the same pair and trust nothing else, so that each proves to the other that it can read the folder.

    Raises:
        JobError: The package `cryptography` is not installed.
    """
    try:
        from cryptography import x509
        from cryptography.hazmat.primitives import hashes, serialization
        from cryptography.hazmat.primitives.asymmetric import ec
        from cryptography.x509.oid import NameOID
    except ImportError as error:
        raise JobError(
            'The connection to the worker cannot be protected: the Python package "cryptography" is not installed.',
            hint="Install cryptography; Check setup does it for you.",
        ) from error
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "MaskWhatMatters worker")])
    now = datetime.datetime.now(datetime.UTC)
    certificate = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - datetime.timedelta(days=1))  # the clock may be set back while a worker runs
        .not_valid_after(now + datetime.timedelta(days=365))
        .add_extension(x509.SubjectAlternativeName([x509.IPAddress(ipaddress.ip_address("127.0.0.1"))]), critical=False)
        .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
        .sign(key, hashes.SHA256())
    )
    _write_private(folder / CERTIFICATE_FILE, certificate.public_bytes(serialization.Encoding.PEM))
    _write_private(
        folder / KEY_FILE,
        key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()),
    )


def _write_private(path: Path, content: bytes) -> None:
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    with os.fdopen(descriptor, "wb") as file:
        file.write(content)
