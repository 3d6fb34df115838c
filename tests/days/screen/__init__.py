"""The page on a streams day: a book that is held, its screen as the page makes it, and what is true of each figure."""
