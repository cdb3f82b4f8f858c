"""Moving threads: between stores, out of ZeroGraph's own files, to one file and back."""
