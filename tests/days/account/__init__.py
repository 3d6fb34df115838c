"""The account of a trading day: what happens to it, how it is asked over a bad network, and what must be true of it."""
