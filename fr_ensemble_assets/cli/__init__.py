"""The command line: ``fr-ensemble`` and what it prints."""
