"""The commands of the terminal, and what they draw with."""
