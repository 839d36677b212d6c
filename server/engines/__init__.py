"""The runtimes that execute a version, behind one contract."""
