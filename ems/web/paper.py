"""Pages on paper: what is made for print, as PDF. Needs the extra `pdf`: WeasyPrint, and Pango of the system."""

from __future__ import annotations

from collections.abc import Mapping
from functools import cache


@cache
def can_print() -> bool:
    """Whether this installation makes PDFs. Where it does not, pages do not offer it; browsers print them as well."""
    try:
        import weasyprint  # noqa: F401 -- takes half a second, which only who prints should wait for
    except (ImportError, OSError):  # OSError: the extra is there, and Pango is not
        return False
    return True


def pdf(html: str, address: str, files: Mapping[str, bytes]) -> bytes:
    """A page as PDF, styled as for print.

    `address` is where the page lies, for links in it; `files` is all that it may load, by its path there. Anything else
    it asks for, from the network or the disk, is not fetched.
    """
    from weasyprint import HTML
    from weasyprint.urls import URLFetcher, URLFetcherResponse

    known = {address.rstrip("/") + path: content for path, content in files.items()}

    class Given(URLFetcher):  # type: ignore[misc]  # the library says nothing of its types
        def fetch(self, url: str, headers: Mapping[str, str] | None = None) -> URLFetcherResponse:
            if url not in known:
                raise ValueError(f"{url} is none of the files of this page")
            return URLFetcherResponse(url, known[url], {"Content-Type": "text/css"})

    written = HTML(string=html, base_url=address, url_fetcher=Given(allowed_protocols=())).write_pdf()
    assert isinstance(written, bytes)
    return written
