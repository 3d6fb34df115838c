"""The world around the product: what is really so, whatever the product hears of it."""
