"""Who knows everything, and what has to be true of the product at every moment."""
