"""What a report says of a results folder: a cell of a method, its only notice, its page."""

from harness.report.against.published import published
from harness.report.against.verdicts import verdicts
from harness.report.load import load
from harness.report.methods import notes
from harness.report.page.build import build_page
from harness.report.page.content import content

HOSTILE = "</script><script>window.broken=1</script><img src=x onerror='window.broken=1'>\u2028"
"""An answer that breaks out of the page unless it is escaped."""


def value_of(root, method="h2o"):
    """The first cell of a method."""
    cells = load(root).cells
    return cells[cells["method"] == method].iloc[0]


def notices(root):
    """What is said of the folder, and not of a method wherever it is shown."""
    of_methods = {f"{facts['title']}: {facts['note']}" for facts in notes().values()}
    return [notice for notice in load(root).notices if notice not in of_methods]


def one_notice(root):
    """The only such notice."""
    (notice,) = notices(root)
    return notice


def page(root, overlay=False):
    """The interactive page as HTML, with the published points if `overlay`."""
    results = load(root)
    shown = content(results, published() if overlay else None, verdicts(results) if overlay else None)
    return build_page(shown)
