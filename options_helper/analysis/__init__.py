"""Arithmetic of the book: contract symbols, marks, tables and the headline."""
