"""The markets it plays: made up or recorded, with an account."""
