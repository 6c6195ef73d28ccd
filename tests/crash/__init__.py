"""Agents that are killed at every durable write and every message, and what must be true once they have come back.

``python -m tests.crash`` kills at every point and prints a table; ``test_crash.py`` is its short form. A *point* is a place in an agent's
process just before, inside or just after a transaction, before or after a message or its answer, before or after an effect of a step.
``plants.py`` has faults that it must notice.
"""
