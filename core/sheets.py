"""Cells that a spreadsheet shows and does not run."""

#: What a spreadsheet would run instead of show.
FORMULA = ("=", "+", "-", "@", "\t", "\r")


def defuse(cell: str) -> str:
    """Return a cell that no spreadsheet takes for a formula."""
    return f"'{cell}" if cell.startswith(FORMULA) else cell


def rearm(cell: str) -> str:
    """Undo ``defuse``: a file of ours comes back as it went out."""
    return cell[1:] if cell[:1] == "'" and cell[1:].startswith(FORMULA) else cell
