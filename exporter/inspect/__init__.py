"""Looking at what is published: tables, reports, and what is wrong with it."""
