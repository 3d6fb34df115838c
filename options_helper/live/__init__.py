"""The dashboard's process: one run of streams for all tabs, and its P&L history."""
