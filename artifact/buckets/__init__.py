"""Versions in object stores (`gs://`, `s3://`) and on the hub (`hf://`).

A version has the same files there as in a directory. Its manifest is written last: without one
there is no version. What is read is compared with the manifest's digests before anybody sees it.
"""
