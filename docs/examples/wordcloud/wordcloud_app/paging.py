"""Parts of a list, as the services ask each other for them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from pydantic import BaseModel
from sqlalchemy import Select, func, select
from sqlalchemy.orm import Session

__all__ = ["Page", "part_of"]

_LARGEST = 100


class Page(BaseModel):
    """Which part of a list."""

    pageNo: int = 1
    size: int = 10


def part_of(db: Session, chosen: Select[Any], page: Page, orders: Sequence[Any]) -> dict[str, Any]:
    """That part of what is chosen, in this order, and how much there is in all."""
    size = min(max(page.size, 1), _LARGEST)
    number = max(page.pageNo, 1)
    total = db.scalar(select(func.count()).select_from(chosen.subquery())) or 0
    found = db.scalars(chosen.order_by(*orders).offset((number - 1) * size).limit(size))
    items = [row.to_dict() for row in found]
    return {
        "data": {"items": items, "pageNo": number, "pageSize": size, "total": total, "hasNext": number * size < total}
    }
