"""The backends: what answers the requests of the core.

- ``redis``: a server, Sentinel or a cluster, through the scripts in ``lua``
- ``sqlite``: a file, or memory
"""
