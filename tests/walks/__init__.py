"""Random walks of the machine through worlds that lose, delay, double and kill: ``python -m tests.walks --events N --seed S``."""
