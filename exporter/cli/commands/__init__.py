"""The commands, one module each: module ``NAME`` defines the click command ``NAME``.

``exporter.cli`` finds a module by its name and imports it when its command runs. The modules import other packages of
ours inside functions, so that ``--help`` and shell completion, which need every command, stay fast.
"""
