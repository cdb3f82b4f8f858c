"""The state log: states are stored as segments of one log of their thread, so a put costs what changed.

The checkpoints of a thread are nearly equal, so none is stored whole. In six steps, each a file:

1. ``cut``: a packed state is cut into small *literals*, which stay in the checkpoint's record, and large *parts* (a list, a
   long string, anything of 512 bytes or more at any depth of dicts). The state is literal, part, literal, part, literal.
   Most states are cut like the one before. ``headers`` has the headers of MessagePack.
2. ``segments``: a part is stored as *segments*, ranges of bytes of the thread's log, to which bytes are only ever appended.
3. ``diff``: a part is compared with its previous version, which has the same *path hash*. Old bytes become segments of where
   they are already; new bytes are appended.
4. ``log``: the worker remembers what it knows of a log, so it downloads only what it does not know; and the last checkpoint
   of each namespace, the *base checkpoint* of the next one.
5. ``codec``: appended bytes may be compressed or encrypted, in blocks of which segments are ranges.
6. ``draft``: all steps together: from a state to a draft of what is stored, and from a stored checkpoint to its state.

The store decides where the appended bytes go, so a draft counts from there, and several workers may append at once. When
most of a log belongs to removed checkpoints, the store asks for a whole state, and begins a new *generation* with it.

A store may return to an earlier moment: a restart, a failover, a backup. So a put never relies on the memory of a worker:

- Each put has a random name, which its record has, with the offset where its bytes were appended. Both are the *proof* of
  the bytes of that checkpoint: a log is only appended to for as long as it has a checkpoint, so while the record is stored,
  its bytes are where it names them. A put that uses segments of a checkpoint names it with this proof. The store accepts it
  only if the record has that proof and the current log. Otherwise the worker sends the state whole, which needs no proof.
- A worker compares a state with the content that it stored or read under that proof, not with what it knows of the log.
- What a reader knows of the log only saves downloads: the digest of the state tells whether it fits, and if it does not,
  all of the state is read again.
"""
