"""Moving threads: between stores, out of ZeroGraph's own files, to one file and back.

A thread is moved whole or not at all. The way of one, each step a file:

1. ``reading``: a thread is read page by page, until what was read is the thread as it was at one moment.
2. ``image``: so it is here whole, as it is stored, out of memory. ``engine`` makes the same of ZeroGraph's own tables,
   ``frames`` of a file.
3. ``contents``: every checkpoint and write is read and checked, and becomes a digest.
4. ``reading`` again: the pages are staged at the destination, where nobody sees them, and published at once.
   ``relaying`` makes two logs of many first.
5. ``moves``: what is there now is read back, and both are compared. ``outcomes`` says what became of it.

``archive`` writes and reads files, of the ``blocks`` that make any damage known; ``exports`` fills one.
"""
