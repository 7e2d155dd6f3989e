"""A certificate authority of the openssl command, for tests of TLS."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

import pytest

#: The subject alternative names of a server.
NAMES = "IP:127.0.0.1,DNS:localhost"
EC = ("-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1")
needs_openssl = pytest.mark.skipif(shutil.which("openssl") is None, reason="the openssl command is not installed")


def openssl(*words: str | Path) -> None:
    subprocess.run(["openssl", *map(str, words)], check=True, capture_output=True)


class Authority:
    """A CA in a directory. It signs certificates for 127.0.0.1."""

    def __init__(self, folder: Path) -> None:
        folder.mkdir()
        self.folder = folder
        self.cert, self.key = folder / "ca.pem", folder / "ca.key"
        subject = ("-subj", f"/CN={folder.name}", "-days", "2")
        use = ("-addext", "keyUsage=critical,keyCertSign")  # without it, Python 3.13 trusts no CA
        openssl("req", "-x509", *EC, "-nodes", *subject, *use, "-keyout", self.key, "-out", self.cert)

    def issue(
        self, name: str, key: tuple[str, ...] = (), common_name: str = "localhost", names: str = NAMES
    ) -> tuple[Path, Path]:
        """Certificate and key files."""
        cert, secret, request = (self.folder / f"{name}.{kind}" for kind in ("pem", "key", "csr"))
        extensions = self.folder / "extensions"
        extensions.write_text(f"subjectAltName={names}\nauthorityKeyIdentifier=keyid\nsubjectKeyIdentifier=hash\n")
        openssl(
            "req", "-new", *(key or EC), "-nodes", "-subj", f"/CN={common_name}", "-keyout", secret, "-out", request
        )
        signed = ("-CA", self.cert, "-CAkey", self.key, "-CAcreateserial", "-days", "2")
        openssl("x509", "-req", "-in", request, *signed, "-extfile", extensions, "-out", cert)
        return cert, secret
