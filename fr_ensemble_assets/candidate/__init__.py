"""Stage 8: a folder that verifies by itself, and the diff that a person applies elsewhere."""
