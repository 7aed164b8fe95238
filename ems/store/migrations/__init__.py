"""How the tables came to be, one step per file; run by `Store.open`, never by hand."""
