"""What the demo's job must end with, counted from the CSV by nothing but Python's library.

Reads the CSV from standard input and writes the canonical lines of the job's state, in order.
"""

import csv
import datetime
import json
import sys

IDLE_MS = 30 * 24 * 60 * 60 * 1000


def milliseconds(time_hour):
    moment = datetime.datetime.strptime(time_hour, "%Y-%m-%dT%H:%M:%SZ")
    seconds = (moment - datetime.datetime(1970, 1, 1)) // datetime.timedelta(seconds=1)
    return seconds * 1000


def main():
    rows = list(csv.DictReader(sys.stdin))
    lines = []

    def emit(operator, state, kind, **parts):
        line = {"operator": operator, "state": state, "kind": kind, **parts}
        lines.append(json.dumps(line, separators=(",", ":"), ensure_ascii=False))

    def fleet(state, kind, key, value, **parts):
        emit("fleet", state, kind, key=key, namespace=None, **parts, value=value)

    emit("flights", "offset", "operator-list", value=len(rows))

    carriers = {}
    aircraft = {}
    for row in rows:
        carriers[row["carrier"]] = carriers.get(row["carrier"], 0) + 1
        if row["tailnum"]:
            aircraft.setdefault(row["tailnum"], []).append(row)
    for carrier, count in carriers.items():
        emit("carriers", "flights", "value", key=carrier, namespace=None, value=count)

    # The watermark ends at the last row's hour; a timer fires once the watermark reaches it, unless
    # a row of the same aircraft moved it before. The row that moves the watermark comes after it.
    end = milliseconds(rows[-1]["time_hour"]) if rows else None
    for tailnum, legs in aircraft.items():
        last = legs[-1]
        fleet(
            "last_leg",
            "value",
            tailnum,
            {name: last[name] for name in ("origin", "dest", "time_hour")},
        )
        routes = {}
        for leg in legs:
            route = f"{leg['origin']}-{leg['dest']}"
            routes[route] = routes.get(route, 0) + 1
        for route, count in routes.items():
            fleet("routes", "map", tailnum, count, userKey=route)
        fleet("miles", "reducing", tailnum, sum(int(leg["distance"]) for leg in legs))
        delays = [int(leg["arr_delay"]) for leg in legs if leg["arr_delay"]]
        late = [delay for delay in delays if delay >= 60]
        if late:
            fleet("late", "list", tailnum, late)
        if delays:
            fleet(
                "delay",
                "aggregating",
                tailnum,
                {"count": len(delays), "sum": sum(delays), "max": max(delays)},
            )
        times = [milliseconds(leg["time_hour"]) for leg in legs]
        spells = sum(later - sooner >= IDLE_MS for sooner, later in zip(times, times[1:]))
        due = times[-1] + IDLE_MS
        if due <= end:
            spells += 1
        else:
            fleet("idle", "timer-event", tailnum, due)
        if spells:
            fleet("idle_spells", "value", tailnum, spells)

    for line in sorted(lines, key=lambda line: line.encode()):
        print(line)


main()
