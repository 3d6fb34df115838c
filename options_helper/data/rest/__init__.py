"""Alpaca's REST interface, read-only: the client, its pace, and what is read of its answers."""
