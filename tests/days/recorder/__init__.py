"""The recorder of a trading day: a process that may be killed at any step, its disk, and what its files must hold."""
