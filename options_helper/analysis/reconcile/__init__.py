"""The portfolio file beside the account: structures, differences, and the edits that mend the file."""
