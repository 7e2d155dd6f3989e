"""``serve``: errors before it listens. tests/daemon and tests/web test the rest."""

from __future__ import annotations

import socket

from command_line import CommandLine


def test_a_missing_certificate_is_a_configuration_error(cli: CommandLine) -> None:
    cli.configure({"web": {"listen": "127.0.0.1:0", "tls": {"cert_file": "/nowhere.pem", "key_file": "/nowhere.key"}}})
    served = cli("serve")
    assert (served.returncode, served.stdout) == (78, "")
    assert served.stderr.endswith("web.tls: /nowhere.pem cannot be read: No such file or directory\n")


def test_a_busy_port_is_an_error_sentence(cli: CommandLine) -> None:
    with socket.create_server(("127.0.0.1", 0)) as busy:
        address = f"127.0.0.1:{busy.getsockname()[1]}"
        cli.configure({"web": {"listen": address}})
        served = cli("serve")
    assert served.returncode == 69
    assert f"Error: web.listen: cannot listen on {address}: another program " in served.stderr
