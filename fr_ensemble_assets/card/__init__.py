"""The model card: what the evidence says, in words, tables and pictures."""
