"""Which photos are common and which counter: said by the layout itself, by a table, or by nobody."""

from collections.abc import Callable
from pathlib import Path

from experiments.counteranimal.photos.listing import Entry
from experiments.counteranimal.photos.tree import GROUPS, refuse_other_group
from experiments.errors import RequestError
from experiments.files import read_table
from simulator.naming import suggestion

PREFIX, EACH = "prefix", "each"
# Entry -> (group, background), None for what belongs to neither group.
GroupOf = Callable[[Entry], tuple[str, str] | None]


def group_rule(choice: str) -> GroupOf:
    """The rule that `--groups` names: prefix, each, or a CSV file with columns background, group and perhaps class.

    Raises RequestError for a word that is neither, or a table that does not say what it should.
    """
    if choice == PREFIX:
        return by_prefix
    if choice == EACH:
        return lambda entry: ("", entry.place)
    path = Path(choice)
    if not path.is_file():
        raise RequestError(
            f"--groups {choice!r} is neither {PREFIX}, {EACH} nor a file{suggestion(choice, (PREFIX, EACH))}"
        )
    return by_table(path)


def by_prefix(entry: Entry) -> tuple[str, str] | None:
    """The group that an entry states, else what stands before the first "-" of its place."""
    if entry.group:
        return entry.group, entry.place
    group, _, background = entry.place.partition("-")
    return (group.lower(), background) if group.lower() in GROUPS else None


def by_table(path: Path) -> GroupOf:
    """A CSV file: the group of each background, for all classes or, with a column class, for one; "" is for all."""
    groups: dict[tuple[str, str], str] = {}
    for line, row in enumerate(read_table(path, ("background", "group"), "groups"), start=2):
        key = row.get("class") or "", row["background"]
        refuse_other_group(row["group"], f"line {line} of {str(path)!r}")
        if groups.setdefault(key, row["group"]) != row["group"]:
            raise RequestError(f"background {key[1]!r} is common and counter in {str(path)!r} (line {line}); keep one")

    def group_of(entry: Entry) -> tuple[str, str] | None:
        group = groups.get((entry.class_name, entry.place)) or groups.get(("", entry.place))
        return None if group is None else (group, entry.place)

    return group_of
