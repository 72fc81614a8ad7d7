"""How long the page of a run takes to open in Chromium, headless: from asking for it until the first problem is shown.

    python scripts/bench_page.py report.html --times 10

Needs playwright and a Chromium on the path. Prints the file's size and the median and largest time in seconds. Every
opening is in a window without a cache.
"""

import argparse
import shutil
import statistics
import time
from pathlib import Path

from rerank.errors import InputError, MissingError, one_line


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("page", type=Path, help="what `rerank report --html` wrote")
    parser.add_argument("--times", type=int, default=10, help="openings (default %(default)d)")
    options = parser.parse_args()
    if not options.page.is_file():
        raise InputError("no such file", path=options.page)
    seconds = open_repeatedly(options.page, options.times)
    print(
        f"{options.page.stat().st_size / 1e6:.1f} MB, opened {options.times} times: "
        f"median {statistics.median(seconds):.2f} s, at most {max(seconds):.2f} s"
    )


def open_repeatedly(page: Path, times: int) -> list[float]:
    """Seconds that each opening takes."""
    try:
        from playwright.sync_api import sync_playwright
    except ImportError as error:
        raise MissingError("playwright is not installed: pip install playwright") from error
    chromium = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
    if chromium is None:
        raise MissingError("no Chromium on the path: apt-get install chromium")
    seconds = []
    with sync_playwright() as started:
        # Its own sandbox does not start for root; the page is ours.
        browser = started.chromium.launch(executable_path=chromium, args=["--no-sandbox"])
        for _ in range(times):
            context = browser.new_context()
            tab = context.new_page()
            began = time.perf_counter()
            tab.goto(page.resolve().as_uri() + "#view=problems")
            tab.wait_for_selector("#problem .pane")
            seconds.append(time.perf_counter() - began)
            context.close()
        browser.close()
    return seconds


if __name__ == "__main__":
    with one_line():
        main()
