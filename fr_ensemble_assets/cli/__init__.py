"""The command line: ``fr-ensemble run``, ``gate``, ``propose``, ``ui``."""
