"""The pages: live values and the plan, read from the store. They ask no clock and know neither devices nor solver."""

from ems.web.app import create_app

__all__ = ["create_app"]
