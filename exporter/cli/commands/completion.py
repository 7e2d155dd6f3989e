"""``completion``: print a shell's completion script."""

from __future__ import annotations

import click

from exporter.cli import options
from exporter.cli.options import examples
from exporter.cli.output import print_file


@click.command(
    epilog=examples(
        "completion bash >~/.local/share/bash-completion/completions/openclaw-auth-exporter",
        "completion zsh >~/.zfunc/_openclaw-auth-exporter",
        "completion fish >~/.config/fish/completions/openclaw-auth-exporter.fish",
    )
)
@click.argument("shell", type=click.Choice(["bash", "zsh", "fish"]))
@options.ignored_config_option
def completion(shell: str) -> None:
    """Print the script that completes commands, options and names in SHELL.

    For this session: `eval "$(openclaw-auth-exporter completion bash)"`. docs/install.md describes how to keep it.
    """
    from exporter.cli import shells

    print_file(shells.script(shell))
