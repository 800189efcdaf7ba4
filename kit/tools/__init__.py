"""Commands for maintainers; no other package imports them."""
