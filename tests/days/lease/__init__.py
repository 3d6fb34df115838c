"""A desk with several owners: the server, the programs, and what must be true of what is stored."""
