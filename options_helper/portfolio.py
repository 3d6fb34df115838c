"""What the user holds, as written down in `portfolio.json`; read, never written."""
