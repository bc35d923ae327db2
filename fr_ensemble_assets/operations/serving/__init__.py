"""Dagster's three services over one home: started, kept alive, ended without a trace.

``supervisor`` starts and watches them, ``services`` says what each is and how it is told that it
is ready, ``sessions`` ends whatever they left, ``lock`` sees to it that a home is served once and
says where.
"""
