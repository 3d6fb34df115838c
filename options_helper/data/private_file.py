"""Read a file that holds secrets: it is its owner's alone, or it is refused."""

from __future__ import annotations

import os
import stat
from pathlib import Path
from typing import Final

from options_helper.errors import ConfigError

_FOR_OTHERS: Final = stat.S_IRWXG | stat.S_IRWXO


def read_private_text(path: Path, what: str) -> str | None:
    """The file's text; None where there is no file. ConfigError, a sentence, where others may read the secrets.

    `what` says in the plural what is secret of it: "keys".
    """
    try:
        # Of the open file, so that it is the one that is read.
        with path.open("rb") as file:
            if os.name != "nt" and os.fstat(file.fileno()).st_mode & _FOR_OTHERS:
                raise ConfigError(
                    f"{path.name} holds {what} that are secrets, and others on this computer may read it. "
                    f"Make it yours alone: chmod 600 {path}"
                )
            return file.read().decode("utf-8-sig")
    except FileNotFoundError:
        return None
    except OSError as error:
        raise ConfigError(
            f"Cannot read {path.name}: {error.strerror}. Make it a readable text file."
        ) from None
    except UnicodeDecodeError:
        raise ConfigError(f"Cannot read {path.name}: it is not UTF-8 text. Save it as UTF-8.") from None
