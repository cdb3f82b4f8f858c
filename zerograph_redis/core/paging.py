"""Reading requests that are answered page by page."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Protocol, TypeVar

from .requests import IndexCursor, IndexPage, ListThreads, Operation, Request

PAGE = 1000  # ids alone are read quickly


class Paged(Protocol):
    """A page of a reply."""

    @property
    def cursor(self) -> Any:
        """Where the next page begins; None on the last one."""


P = TypeVar("P", bound=Paged)


def read_pages(
    request_at: Callable[[Any], Request[P]], cursor: Any = None, enough: Callable[[P], bool] = lambda _: False
) -> Operation[list[P]]:
    """Read pages from *cursor* on, None for the first: all of them, or until one is *enough*."""
    pages: list[P] = []
    while True:
        page = yield from request_at(cursor)
        pages.append(page)
        cursor = page.cursor
        if cursor is None or enough(page):
            return pages


def read_index(cursor: IndexCursor | None = None) -> Operation[list[IndexPage]]:
    """Read the thread index, newest activity first: ids and times, some perhaps of threads that expired."""
    return (yield from read_pages(lambda at: ListThreads(at, PAGE), cursor))
