"""Small models with random parameters, as other people's libraries build them.

Each library is imported by the functions that need it, so that the list of models needs none.
"""
