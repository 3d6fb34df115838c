"""The simulator's REST interface: a request in, an answer out.

Imports `market`, `wire`, `model` and `settings`.
"""

from typing import Final

# What the neighbours inside this subject use, and nobody else.
SHARED: Final = {
    "http": ("PlainHttp", "REFUSED", "json_response", "offered_keys"),
}
