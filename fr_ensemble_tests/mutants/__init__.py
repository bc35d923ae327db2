"""``make mutants``: is there a test that fails when the code is wrong?

Mutants come from cosmic-ray's operators and two of ours. Each lives in the memory of a forked
process alone: the tests of its module run there with ``-x``, and no file on disk ever changes.
"""
