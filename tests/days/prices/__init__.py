"""Prices over REST: whose are asked for when, and what is shown of the answers."""
