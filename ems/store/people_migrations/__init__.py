"""The steps that bring the tables of accounts to their newest form."""
