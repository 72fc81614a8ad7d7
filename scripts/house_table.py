"""How rerank is built: rooms, floors, arrows between rooms, circles, and arrows that run back up.

    python scripts/house_table.py             # this checkout
    python scripts/house_table.py OTHER       # another checkout, such as a worktree of an older commit

A room is a package of rerank, or a module beside them; an arrow is an import between two rooms, however often. Floors
count the longest way down. An arrow up is one of a smallest set without which no circle is left. By grimp, which
import-linter installs.
"""

import itertools
import json
import sys
from pathlib import Path

import grimp


def rooms_and_arrows(root: Path) -> tuple[set[str], set[tuple[str, str]], int]:
    """Rooms, arrows from importer to imported, and the number of modules. `root` holds the package folders."""
    sys.path.insert(0, str(root))
    graph = grimp.build_graph("rerank", "sandbox", cache_dir=None)
    room_of = {}
    for module in graph.modules:
        parts = module.split(".")
        if parts[0] == "sandbox" or len(parts) > 1:
            room_of[module] = "sandbox" if parts[0] == "sandbox" else parts[1]
    arrows = {
        (room_of[importer], room_of[imported])
        for importer in room_of
        for imported in graph.find_modules_directly_imported_by(importer)
        if imported in room_of and room_of[importer] != room_of[imported]
    }
    return set(room_of.values()), arrows, len(graph.modules)


def circles(rooms: set[str], arrows: set[tuple[str, str]]) -> list[set[str]]:
    """Largest sets of two or more rooms in which each leads to each."""
    below: dict[str, set[str]] = {room: set() for room in rooms}
    for importer, imported in arrows:
        below[importer].add(imported)
    reached = {}
    for room in rooms:
        seen, todo = set(), [room]
        while todo:
            for imported in below[todo.pop()] - seen:
                seen.add(imported)
                todo.append(imported)
        reached[room] = seen
    found = {frozenset(other for other in reached[room] if room in reached[other]) for room in rooms}
    return sorted((set(circle) for circle in found if len(circle) > 1), key=sorted)


def arrows_up(rooms: set[str], arrows: set[tuple[str, str]]) -> set[tuple[str, str]]:
    """A smallest set of arrows without which no circle is left; by trying, since circles are small."""
    inside = [arrow for circle in circles(rooms, arrows) for arrow in sorted(arrows) if set(arrow) <= circle]
    return next(
        set(chosen)
        for size in range(len(inside) + 1)
        for chosen in itertools.combinations(inside, size)
        if not circles(rooms, arrows - set(chosen))
    )


def floors(rooms: set[str], arrows: set[tuple[str, str]]) -> int:
    """The most rooms on one way down. `arrows` hold no circle."""
    below = {room: [imported for importer, imported in arrows if importer == room] for room in rooms}
    height: dict[str, int] = {}

    def measure(room: str) -> int:
        if room not in height:
            height[room] = 1 + max((measure(imported) for imported in below[room]), default=0)
        return height[room]

    return max(map(measure, rooms))


def main() -> None:
    rooms, arrows, num_modules = rooms_and_arrows(Path(sys.argv[1] if len(sys.argv) > 1 else "."))
    up = arrows_up(rooms, arrows)
    table = {
        "modules": num_modules,
        "rooms": len(rooms),
        "floors": floors(rooms, arrows - up),
        "arrows": len(arrows),
        "circles": [sorted(circle) for circle in circles(rooms, arrows)],
        "arrows up": sorted(map(list, up)),
    }
    print(json.dumps(table, indent=2))


if __name__ == "__main__":
    main()
