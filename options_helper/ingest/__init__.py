"""Market data asked for at steady times: what is due, who is asked, and where the answers are kept.

In: a portfolio, a folder, the time. Out: files of whole windows and the ledger that says which are there.
Imports `data` and `model`.
"""

from typing import Final

# What others may use, by module; a test holds them to it.
PUBLIC: Final[dict[str, tuple[str, ...]]] = {}
