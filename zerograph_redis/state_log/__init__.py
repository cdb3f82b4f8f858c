"""States as pieces of a log: a put costs what changed.

Checkpoints of a thread are nearly equal, so none is stored whole. The idea in six steps, each a file:

1. ``cut``: a packed state is cut into small *literals*, which stay in the checkpoint's record, and large *parts* (a list,
   a long string, anything of 512 bytes or more at any depth of dicts). The state is literal, part, literal, part, literal.
   Most states are cut where the one before was.
2. ``segments``: a part is stored as *segments*, ranges of bytes of the thread's log, to which bytes are only ever appended.
3. ``diff``: a new part is compared with the part that the worker last knew in that place. What is old becomes segments of
   where it lies already; what is new is appended.
4. ``log``: the worker keeps what it knows of a log, so it downloads only what it lacks; and the last state of each
   namespace, to compare the next one with.
5. ``coding``: what is appended may be compressed or encrypted, piece by piece; such a piece is never cut.
6. ``draft``: puts these together: a state to a draft of what is stored, and a stored checkpoint to its state.

Where the appended bytes land is for the store to say, so a draft counts from there; several workers may append at once.
A log that is mostly rubbish is left: the store asks for a state whole, and begins a new *generation* with it.

A store may return to an earlier moment: a restart, a failover, a backup. So nothing that a worker remembers is believed:

- Each put has a random name, which stands in its record with the offset where its bytes landed. Both together prove the
  bytes of that checkpoint: a log is only appended to for as long as it has a checkpoint, so while the record is there,
  its bytes are where it says. A put that uses segments of a checkpoint names it with this proof, and the store takes
  it only if the record has that proof and the current log. Else the worker sends the state whole, which needs no proof.
- The content that a worker compares with is what it stored or read under that proof, not what it remembers of the log.
- What a reader remembers of the log saves downloads only: the digest of the state tells whether it fits, and if it
  does not, all of it is read again.
"""

from .base import BaseCheckpoint
from .codec import Codec, EncryptedCodec, PlainCodec
from .cut import Cut, Part, cut, cut_plain
from .draft import MOST_BYTES, Draft, draft, read_parts
from .log import Content, KnownLogs, KnownRange, Logs, ThreadLogs
from .segments import Segment

__all__ = (
    "MOST_BYTES",
    "BaseCheckpoint",
    "Codec",
    "Content",
    "Cut",
    "Draft",
    "EncryptedCodec",
    "KnownLogs",
    "KnownRange",
    "Logs",
    "Part",
    "PlainCodec",
    "Segment",
    "ThreadLogs",
    "cut",
    "cut_plain",
    "draft",
    "read_parts",
)
