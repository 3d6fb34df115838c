"""Frozen values and the exchange's calendar: what everything talks about; imports errors only."""
