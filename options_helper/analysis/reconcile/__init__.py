"""The portfolio file beside the account: structures, differences, and the edits that mend the file.

In: a `Portfolio`, the account's positions and executions. Out: rows and proposed text; nothing is written.
Imports `model`.
"""

from typing import Final

# What others may use, by module; a test holds them to it.
PUBLIC: Final = {
    "account_book": ("AccountBook", "book_after", "with_later"),
    "account_import": (
        "doubtful_roots",
        "import_portfolio",
        "portfolio_text",
    ),
    "contract_check": ("NamedContract", "named_contracts", "record_findings", "share_findings"),
    "grouping": ("group_entries",),
    "portfolio_check": (
        "CORRECT_AS_OF",
        "REMOVE_AS_OF",
        "ahead",
        "CostDoubt",
        "cost_doubts",
        "expired_by",
        "findings",
        "has_expired",
        "judged_as_of",
        "judged_costs",
        "picture",
    ),
    "reconciliation": (
        "Behind",
        "ReconciledRow",
        "Reconciliation",
        "file_behind",
        "proposed_edit",
        "reconcile",
    ),
}
SHARED: Final = {
    "account_import": ("NotImportableError", "entry_of", "opening_price"),
}
