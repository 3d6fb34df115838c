"""An ingestion: who is asked, the program, its disk, and what must be true of what is stored."""
