"""Random walks of the machine: ``python -m tests.walks --events N --seed S``, ``--regress``, ``--mutants``.

Walked: random graphs, flags and limits; lost, late, doubled and reordered messages; agents that die, hang, and have wrong clocks; homes
that crash between a save and its effects, or lose a race; late timers; moves of the lease with maintainer-bound sub-tasks; every
request at random moments, granted and refused; pauses, approvals, automatic retries. With ``--regress``: stores that lose up to ten
commits, agents that answer a recall late or after patience has passed, several regresses of one dag. At the end of each world nothing
fails any more, the dag must settle, and what the agents truly did must be what the home believes.

Not walked: twins (two dags that lead each other), dags that vanish whole with the store, a home that forgets before an agent does,
locks between dags. Argued, and not shown necessary by a mutant: that what is bound to the maintainer is unsure while any agent is silent.
What truly happened is not compared with the home any more after a person passed or skipped something that a regress had made uncertain.
"""
